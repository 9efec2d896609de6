"""The dashboard as Grafana's own schema has it, by the classes of Grafana's foundation SDK that are generated from it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.ecosystem.test_monitoring_files import DASHBOARD

pytestmark = pytest.mark.ecosystem


def test_grafana_knows_every_field() -> None:
    """Read into the SDK's classes and written again: what they don't know, or take for something else, would be missing."""
    encoder = pytest.importorskip("grafana_foundation_sdk.cog.encoder")
    plugins = pytest.importorskip("grafana_foundation_sdk.cog.plugins")
    models = "grafana_foundation_sdk.models"
    dashboard, prometheus = (pytest.importorskip(f"{models}.{name}") for name in ("dashboard", "prometheus"))
    plugins.register_default_plugins()
    read: Any = dashboard.Dashboard.from_json(DASHBOARD)
    assert differences(DASHBOARD, json.loads(encoder.JSONEncoder().encode(read))) == []
    targets = [target for panel in read.panels for target in getattr(panel, "targets", None) or ()]
    assert targets
    assert all(isinstance(target, prometheus.Dataquery) for target in targets)


def differences(ours: Any, theirs: Any, where: str = "") -> list[str]:
    """Paths of what is in `ours` and not, or not the same, in `theirs`, which may have defaults beside it."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [
            path for name, value in ours.items() for path in differences(value, theirs.get(name), f"{where}/{name}")
        ]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [path for index, pair in pairs for path in differences(*pair, f"{where}/{index}")]
    return [] if ours == theirs else [where]
