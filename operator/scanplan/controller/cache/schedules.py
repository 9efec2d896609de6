"""The known schedules: what the core and the metrics read of each."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from scanplan.api import labels
from scanplan.api.times import parse_time
from scanplan.api.v1alpha1.scanschedule import ScanScheduleSpec, ScanScheduleStatus, ScanTemplate, ScanTemplateSpec
from scanplan.controller.cache.bodies import identity_of, spec_of, status_of
from scanplan.controller.cache.deletions import Deletions
from scanplan.controller.cache.known import Known
from scanplan.core.schedule.schedule import Schedule
from scanplan.kube.objects import Object

_STAND_IN = ScanScheduleSpec.model_construct(
    schedule="", template=ScanTemplate.model_construct(spec=ScanTemplateSpec.model_construct(templates=[]))
)


class Facts(NamedTuple):
    """What metrics say of a schedule."""

    next: datetime | None
    """When its next run starts, with its offset."""
    last_successful: datetime | None
    last_failed: bool
    """The newest run that has ended did not complete."""
    missed: int
    skipped: int


class Schedules(Known[Schedule, Facts]):
    """By name."""

    def __init__(self, deletions: Deletions | None = None) -> None:
        """`deletions`: as in `Known`."""
        super().__init__(labels.SCHEDULE_KIND, schedule_of, _facts, deletions)


def _facts(schedule: Schedule) -> Facts:
    status = schedule.status
    begin, succeeded = parse_time(status.next_schedule_time), status.condition("Succeeded")
    return Facts(
        next=begin + schedule.offset if begin else None,
        last_successful=parse_time(status.last_successful_time),
        last_failed=succeeded is not None and succeeded.status == "False",
        missed=status.missed or 0,
        skipped=status.skipped or 0,
    )


def schedule_of(body: Object) -> Schedule:
    """A ScanSchedule object as the core reads it."""
    spec, problem = spec_of(ScanScheduleSpec, body, _STAND_IN)
    status, unreadable = status_of(ScanScheduleStatus, body)
    return Schedule(**identity_of(body), spec=spec, status=status, problem=problem, unreadable=unreadable)
