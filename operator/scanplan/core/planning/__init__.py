"""From a ScanPlan to a task: inputs, endpoints, the target guard, shards, and the idempotency key."""
