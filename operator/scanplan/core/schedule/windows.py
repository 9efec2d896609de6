"""Whether a scan may run now, by its windows, and until when that holds.

A window opens when its zone's clock first shows `from`, and closes when it first shows `to`. It belongs to the day on which it
opens. Where the clock skips such a time, the next minute that exists counts; a window that is skipped as a whole stays closed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from scanplan.api.v1alpha1.windows import WEEK, ScanWindow
from scanplan.core.schedule import clocks

_DAY = timedelta(days=1)
_BACK = 2
"""Days before today on which a window that is open now may have opened: zones differ by more than a day."""
_WEEK_AHEAD, _WEEKS_AHEAD = 9, 23
"""A window opens in each week. Where a change of the clock skips it, it opens in the next."""


@dataclass(frozen=True, slots=True)
class Open:
    """The scan may run. Windows that touch or overlap count as one."""

    since: datetime
    until: datetime
    """When to look again; of windows without an end, some day of the next week."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The scan may not run."""

    until: datetime
    zone: str
    """Name of the time zone of the window that opens then."""


@dataclass(frozen=True, slots=True, order=True)
class _Span:
    begin: datetime
    end: datetime
    zone: str


def problem(windows: Sequence[ScanWindow], zones: Mapping[str, tzinfo]) -> str:
    """Why the windows can't be read; empty: they can."""
    for number, window in enumerate(windows):
        if window.time_zone not in zones:
            return f"windows[{number}].timeZone {window.time_zone!r} is no time zone of the IANA database"
    return ""


def state(windows: Sequence[ScanWindow], zones: Mapping[str, tzinfo], now: datetime) -> Open | Closed:
    """What holds now. There is at least one window, and none has a `problem`."""
    for ahead in (_WEEK_AHEAD, _WEEKS_AHEAD):
        for span in _joined(_spans(windows, zones, now, ahead)):
            if now < span.begin:
                return Closed(span.begin, span.zone)
            if now < span.end:
                return Open(span.begin, span.end)
    raise AssertionError("each window opens once in two weeks")


def _spans(windows: Sequence[ScanWindow], zones: Mapping[str, tzinfo], now: datetime, ahead: int) -> Iterator[_Span]:
    for window in windows:
        zone = zones[window.time_zone]
        today, days = now.astimezone(zone).date(), _days(window.days)
        for day in (today + offset * _DAY for offset in range(-_BACK, ahead)):
            if day.weekday() in days:
                begin, end = _begin_and_end(window, day, zone)
                if begin < end:
                    yield _Span(begin, end, window.time_zone)


def _begin_and_end(window: ScanWindow, day: date, zone: tzinfo) -> tuple[datetime, datetime]:
    to = "00:00" if window.to == "24:00" else window.to
    last = day if window.begin < to else day + _DAY
    begin, end = (datetime.combine(on, time.fromisoformat(at)) for on, at in ((day, window.begin), (last, to)))
    return clocks.first(begin, zone), clocks.first(end, zone)


def _joined(spans: Iterator[_Span]) -> Iterator[_Span]:
    """In their order; those that touch or overlap as one."""
    joined: _Span | None = None
    for span in sorted(spans):
        if joined is None or joined.end < span.begin:
            if joined:
                yield joined
            joined = span
        elif joined.end < span.end:
            joined = _Span(joined.begin, span.end, joined.zone)
    if joined:
        yield joined


def _days(items: Sequence[str]) -> frozenset[int]:
    """Days of the week, Monday as 0. A range may go over Sunday."""
    found: set[int] = set()
    for item in items:
        first, _, last = item.partition("-")
        begin, end = WEEK.index(first), WEEK.index(last or first)
        found.update(day % len(WEEK) for day in range(begin, end + 1 if begin <= end else end + 1 + len(WEEK)))
    return frozenset(found)
