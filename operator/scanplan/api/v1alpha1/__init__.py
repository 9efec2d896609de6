"""Objects and documents of version v1alpha1, one module each: ScanPlan spec, its status, conditions, the task document."""
