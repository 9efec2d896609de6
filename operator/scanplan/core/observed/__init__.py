"""Read-only views of what the cluster holds: Jobs, pods, and results of other clusters."""
