"""The record of one finding: lost otherwise is what to do about it, or the reader's browser."""

from __future__ import annotations

import io
import json
from typing import Any

import jsonschema
import pytest

from scanplan.findings import history
from scanplan.findings.history import Entry, State
from scanplan.web.api import openapi
from scanplan.web.findings import record
from tests.unit.report import events


def known(event: dict[str, Any]) -> Entry:
    """The finding's line of a history."""
    found = history.sighting(json.dumps(event).encode())
    assert found is not None
    members = {name: getattr(found, name) for name in found.__struct_fields__}
    return Entry(**members, state=State.OPEN, first_seen="", last_seen="")


def found(file: bytes, entry: Entry) -> dict[str, Any] | None:
    told = record.find(io.BytesIO(file), entry)
    return record.shown(told[0]) if told else None


def test_the_record_of_the_finding_is_found_among_others() -> None:
    """The newest one, where several records are one finding; another one where that is gone."""
    other = events.event(**{"matched-at": "https://app.example.com/other"})
    older = events.event(**{"matched-at": "https://app.example.com/users/1111", "response": "older"})
    newer = events.event(**{"matched-at": "https://app.example.com/users/2222", "response": "newer"})
    for lines, expected in (((other, older, newer), "newer"), ((other, older), "older"), ((other,), None)):
        shown = found(b"".join(events.lines(lines)), known(newer))
        assert (shown and shown["response"]) == expected


def test_what_is_shown_is_what_the_document_promises() -> None:
    shown = found(b"".join(events.lines([events.event()])), known(events.event()))
    assert shown is not None
    schema = openapi.document()["components"]["schemas"]["OneFinding"]["properties"]["record"]
    jsonschema.validate(shown, schema)
    assert shown["references"] == [{"text": "https://cwe.example/527", "address": "https://cwe.example/527"}]
    assert shown["request"].startswith("GET /.git/config")


@pytest.mark.parametrize("hostile", [*events.HOSTILE, "x" * 100_000])
def test_hostile_texts_are_cut_and_hide_nothing(hostile: str) -> None:
    event = events.event(
        request=hostile,
        response=hostile,
        info={"remediation": hostile, "reference": [hostile, *events.HOSTILE_ADDRESSES] * 20},
    )
    shown = found(b"".join(events.lines([event])), known(event))
    assert shown is not None
    assert not {
        character for character in json.dumps(shown, ensure_ascii=False) if ord(character) in (0x1B, 0x202E, 0x9B)
    }
    assert len(shown["response"]) <= 8_000
    assert len(shown["references"]) == 50
    assert {each["address"] for each in shown["references"]} <= {""}


def test_a_line_without_end_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: the API's memory, by one line of a claim."""
    monkeypatch.setattr(record, "MOST_LINE_BYTES", 4_096)
    (line,) = events.lines([events.event()])
    assert found(b'{"template-id":"git-config"' + b" " * 100_000 + b"\n" + line, known(events.event())) is not None
