"""What was open after each scan: lost otherwise is whether it gets better."""

from __future__ import annotations

import pytest

from scanplan.api.documents.words import Severity
from scanplan.findings import trend
from scanplan.findings.history import State
from scanplan.findings.trend import Trend
from tests.unit.web.findings.entries import entry


def moment(day: int) -> str:
    return f"2026-11-{day:02}T06:00:00.000Z"


def test_each_scan_that_changed_something_has_a_point() -> None:
    told = Trend()
    told.take(entry(1, first_seen=moment(1), last_seen=moment(9)))
    told.take(entry(2, first_seen=moment(3), last_seen=moment(4), state=State.RESOLVED, resolved_at=moment(5)))
    told.take(entry(3, first_seen=moment(3), last_seen=moment(9), severity=Severity.LOW))
    told.take(entry(4, first_seen=moment(1), last_seen=moment(9), reopened=1, reopened_at=moment(7)))
    assert [(point.time[8:10], point.open) for point in told.points()] == [
        ("01", {Severity.HIGH: 1}),
        ("03", {Severity.HIGH: 2, Severity.LOW: 1}),
        ("05", {Severity.HIGH: 1, Severity.LOW: 1}),
        ("07", {Severity.HIGH: 2, Severity.LOW: 1}),
        ("09", {Severity.HIGH: 2, Severity.LOW: 1}),
    ]


@pytest.mark.parametrize("time", ["", "never", "9999-99-99", "<b>", "0001-01-01T00:00:00+23:59"])
def test_times_that_are_none_are_left_out(time: str) -> None:
    told = Trend()
    told.take(entry(1, first_seen=time, last_seen=time))
    assert list(told.points()) == []


def test_a_hostile_history_makes_no_endless_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trend, "_MOST_MOMENTS", 500)
    told = Trend()
    for number in range(5_000):
        time = f"2026-11-{1 + number % 28:02}T{number // 250:02}:{number % 60:02}:{number % 59:02}Z"
        told.take(entry(number, first_seen=time, last_seen=time))
    assert len(told.points()) == trend.MOST_POINTS
