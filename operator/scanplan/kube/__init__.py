"""Access to the Kubernetes API for all parts: requests with deadlines, pages of lists, watches, the server's clock."""
