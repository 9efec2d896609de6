"""Parts of the operator that know no kind: the work queue, leader election, health probes."""
