"""Prometheus metrics of the operator: `operator.py` counts, `server.py` serves."""
