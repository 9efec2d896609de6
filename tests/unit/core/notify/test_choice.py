"""Which scans are told of, and as what: who is told too much stops to read, who is told too little finds out too late."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from scanplan.api.v1alpha1.plan.discovery import LabelSelector
from scanplan.api.v1alpha1.scannotifier import ScanNotifierSpec
from scanplan.core.notify import choice
from scanplan.core.notify.scans import ended
from tests.unit.core.notify.objects import plan, scan, spec

ALL = ["NewFindings", "Failed", "Recovered", "Completed"]


@pytest.mark.parametrize(
    ("phase", "new", "recovered", "on", "expected"),
    [
        ("Completed", {}, False, ALL, "Completed"),
        ("Completed", {}, False, ["NewFindings", "Failed", "Recovered"], None),
        ("Completed", {"high": 1}, False, ALL, "NewFindings"),
        ("Completed", {"high": 1}, True, ALL, "NewFindings"),
        ("Completed", {"medium": 5}, False, ["NewFindings"], None),
        ("Completed", {"unknown": 5}, False, ["NewFindings"], None),
        ("Completed", {}, True, ALL, "Recovered"),
        ("Completed", {}, True, ["Completed"], "Completed"),
        ("Failed", {}, False, ALL, "Failed"),
        ("Failed", {}, False, ["Completed", "Recovered"], None),
        ("Failed", {"critical": 1}, False, ["NewFindings"], "NewFindings"),
        ("Cancelled", {"critical": 1}, False, ALL, "NewFindings"),
        ("Cancelled", {}, False, ALL, None),
        ("Cancelled", {}, True, ALL, None),
    ],
)
def test_a_scan_is_told_of_once_by_what_matters_most(
    phase: str, new: dict[str, int], recovered: bool, on: list[str], expected: str | None
) -> None:
    found = choice.event_of(scan(phase=phase, new=new).scan, spec(on=on), recovered=recovered)
    assert found == expected


def test_on_needs_no_quotes() -> None:
    """Lost otherwise: the field, for everybody who writes it as the documentation does. For YAML 1.1, on is true."""
    written = yaml.safe_load("on: [Completed]\nslack: {urlFrom: {secretKeyRef: {name: slack, key: url}}}")
    as_kubectl_sends_it = json.loads(json.dumps(written))
    assert "on" not in as_kubectl_sends_it
    made = ScanNotifierSpec.model_validate(as_kubectl_sends_it)
    assert choice.event_of(scan(phase="Completed").scan, made, recovered=False) == "Completed"
    assert choice.event_of(scan(phase="Failed").scan, made, recovered=False) is None


@pytest.mark.parametrize(
    ("least", "counted"),
    [
        ("critical", {"critical": 1}),
        ("high", {"critical": 1, "high": 2}),
        ("info", {"critical": 1, "high": 2, "info": 3}),
        ("unknown", {"critical": 1, "high": 2, "info": 3, "unknown": 4}),
    ],
)
def test_new_findings_count_from_the_least_severity(least: str, counted: dict[str, int]) -> None:
    new = {"critical": 1, "high": 2, "info": 3, "unknown": 4}
    assert choice.new_findings(scan(new=new).scan.status, spec(minSeverity=least).min_severity) == counted


@pytest.mark.parametrize(("told", "expected"), [({}, None), ({"bySeverity": {"critical": 1}}, "NewFindings")])
def test_what_is_told_of_a_result_that_was_taken_over_is_on_its_status(
    told: dict[str, Any], expected: str | None
) -> None:
    """Lost otherwise: the findings of a scan whose plan was deleted while another plan shared it. Its reason is the same."""
    reused = scan(new={"critical": 1}, reason="ResultReused", newFindings=told).scan
    assert choice.event_of(reused, spec(), recovered=False) == expected


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({}, True),
        ({"matchLabels": {"team": "shop"}}, True),
        ({"matchLabels": {"team": "other"}}, False),
        ({"matchLabels": {"none": ""}}, False),
        ({"matchExpressions": [{"key": "team", "operator": "In", "values": ["a", "shop"]}]}, True),
        ({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["shop"]}]}, False),
        ({"matchExpressions": [{"key": "none", "operator": "NotIn", "values": ["shop"]}]}, True),
        ({"matchExpressions": [{"key": "team", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}, False),
        ({"matchLabels": {"team": "shop"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]}, False),
    ],
)
def test_selectors_are_those_of_kubernetes(selector: dict[str, Any], expected: bool) -> None:
    assert choice.selects(LabelSelector.model_validate(selector), {"team": "shop"}) is expected


@pytest.mark.parametrize(
    "status",
    [
        {},
        None,
        "Completed",
        {"phase": "Running"},
        {"phase": ["Completed"]},
        {"phase": {"Completed": True}},
        {"phase": "Completed"},
        {"phase": "Completed", "conditions": [{"type": "Succeeded", "status": "True", "lastTransitionTime": "noon"}]},
        {"phase": "Failed", "conditions": [{"type": "Succeeded", "status": "Unknown"}]},
    ],
)
def test_what_has_not_ended_is_no_ended_scan(status: Any) -> None:
    assert ended({"metadata": {"namespace": "shop", "name": "a", "uid": "u"}, "status": status}) is None


def test_an_end_has_one_id_and_each_rerun_another() -> None:
    first = scan()
    assert first.id == scan(labels={"a": "b"}, message="other words").id
    assert first.id != scan(taskKey="another").id
    assert first.id != scan(time="03:00:00").id
    assert first.id != scan(uid="recreated").id


def test_the_end_of_a_scan_is_when_the_status_told_it() -> None:
    """The Job ended while no operator was there: its own time is long past, and would never be told."""
    body = plan(time="09:00:00", completionTime="2026-11-27T02:00:00Z")
    found = ended(body)
    assert found
    assert found.time.hour == 9
