"""How many requests a second each shard may send, so that the plan's limits hold for all of them together.

A shard's limit is fixed when its Job is made, since its pods read it from the task document. So the Job never gets more
parallel shards than the limit was divided by (`shares`).
"""

from __future__ import annotations

from scanplan.api.v1alpha1.scanplan import ScanPlanSpec


def shares(spec: ScanPlanSpec, shards: int) -> int:
    """Shards that may run at the same time: as asked, no more than there are, and each with one request a second."""
    wanted = min(spec.sharding.parallelism, shards)
    limit = spec.scanner.max_requests_per_second
    return wanted if limit is None else min(wanted, limit)


def of_shard(spec: ScanPlanSpec, shards: int) -> int:
    """Requests a second of one shard: `rateLimit`, or its share of `maxRequestsPerSecond` where that is less."""
    limit = spec.scanner.max_requests_per_second
    return spec.scanner.rate_limit if limit is None else min(spec.scanner.rate_limit, limit // shares(spec, shards))
