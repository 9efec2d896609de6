"""The reconcile of a ScanPlan. Start at `reconcile.py`: observed state in, `Decision` out."""
