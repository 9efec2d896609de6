"""The names of a schedule's runs. A name follows from why the run was started, so no run is made twice."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from scanplan.api.v1alpha1.scanschedule import StartReason

_MINUTE = "%Y%m%d%H%M"
_DIGITS = 12
"""Length of the suffix of a run's name. The name is the schedule's name, a dash, and the suffix."""


def name_at(schedule: str, time: datetime) -> str:
    """The name of the run for one time of the timetable. Its suffix is that time in UTC, to the minute."""
    return f"{schedule}-{time.astimezone(UTC).strftime(_MINUTE)}"


def name_of_trigger(schedule: str, trigger: str) -> str:
    """The name of the run that one value of `spec.trigger` asks for."""
    return f"{schedule}-t{hashlib.sha256(trigger.encode()).hexdigest()[: _DIGITS - 1]}"


def name_of_rescan(schedule: str, last: str, before: str, after: str) -> str:
    """The name of the run to create when the templates' digest has changed from `before` to `after`.

    Args:
        last: the run that was started last; empty: there was none. Templates may change to and fro, and each change has its run.
    """
    digest = hashlib.sha256(f"{last} {before} {after}".encode()).hexdigest()
    return f"{schedule}-r{digest[: _DIGITS - 1]}"


def reason_of(schedule: str, run: str) -> StartReason:
    """Why a run was started, by its name."""
    if time_of(schedule, run):
        return StartReason.SCHEDULED
    return StartReason.TEMPLATES_CHANGED if run.startswith(f"{schedule}-r") else StartReason.TRIGGERED


def suffix_of(run: str) -> str:
    """The suffix of a run's name, without the dash."""
    return run[-_DIGITS:]


def time_of(schedule: str, run: str) -> datetime | None:
    """The time that a run was made for, read from its name; None: the name has no such time, or is not of this schedule."""
    head, _, digits = run.rpartition("-")
    if head != schedule or len(digits) != _DIGITS or not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return datetime.strptime(digits, _MINUTE).replace(tzinfo=UTC)
    except ValueError:
        return None
