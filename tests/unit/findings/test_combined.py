"""One project, several runs: lost otherwise is a finding that is counted twice, or called fixed by who did not look."""

from __future__ import annotations

from typing import Any

import pytest

from scanplan.findings.combined import combined
from scanplan.findings.history import Entry, State
from tests.unit.web.findings.entries import entry


def moment(day: int) -> str:
    return f"2026-11-{day:02}T06:00:00.000Z"


def seen(state: str, first: int, last: int, **more: Any) -> Entry:
    resolved = moment(more.pop("resolved")) if "resolved" in more else ""
    return entry(1, state=State(state), first_seen=moment(first), last_seen=moment(last), resolved_at=resolved, **more)


@pytest.mark.parametrize(
    ("one", "other", "state", "run", "first", "last"),
    [
        (seen("open", 1, 5), seen("open", 3, 9), "open", 1, 1, 9),
        (seen("open", 1, 5), seen("new", 9, 9), "open", 1, 1, 9),
        (seen("new", 9, 9), seen("new", 9, 9), "new", 0, 9, 9),
        (seen("open", 1, 5), seen("resolved", 2, 4, resolved=6), "resolved", 1, 1, 5),
        (seen("open", 1, 8), seen("resolved", 2, 4, resolved=6), "open", 0, 1, 8),
        (seen("reopened", 1, 9, reopened=1), seen("open", 2, 3), "reopened", 0, 1, 9),
    ],
)
def test_the_newest_evidence_says_what_a_finding_is(
    one: Entry, other: Entry, state: str, run: int, first: int, last: int
) -> None:
    ((found, number),) = combined([[one], [other]])
    assert (found.state, number) == (State(state), run)
    assert (found.first_seen, found.last_seen) == (moment(first), moment(last))
    assert found.times_seen == one.times_seen + other.times_seen
    assert found.reopened == one.reopened + other.reopened


def test_findings_of_all_runs_are_there_in_order_and_what_is_out_of_order_is_left_out() -> None:
    broken = [entry(5), entry(2), entry(5), entry(6)]
    found = [(each.identity[-1], run) for each, run in combined([[entry(1), entry(3)], broken, []])]
    assert found == [("1", 0), ("3", 0), ("5", 1), ("6", 1)]
