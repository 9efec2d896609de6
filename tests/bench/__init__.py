"""What the operator costs and how fast it is, measured against a real API server: `make bench`."""
