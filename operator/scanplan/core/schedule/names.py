"""The names of a schedule's runs. A name follows from why the run was started, so no run is made twice."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from scanplan.api.v1alpha1.scanschedule import StartReason

_MINUTE = "%Y%m%d%H%M"
_DIGITS = 12
"""Characters of what a run's name adds to the schedule's, after a dash."""


def name_at(schedule: str, time: datetime) -> str:
    """The name of the run of one time."""
    return f"{schedule}-{time.astimezone(UTC).strftime(_MINUTE)}"


def name_of_trigger(schedule: str, trigger: str) -> str:
    """The name of the run that one value of `spec.trigger` asks for."""
    return f"{schedule}-t{hashlib.sha256(trigger.encode()).hexdigest()[: _DIGITS - 1]}"


def name_of_rescan(schedule: str, before: str, after: str) -> str:
    """The name of the run that a change of the templates' digest asks for."""
    digest = hashlib.sha256(f"{before} {after}".encode()).hexdigest()
    return f"{schedule}-r{digest[: _DIGITS - 1]}"


def reason_of(schedule: str, run: str) -> StartReason:
    """Why a run was started, by its name."""
    if time_of(schedule, run):
        return StartReason.SCHEDULED
    return StartReason.TEMPLATES_CHANGED if run.startswith(f"{schedule}-r") else StartReason.TRIGGERED


def suffix_of(run: str) -> str:
    """What a run's name adds to the schedule's."""
    return run[-_DIGITS:]


def time_of(schedule: str, run: str) -> datetime | None:
    """The time that a run was made for; None: it was triggered, or the name is another one."""
    head, _, digits = run.rpartition("-")
    if head != schedule or len(digits) != _DIGITS or not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return datetime.strptime(digits, _MINUTE).replace(tzinfo=UTC)
    except ValueError:
        return None
