"""What the controller writes: Jobs and task documents, a plan's status, and Events."""
