"""What is sent to DefectDojo. Lost otherwise: an open finding that is closed there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from scanplan.api import layout
from scanplan.api.documents.export import DefectDojoTarget, Destination, ExportDocument
from scanplan.api.documents.words import PlanReference
from scanplan.findings.history import State
from scanplan.runner.artifacts import publish
from scanplan.runner.exporting import defectdojo
from scanplan.runner.exporting.http import Answer, Body, Client
from scanplan.runner.exporting.result import Result
from tests.unit.report import events

FOUND = events.event()
MISSED = events.event(**{"matched-at": "https://down.example/.git/config", "host": "down.example"})
STARTED = "2026-11-24T06:39:20.000Z"
EARLIER = "2026-11-23T06:39:20.000Z"


class Receiver:
    """In the place of the client: takes everything, and keeps what it was sent."""

    content = b""

    def request(self, _method: str, _url: str, _headers: Mapping[str, str], body: Body) -> Answer:
        self.content = b"".join(body.pieces)
        return Answer(201, {})


def closes(folder: Path, record: dict[str, Any], missed: State) -> bool:
    """Whether DefectDojo is told to close what the result lacks."""
    (folder / "token").write_text("secret")
    seen, kept = events.read([FOUND, MISSED])
    life = [
        events.life(seen, state=State.OPEN, last_seen=STARTED),
        events.life(kept, state=missed, last_seen=EARLIER),
    ]
    (folder / layout.FINDINGS).write_bytes(b"".join(events.lines([FOUND])))
    (folder / layout.HISTORY).write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in life))
    (folder / layout.METADATA).write_bytes(msgspec.json.encode(events.record([seen], startedAt=STARTED, **record)))
    target = DefectDojoTarget(url="https://dojo.example", product="Shop", engagement="Nightly", test="ScanPlan a/b")
    export = Destination(name="dojo", key="k", target=target, secret=str(folder))
    document = ExportDocument(
        plan=PlanReference(namespace="a", name="b"),
        run_id="b",
        complete=True,
        files=tuple(publish.artifact(folder / name) for name in (layout.FINDINGS, layout.HISTORY, layout.METADATA)),
        exports=(export,),
    )
    receiver = Receiver()
    with Result(folder, document, None) as result:
        told = defectdojo.send(target, export, result, cast("Client", receiver))
    _, _, field = receiver.content.partition(b'name="close_old_findings"\r\n\r\n')
    value = field.partition(b"\r\n")[0]
    assert value in {b"true", b"false"}
    assert ("closed nothing" in told) is (value == b"false")
    return value == b"true"


@pytest.mark.parametrize(
    ("record", "missed", "expected"),
    [
        ({}, State.OPEN, True),
        ({"endpointsUnreachable": 1}, State.OPEN, False),
        ({"endpointsSkipped": 1}, State.OPEN, False),
        ({"endpointsThrottled": 1}, State.REOPENED, False),
        ({"endpointsBlocked": 1}, State.OPEN, False),
        ({"templatesNotRun": [{"template": "x", "reason": "y"}]}, State.OPEN, False),
        ({"endpointsBlocked": 1}, State.RESOLVED, True),
        ({"templatesNotRun": [{"template": "x", "reason": "y"}]}, State.RESOLVED, True),
    ],
    ids=str,
)
def test_defectdojo_closes_nothing_that_the_history_keeps_open(
    tmp_path: Path, record: dict[str, Any], missed: State, expected: bool
) -> None:
    """A finding of a scan that has missed nothing, and is open all the same, is of an endpoint that has left the plan."""
    assert closes(tmp_path, record, missed) is expected
