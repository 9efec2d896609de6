"""Reading a scan's record. Lost otherwise: all results of a newer operator, for everybody whose `scanplan` is older."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from scanplan.api.documents.report import Trouble
from scanplan.api.documents.words import ErrorClass
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.report import scan
from tests.unit.report import events

TROUBLED = {"endpoint": "a.example", "trouble": "failing", "count": 1, "total": 2, "remark": "did not answer"}
RECORD = events.record(
    complete=False,
    shards=[events.failed(0, "OutOfMemory", "raise the limit"), events.shard(1, endpointsTroubled=[TROUBLED])],
    files=[{"name": "report.html", "bytes": 3, "sha256": "f" * 64}],
    history={"since": "2026-11-20T06:00:00.000Z", "new": {"high": 1}},
    exceptions={"time": "2026-11-20T06:00:00Z", "used": [{"name": "known", "findings": 1}]},
    templatesNotRun=[{"template": "http/a.yaml", "reason": "needs a browser"}],
    discovery={"found": 1},
    endpointsFile={"endpoints": 7},
)
"""A record that has each kind of value once."""


def of_later(value: Any) -> Any:
    """The same value as a later version may write it: with one member more in each object."""
    if isinstance(value, dict):
        return {name: of_later(each) for name, each in value.items()} | {"aMemberOfLater": {"versions": True}}
    return [of_later(each) for each in value] if isinstance(value, list) else value


def test_members_of_a_later_version_are_ignored() -> None:
    written = json.loads(msgspec.json.encode(RECORD))
    later = of_later(written)
    later["templatesLeftOut"] = written["templatesLeftOut"]  # the one mapping with names of its own
    assert scan.read_scan(json.dumps(later).encode()) == RECORD


def test_words_of_a_later_version_are_read_as_the_general_ones() -> None:
    """The message, which is for people, stays."""
    written = json.loads(msgspec.json.encode(RECORD))
    written["shards"][0]["attempts"][0]["error"] |= {"class": "Later", "reason": "ComesLater"}
    written["shards"][1]["endpointsTroubled"][0]["trouble"] = "later"
    read = scan.read_scan(json.dumps(written).encode())
    error = read.shards[0].error
    assert error is not None
    assert (error.error_class, error.reason, error.message) == (
        ErrorClass.UNKNOWN,
        Reason.UNKNOWN_ERROR,
        "raise the limit",
    )
    assert read.shards[1].endpoints_troubled[0].trouble is Trouble.FAILING


@pytest.mark.parametrize("missing", ["key", "findings", "shards"])
def test_half_a_record_is_an_error_that_names_what_is_missing(missing: str) -> None:
    written = json.loads(msgspec.json.encode(RECORD))
    del written[missing]
    with pytest.raises(ValueError, match=f"missing required field `{missing}`"):
        scan.read_scan(json.dumps(written).encode())
