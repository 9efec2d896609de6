"""Alerts and dashboard ask for metrics that there are, and each alert leads to a section that says what to do."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import yaml

from scanplan.client.models import QueueHealth
from scanplan.client.queues.statistics import Statistics
from scanplan.client.redis.publication import Publication
from scanplan.controller.cache.notifiers import Notifiers
from scanplan.controller.cache.schedules import Schedules
from scanplan.controller.cache.store import Store
from scanplan.controller.engine.workqueue import WorkQueue
from scanplan.metrics.operator import OperatorMetrics
from scanplan.web.api.metrics import Metrics, QueueCollector

ROOT = Path(__file__).parents[2]
FILES = ROOT / "charts/scanplan-operator/files"
GUIDE = (ROOT / "docs/monitoring.md").read_text()
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((FILES / "dashboard.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
_NAME = re.compile(r"\bscanplan_[a-z_]+")


def existing() -> set[str]:
    """Names of all series, of both servers."""
    queue = Mock()
    queue.health.return_value = QueueHealth(queue_size=0, active_workers=0, failed_jobs=0, redis_connected=False)
    queue.statistics.return_value = Statistics()
    outcomes = Publication("redis://127.0.0.1:1", "east").outcomes
    operator = OperatorMetrics(Store(), WorkQueue(), Schedules(), Notifiers(), lambda: True, outcomes)
    families = Metrics([operator, QueueCollector(queue)]).registry.collect()
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}
    return {family.name + suffix for family in families for suffix in suffixes.get(family.type, [""])}


@pytest.fixture(scope="module")
def series() -> set[str]:
    return existing()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_there_is_and_says_what_to_do(rule: dict[str, Any], series: set[str]) -> None:
    names = set(_NAME.findall(rule["expr"]))
    assert names
    assert names <= series
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert {"summary", "description", "runbook_url"} == set(rule["annotations"])
    assert rule["annotations"]["runbook_url"] == f"docs/monitoring.md#{rule['alert'].lower()}"
    assert f"\n### {rule['alert']}\n" in GUIDE


@pytest.mark.parametrize(
    "panel", [panel for panel in PANELS if panel["type"] != "row"], ids=lambda panel: panel["title"]
)
def test_a_panel_asks_for_what_there_is(panel: dict[str, Any], series: set[str]) -> None:
    for target in panel["targets"]:
        names = set(_NAME.findall(target["expr"]))
        assert names
        assert names <= series


def test_panels_lie_beside_each_other() -> None:
    cells = [
        (x, y)
        for panel in PANELS
        for place in [panel["gridPos"]]
        for x, y in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        )
    ]
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


def test_every_metric_is_in_the_guide(series: set[str]) -> None:
    documented = set(_NAME.findall(GUIDE.partition("## Dashboard")[0]))
    assert {re.sub("_(bucket|count|sum)$", "", name) for name in series} == documented
