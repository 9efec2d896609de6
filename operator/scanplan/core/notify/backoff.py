"""When a message, or a receiver, is tried again: after 5 s at first, then twice as long each time, at most an hour, for a day."""

from __future__ import annotations

from datetime import datetime, timedelta

from scanplan.api.times import lenient_time

FIRST_SECONDS = 5.0
LONGEST_SECONDS = 3_600.0
KEPT = timedelta(days=1)
"""So long a message is tried. A scan that ended longer ago is told to nobody."""
LONGEST_RETRY_AFTER = 21_600.0
"""Seconds that a receiver may ask for: a wrong header must not silence it for ever."""
RECHECK_SECONDS = 60.0
"""Until a receiver that can't be sent to is looked at again: a Secret may come later."""
_MAX_DOUBLINGS = 16


def delay(failures: int, at_least: float = 0.0) -> timedelta:
    """How long to wait after so many failures in a row (from 1).

    Args:
        at_least: seconds that the receiver has asked for.
    """
    own = min(FIRST_SECONDS * 2.0 ** min(max(0, failures - 1), _MAX_DOUBLINGS), LONGEST_SECONDS)
    return timedelta(seconds=max(own, min(at_least, LONGEST_RETRY_AFTER)))


def until(text: str | None, now: datetime) -> datetime | None:
    """When the wait ends that a status records as `text`; None: it is over, or there is none.

    An end further away than the longest wait was written while the clock was ahead, and is ignored.
    """
    time = lenient_time(text)
    return time if time and now < time <= now + timedelta(seconds=LONGEST_RETRY_AFTER) else None
