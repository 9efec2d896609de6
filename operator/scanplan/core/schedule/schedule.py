"""A schedule and its runs as the core reads them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from scanplan.api.times import lenient_time
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanschedule import ScanScheduleSpec, ScanScheduleStatus
from scanplan.core.exports import due
from scanplan.core.planning import keys
from scanplan.core.planning.task import Plan


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A ScanSchedule object."""

    namespace: str
    name: str
    uid: str
    generation: int
    created: datetime
    spec: ScanScheduleSpec
    status: ScanScheduleStatus
    resource_version: str = ""
    deleting: bool = False
    problem: str = ""
    """Why the spec can't be read (it was stored under another version's rules); `spec` is then no more than a stand-in."""
    unreadable: str = ""
    """Which fields the status has of a newer version of the operator; `status` is without them. Nothing may be written then."""

    @cached_property
    def timetable_digest(self) -> str:
        """Of the fields that say when runs start. After an edit of one, only times that are still to come count."""
        spec = self.spec
        return keys.digest(keys.canonical_json([spec.schedule, spec.time_zone, spec.spread_seconds, spec.suspend]))

    @cached_property
    def offset(self) -> timedelta:
        """How long after each time its run starts: the same in each life of the schedule."""
        hashed = hashlib.sha256(f"{self.namespace}/{self.name}".encode()).digest()
        return timedelta(seconds=int.from_bytes(hashed[:8], "big") % max(1, self.spec.spread_seconds))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A ScanPlan that a schedule owns, as far as the schedule asks."""

    name: str
    uid: str
    created: datetime
    phase: Phase = Phase.PENDING
    reason: str | None = None
    """What people should know beyond the phase, as its status has it."""
    ended: bool = False
    """Its scan has ended, for its spec as it is now."""
    completed: datetime | None = None
    """When it ended; None also where it could not run as written."""
    cancelled: bool = False
    """It was asked to end."""
    deleting: bool = False
    exporting_since: datetime | None = None
    """When the newest step of its exports began, while they have not ended; None: none is left to do."""
    templates: str = ""
    """Digest of the images that held its templates; empty: it is not known."""
    findings: int | None = None
    new: int | None = None
    resolved: int | None = None

    @property
    def order(self) -> tuple[datetime, str]:
        """By which runs that have ended are newer than others."""
        return self.completed or self.created, self.name


def run_of(plan: Plan) -> Run:
    """A plan as a run."""
    status = plan.status
    ended = status.phase is not None and status.phase.is_terminal and status.observed_generation == plan.generation
    completed = datetime.fromisoformat(status.completion_time) if ended and status.completion_time else None
    findings = status.findings
    return Run(
        name=plan.name,
        uid=plan.uid,
        created=plan.created,
        phase=status.phase or Phase.PENDING,
        reason=status.reason,
        ended=ended,
        completed=completed,
        exporting_since=_exporting_since(plan, completed),
        cancelled=plan.spec.cancel,
        deleting=plan.deleting,
        templates=plan.schedule.templates if plan.schedule else "",
        findings=findings.total if findings else None,
        new=findings.new if findings else None,
        resolved=findings.resolved if findings else None,
    )


def _exporting_since(plan: Plan, completed: datetime | None) -> datetime | None:
    """From the end of the scan, or from the start of its export Job. A wait for a quota may never end, so it sets no new time."""
    if completed is None or not due.due(plan):
        return None
    begun = [lenient_time(each.at) for each in plan.status.exports or () if each.reason == Reason.EXPORTING]
    return max(filter(None, [completed, *begun]))
