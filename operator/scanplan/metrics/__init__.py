"""Prometheus metrics of the operator: `operator.py` counts, `projects.py` shows open findings, `server.py` serves."""
