"""Redis beside the operator: published statuses, and tasks that clusters share."""
