"""What the controller reads: what plans name, who else may have a task, and once at the start what the cluster is."""
