"""An operator's own metrics, as Prometheus would have them."""

from __future__ import annotations

import urllib3
from prometheus_client.parser import text_string_to_metric_families


def serving(port: int) -> dict[str, str]:
    """The settings of an operator that serves its metrics there."""
    return {"SCANPLAN_METRICS_PORT": str(port)}


def reconciles(port: int) -> float:
    """How often the operator has looked at a plan."""
    text = urllib3.request("GET", f"http://127.0.0.1:{port}/metrics").data.decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return next(sample.value for sample in samples if sample.name == "scanplan_operator_reconcile_seconds_count")
