"""Which changes of a plan are recorded as Events, and which are not: `kubectl describe` shows what matters, once."""

from __future__ import annotations

import pytest

from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.core.status import events
from scanplan.core.status.conditions import for_phase, render
from tests.unit.core.objects import NOW


def status(phase: Phase, reason: Reason, message: str = "words") -> ScanPlanStatus:
    return ScanPlanStatus(phase=phase, conditions=render(for_phase(phase, reason, message), [], 1, NOW))


NEW = ScanPlanStatus(observed_generation=-1, phase=Phase.PENDING)
RUNNING = status(Phase.RUNNING, Reason.RUNNING)
RETRYING = status(Phase.RETRYING, Reason.RETRYING)

TOLD = [
    (RUNNING, status(Phase.RETRYING, Reason.RETRYING), True),
    (RUNNING, status(Phase.FAILED, Reason.OUT_OF_MEMORY), True),
    (NEW, status(Phase.FAILED, Reason.TARGET_DENIED), True),
    (NEW, status(Phase.PENDING, Reason.QUOTA_EXCEEDED), True),
    (RUNNING, status(Phase.PENDING, Reason.IMAGE_PULL_FAILED), True),
    (RUNNING, status(Phase.PENDING, Reason.UNSCHEDULABLE), True),
    (RUNNING, status(Phase.CANCELLED, Reason.CANCELLED), False),
    (NEW, status(Phase.COMPLETED, Reason.RESULT_REUSED), False),
]
NOT_TOLD = [
    (NEW, RUNNING),
    (NEW, status(Phase.QUEUED, Reason.QUEUED)),
    (RUNNING, status(Phase.COMPLETED, Reason.COMPLETED)),
    (RUNNING, status(Phase.SUSPENDED, Reason.SUSPENDED)),
    (RETRYING, status(Phase.RETRYING, Reason.RETRYING, "other words")),
]


@pytest.mark.parametrize(("old", "new", "warning"), TOLD)
def test_what_somebody_would_want_to_know(old: ScanPlanStatus, new: ScanPlanStatus, warning: bool) -> None:
    reason = new.conditions[0].reason
    assert events.of_change(old, new) == events.Event(warning, reason, "words")


@pytest.mark.parametrize(("old", "new"), NOT_TOLD)
def test_the_normal_course_is_on_the_status(old: ScanPlanStatus, new: ScanPlanStatus) -> None:
    assert events.of_change(old, new) is None


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (NEW, RUNNING, "Started"),
        (status(Phase.QUEUED, Reason.QUEUED), RUNNING, "Started"),
        (status(Phase.SUSPENDED, Reason.SUSPENDED), RUNNING, "Started"),
        (RETRYING, RUNNING, None),
        (RUNNING, status(Phase.RUNNING, Reason.COLLECTING), None),
        (RUNNING, status(Phase.COMPLETED, Reason.COMPLETED), "Completed"),
        (NEW, status(Phase.COMPLETED, Reason.RESULT_REUSED), "ResultReused"),
        (RUNNING, status(Phase.FAILED, Reason.OUT_OF_MEMORY), "OutOfMemory"),
        (NEW, status(Phase.QUEUED, Reason.QUEUED), None),
    ],
)
def test_the_owner_may_ask_for_the_normal_course_too(
    old: ScanPlanStatus, new: ScanPlanStatus, reason: str | None
) -> None:
    """Lost otherwise: a start and an end where a team's tools read Events alone."""
    event = events.of_change(old, new, lifecycle=True)
    assert (event.reason if event else None) == reason


def test_a_note_is_as_long_as_kubernetes_takes_it() -> None:
    event = events.of_change(NEW, status(Phase.FAILED, Reason.JOB_REJECTED, "x" * 3_000))
    assert event is not None
    assert len(event.message) == 1024
