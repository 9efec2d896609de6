"""The Kubernetes API as all parts use it: requests with deadlines, pages of lists, watches, the clock of the server."""
