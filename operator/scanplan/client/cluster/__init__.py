"""The cluster with the rights of its user: API calls, and pods that read artifacts from a claim."""
