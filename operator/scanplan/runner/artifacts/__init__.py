"""Files on the claim: attempts, published shards, merged results, reports, and their removal."""
