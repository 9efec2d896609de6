"""A running scan's findings at a terminal: not final, and no stranger to what the result has."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from scanplan.cli import running
from scanplan.client.cluster.failure import Failure
from scanplan.client.running import source
from scanplan.client.running.shown import Attempt, Current, Found, Full, PassedOver, Withdrawn
from scanplan.findings.exceptions import Match, ScanException, Suppressor
from tests.unit.report import events

ATTEMPT = Attempt("00ff", 2)
DECIDED = ScanException(
    name="decided",
    match=Match(templates=("known",)),
    expires_at=datetime(2099, 1, 1, tzinfo=UTC),
    reason="None of ours",
    status="WontFix",
)
SUPPRESSED = Suppressor([DECIDED], datetime.now(UTC))
PLAN = {
    "metadata": {"name": "nightly", "generation": 1},
    "status": {
        "observedGeneration": 1,
        "phase": "Completed",
        "findings": {"total": 2, "critical": 0, "high": 2, "medium": 0, "low": 0, "info": 0, "unknown": 0},
    },
}


def found(**members: object) -> Found:
    (line,) = events.lines([events.event(**members)])
    return Found(ATTEMPT, line.rstrip())


def test_json_is_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    view = running._Json("nightly", SUPPRESSED)
    for event in (
        found(**{"template-id": "known"}),
        Found(ATTEMPT, b"\xff no json"),
        Withdrawn(ATTEMPT, 1),
        PassedOver(ATTEMPT),
        Full(),
        Current(),
    ):
        view.event(event)
    view.state(PLAN)
    view.state(PLAN)
    view.ended(PLAN, 1, 0)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["event"] for each in told] == [
        "finding",
        "finding",
        "withdrawn",
        "passedOver",
        "full",
        "state",
        "ended",
    ]
    assert {each["plan"] for each in told} == {"nightly"}
    first, unreadable, withdrawn, *_, ended = told
    assert (first["final"], first["shard"], first["attempt"], first["finding"]["template-id"]) == (
        False,
        "00ff",
        2,
        "known",
    )
    assert first["suppressed"]["exception"] == "decided"
    assert unreadable["finding"] == "\N{REPLACEMENT CHARACTER} no json"
    assert withdrawn["findings"] == 1
    assert (ended["phase"], ended["shown"], ended["notInResult"], ended["findings"]["total"]) == ("Completed", 1, 0, 2)


def test_rows_are_for_people_and_say_that_they_are_not_final(capsys: pytest.CaptureFixture[str]) -> None:
    view = running._Rows("nightly", SUPPRESSED)
    view.state(PLAN)
    view.event(found(**{"template-id": "known", "matched-at": "https://a.example/\x1b[31m"}))
    view.event(Withdrawn(ATTEMPT, 1))
    view.ended(PLAN, 1, 1)
    told = capsys.readouterr()
    (row,) = told.out.splitlines()
    assert "known  https://a.example/\N{REPLACEMENT CHARACTER}[31m  (WontFix until 2099-01-01)" in row
    assert "running, not final" in told.err
    assert "1 findings of attempt 2 of shard 00ff were taken back" in told.err
    assert "Completed: 1 findings were shown, and the result has 2" in told.err
    assert "1 of the findings that were shown are not in the result" in told.err


@pytest.mark.parametrize("error", [Failure("the claim is gone"), zlib.error("no zlib"), KeyError("metadata")])
def test_whatever_ends_the_reading_ends_the_command(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: a `watch --findings` that waits for a thread that is not there."""

    class Broken:
        reader = None

        def __init__(self, *_: object) -> None:
            return

        def frames(self, _: object) -> Iterator[bytes]:
            yield b"T\n"
            raise error

    monkeypatch.setattr(source, "Claim", Broken)
    nothing: Any = None
    with contextlib.closing(running._Reading(nothing, {}, nothing)) as reading:
        reading._thread.join()
        pieces = reading.pieces()
        assert next(pieces) == b"T\n"
        with pytest.raises(type(error)):
            next(pieces)
