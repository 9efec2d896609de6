"""What the operator remembers of the cluster: ScanPlans, their Jobs, and who waits for a slot."""
