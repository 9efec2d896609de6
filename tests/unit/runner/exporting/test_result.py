"""A result in the formats that are exported: what a receiver would miss."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from scanplan.api import layout
from scanplan.api.documents.export import Destination, ExportDocument, HttpTarget
from scanplan.api.documents.words import ExportFormat, PlanReference
from scanplan.findings.exceptions import Handed, Match, ScanException
from scanplan.report import sarif
from scanplan.runner.artifacts import publish
from scanplan.runner.exporting.result import Result
from tests.unit.report import events

ACCEPTED = Handed(
    time=datetime(2026, 11, 24, tzinfo=UTC),
    exceptions=(
        ScanException(name="known", match=Match(templates=("known",)), expires_at=datetime(2027, 6, 1, tzinfo=UTC)),
    ),
)


def document(folder: Path, found: list[dict[str, object]]) -> ExportDocument:
    """An export of a result with these findings, which is written into the folder."""
    record = events.record(events.read(found))
    (folder / layout.FINDINGS).write_bytes(b"".join(events.lines(found)))
    (folder / layout.HISTORY).write_bytes(b"")
    (folder / layout.METADATA).write_bytes(msgspec.json.encode(record))
    names = (layout.FINDINGS, layout.HISTORY, layout.METADATA)
    target = HttpTarget(url="https://inbox.example/", format=ExportFormat.SARIF)
    return ExportDocument(
        plan=PlanReference(namespace="team-a", name="nightly"),
        run_id="nightly",
        complete=True,
        files=tuple(publish.artifact(folder / name) for name in names),
        exports=(Destination(name="inbox", key="k", target=target),),
    )


def test_accepted_findings_take_no_room_in_sarif(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: open findings, which the receiver takes for fixed ones."""
    monkeypatch.setattr(sarif, "MAX_RESULTS", 5)
    high = {"template-id": "known", "info": {"severity": "high"}}
    known = [events.event(**high, **{"matched-at": f"https://h/{number}"}) for number in range(6)]
    exported = document(tmp_path, [*known, events.event(**{"template-id": "open"})])
    for exceptions, shown in ((ACCEPTED, ["open"]), (None, ["known"] * 5)):
        with Result(tmp_path, exported, exceptions) as result:
            body, _ = result.findings(ExportFormat.SARIF)
            content = b"".join(body.pieces)
        (run,) = json.loads(content)["runs"]
        assert [each["ruleId"] for each in run["results"]] == shown
        assert ("left out" in json.dumps(run["invocations"])) is (exceptions is None)
