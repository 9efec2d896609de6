"""The operator against a real API server with the real controllers for Jobs, garbage and TTLs; only the kubelet is a stand-in."""
