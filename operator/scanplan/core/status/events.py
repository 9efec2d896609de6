"""Which changes of a plan are worth an Event: those that somebody would want to know of, and that are not the normal course.

A scan that starts and completes is on the status and in the Job's own events. Writing it a third time costs two requests a plan,
so it is recorded only where the owner asks for it. What goes wrong, is tried again, is cancelled or was taken over is always
recorded, once, with the words of the status.
"""

from __future__ import annotations

from dataclasses import dataclass

from scanplan.api.v1alpha1.conditions import ConditionType, Reason
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus

_WARNINGS = {Phase.FAILED, Phase.RETRYING}
_REASONS = {Reason.RESULT_REUSED, Reason.QUOTA_EXCEEDED, Reason.IMAGE_PULL_FAILED, Reason.UNSCHEDULABLE}
_MESSAGE_LENGTH = 1024
"""Bound on an Event's note (events.k8s.io/v1)."""


@dataclass(frozen=True, slots=True)
class Event:
    """An Event about a plan."""

    warning: bool
    reason: str
    message: str


def of_change(old: ScanPlanStatus, new: ScanPlanStatus, lifecycle: bool = False) -> Event | None:
    """The Event for a status that changes from `old` to `new`; None where the change is not worth one.

    Args:
        lifecycle: the normal course is worth Events too: a start, and a scan that is complete.
    """
    reason, message = _ready(new)
    if (new.phase, reason) == (old.phase, _ready(old)[0]):
        return None
    if lifecycle and (usual := _of_lifecycle(old, new)):
        return Event(False, usual, message[:_MESSAGE_LENGTH])
    if new.phase not in {*_WARNINGS, Phase.CANCELLED} and reason not in _REASONS:
        return None
    warning = new.phase in _WARNINGS or reason in _REASONS - {Reason.RESULT_REUSED}
    return Event(warning, reason, message[:_MESSAGE_LENGTH])


def _of_lifecycle(old: ScanPlanStatus, new: ScanPlanStatus) -> Reason | None:
    if new.phase is Phase.RUNNING and old.phase not in {Phase.RUNNING, Phase.RETRYING}:
        return Reason.STARTED
    reused = _ready(new)[0] == Reason.RESULT_REUSED
    return Reason.COMPLETED if new.phase is Phase.COMPLETED and not reused else None


def _ready(status: ScanPlanStatus) -> tuple[str, str]:
    """Reason and message of the Ready condition."""
    ready = status.condition(ConditionType.READY)
    return (ready.reason, ready.message) if ready else ("", "")
