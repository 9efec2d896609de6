"""The status of a ScanPlan: phases, conditions, events, and why a pod failed."""
