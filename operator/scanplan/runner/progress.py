"""Reports a shard's progress in the pod's log, one JSON line for each event.

The operator's status holds whole shards only; percent within a shard is read from here on demand, by people, the CLI and
the API. A scan says that it started, at most every five seconds where it is, and how it finished; warnings at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import msgspec

from scanplan.api.documents.report import ShardReport

INTERVAL_SECONDS = 5.0


Kind = Literal["started", "progress", "warning", "finished"]


class Event(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One line of the pod's log."""

    time: str
    event: Kind
    shard: int
    attempt: int = 0
    percent: int = -1
    requests: int = -1
    endpoints: int = -1
    findings: int = -1
    outcome: str = ""
    message: str = ""


OnProgress = Callable[[Event], None]


class Pace:
    """Lets something happen at most once an interval, on the monotonic clock."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._next = time.monotonic() + interval

    def due(self, now: float) -> bool:
        """Whether it may happen again; then it counts as happened."""
        if now < self._next:
            return False
        self._next = now + self._interval
        return True


def finished(report: ShardReport, moment: str) -> Event:
    """The last event of an attempt (or of a collector, whose shard is -1).

    Args:
        report: how it came out.
        moment: RFC 3339.
    """
    return Event(
        time=moment,
        event="finished",
        shard=report.shard,
        attempt=report.attempt,
        endpoints=report.endpoints,
        findings=report.findings.total,
        outcome=report.outcome.value,
        message=f"{report.error.reason}: {report.error.message}" if report.error else "",
    )


def line(event: Event) -> str:
    """An event as the line that the log gets, without its newline."""
    return msgspec.json.encode(event).decode()


def ignore(_event: Event) -> None:
    """The `on_progress` of who doesn't want to know."""
