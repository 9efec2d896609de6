"""How many findings were open after each scan, by severity, as their histories tell it.

A history knows when a finding was first seen, when it came back last, and when it was resolved. So a finding that came back counts
from then on; how long it was open before is not known any more. A scan that changed nothing has no point of its own.
"""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from scanplan.api.documents.words import Severity
from scanplan.findings.history import Entry, State

MOST_POINTS = 200
_MOST_MOMENTS = 20_000
"""Moments that are told apart; a history that scans have written has one for each scan."""


class Point(NamedTuple):
    """What was open after a scan."""

    time: str
    """When the scan began."""
    open: dict[Severity, int]
    """Where it is not 0."""


class Trend:
    """Takes findings in any order."""

    def __init__(self) -> None:
        self._changes: defaultdict[str, Counter[Severity]] = defaultdict(Counter)

    def take(self, entry: Entry) -> None:
        """Count a finding from its begin to its end."""
        self._change(entry.reopened_at or entry.first_seen, entry.severity, 1)
        if entry.state is State.RESOLVED:
            self._change(entry.resolved_at, entry.severity, -1)
        else:
            self._change(entry.last_seen, entry.severity, 0)

    def points(self) -> Sequence[Point]:
        """The newest `MOST_POINTS` points, oldest first."""
        held: Counter[Severity] = Counter()
        points = []
        for time in sorted(self._changes):
            held.update(self._changes[time])
            points.append(Point(time, {severity: held[severity] for severity in Severity if held[severity] > 0}))
        return points[-MOST_POINTS:]

    def _change(self, time: str, severity: Severity, by: int) -> None:
        moment = _moment(time)
        if moment and (moment in self._changes or len(self._changes) < _MOST_MOMENTS):
            self._changes[moment][severity] += by


@functools.lru_cache(4_096)
def _moment(time: str) -> str:
    """A time in one form, so that times sort as text; empty where it is none."""
    try:
        return datetime.fromisoformat(time).astimezone(UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        return ""
