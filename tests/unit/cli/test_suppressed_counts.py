"""How many findings fall under exceptions: status, metrics, reports, lists and the API count the same, by severity."""

from __future__ import annotations

import csv
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from scanplan.api import layout
from scanplan.api.documents.words import Severity
from scanplan.controller.cache.notifiers import Notifiers
from scanplan.controller.cache.schedules import Schedules
from scanplan.controller.cache.store import Store
from scanplan.controller.engine.workqueue import WorkQueue
from scanplan.core.status import findings
from scanplan.findings.exceptions import Handed, Match, ScanException, Suppressor
from scanplan.findings.listing import Which
from scanplan.metrics.operator import OperatorMetrics
from scanplan.runner.artifacts.merging import merge
from scanplan.web.artifacts import history
from tests.unit.cli.commands.test_exception import scanplan
from tests.unit.runner.artifacts.merging.test_history import Run
from tests.unit.runner.documents import finding

NOW = datetime.now(UTC)
FOUND = {
    "git": "medium",
    "log4j": "critical",
    "log5j": "critical",
    "banner": "info",
    "odd": "of no severity",
}
CASES: dict[str, tuple[Match, timedelta, dict[str, int]]] = {
    "one finding": (Match(templates=("git",)), timedelta(days=9), {"medium": 1}),
    "some of a severity": (Match(templates=("*4j", "banner")), timedelta(days=9), {"critical": 1, "info": 1}),
    "all": (Match(hosts=("a.example",)), timedelta(days=9), {"medium": 1, "critical": 2, "info": 1, "unknown": 1}),
    "none": (Match(templates=("other",)), timedelta(days=9), {}),
    "an expired one": (Match(templates=("git",)), timedelta(days=-40), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_all_views_count_the_same(tmp_path: Path, case: str) -> None:
    """Lost otherwise: trust in each of these numbers, by whoever looks at two of them."""
    match, lasts, expected = CASES[case]
    exception = ScanException(name="x", match=match, reason="a test", expires_at=NOW + lasts)
    folder = tmp_path / layout.run_directory("nightly")
    folder.mkdir(parents=True)
    run = Run(folder)
    run.begin()
    run.publish(0, *(finding(name, severity=severity) for name, severity in FOUND.items()))
    result = merge.merge(run.folder, run.task, scan_exceptions=Handed(time=NOW, exceptions=(exception,)))
    assert result is not None
    status = findings.of_result(result)
    file = tmp_path / "x.yaml"
    spec = {"match": {"templates": list(match.templates), "hosts": list(match.hosts)}, "reason": "a test"}
    spec["expiresAt"] = exception.expires_at.isoformat()
    file.write_text(
        yaml.safe_dump(
            {"apiVersion": "scanplan.dev/v1alpha1", "kind": "ScanException", "metadata": {"name": "x"}, "spec": spec}
        )
    )

    def told(command: str, *options: str) -> str:
        return str(scanplan(command, "nightly", "--directory", tmp_path, "--exceptions", file, *options).stdout)

    sarif = json.loads(told("results", "-o", "sarif", "--include-suppressed"))["runs"][0]["results"]
    answer = history.answer(
        tmp_path,
        PurePosixPath(layout.run_directory("nightly")) / run.place.relative_to(folder),
        Which.ALL,
        frozenset(Severity),
        100,
        Suppressor([exception], NOW).of_entry,
    )
    views: dict[str, Any] = {
        "the status": status.suppressed_by_severity or {},
        "the metrics": _metrics(status.model_dump(by_alias=True, exclude_none=True)),
        "the API": Counter(item["severity"] for item in answer["items"] if item["suppressed"]),
        "results as JSON": Counter(
            Severity.of(each["info"]["severity"]).value
            for each in json.loads(told("results", "-o", "json"))["findings"]
            if each.get("suppressed")
        ),
        "results as CSV": Counter(
            row["severity"] for row in csv.DictReader(told("results", "-o", "csv").splitlines()) if row["suppressed_by"]
        ),
        "the list of findings": Counter(
            each["severity"] for each in json.loads(told("findings", "-o", "json"))["items"] if each.get("suppressed")
        ),
        "results as SARIF": Counter(
            Severity.of(FOUND[each["ruleId"]]).value for each in sarif if each.get("suppressions")
        ),
    }
    assert {view: dict(counts) for view, counts in views.items()} == dict.fromkeys(views, expected)
    total = sum(expected.values())
    assert status.suppressed == total
    for page in ((run.place / layout.REPORT).read_text(), told("results", "-o", "html")):
        assert page.count('data-suppressed=""') == total


def _metrics(told: dict[str, Any]) -> dict[str, int]:
    store = Store()
    metadata = {"namespace": "n", "name": "p", "uid": "u", "generation": 1, "resourceVersion": "1"}
    store.put_plan(
        {
            "metadata": {**metadata, "creationTimestamp": "2026-11-24T06:00:00Z"},
            "spec": {"endpoints": ["a.example"], "templates": ["http/"]},
            "status": {"phase": "Completed", "completionTime": "2026-11-24T08:00:00Z", "findings": told},
        }
    )
    metrics = OperatorMetrics(store, WorkQueue(), Schedules(), Notifiers(), lambda: True)
    return {
        sample.labels["severity"]: int(sample.value)
        for family in metrics.collect()
        if family.name == "scanplan_project_suppressed_findings"
        for sample in family.samples
    }
