"""The objects and documents of version v1alpha1, one module each: the ScanPlan, its conditions, the task document."""
