"""Decides what to do about one schedule, from the schedule, its runs and the present time.

It is pure and level-triggered, like the reconcile of a plan. `nextScheduleTime` in the status is the earliest time that has no
run and is not yet counted as missed or skipped. The name of a run follows from its time, so the API server refuses a second run of
the same time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from scanplan.api.times import parse_time
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scanschedule import ConcurrencyPolicy, ScanScheduleStatus
from scanplan.core.schedule import history, names, rescan, runs, status, windows
from scanplan.core.schedule.decision import (
    NOTHING,
    RETRY_SECONDS,
    STALLED_SECONDS,
    Act,
    CancelRun,
    CreateRun,
    Decision,
    DeleteRun,
    Observed,
    Refusal,
    Write,
)
from scanplan.core.schedule.schedule import Run
from scanplan.core.schedule.timetable import InvalidTimetable, Timetable

CLOCK_CORRECTION = timedelta(minutes=10)
"""If the stored `nextScheduleTime` is later than the computed one by more than this, the clock was ahead when it was stored."""


@dataclass(frozen=True, slots=True)
class _Position:
    """Where a schedule is in its timetable."""

    next: datetime | None
    """The new `nextScheduleTime`; None: the schedule is suspended."""
    last_started: datetime | None
    """The latest time of the timetable for which a run is known to exist."""
    missed: int = 0
    """Times that got no run since the status was written: their deadline passed, a later time was due too, or the timetable was
    edited."""
    skipped: int = 0
    """Times that got no run because another run was in progress (concurrencyPolicy Forbid)."""
    last_lost: datetime | None = None
    """The last missed or skipped time."""
    start: datetime | None = None
    """The time for which to create a run now; None: no time is due."""


def reconcile(observed: Observed, now: datetime) -> Decision:
    """Decide about one schedule.

    Args:
        observed: a snapshot; nothing in it is changed.
        now: the present time, timezone-aware.
    """
    schedule = observed.schedule
    if schedule.deleting or schedule.unreadable:
        return NOTHING
    if schedule.problem:
        return _stalled(observed, Reason.INVALID_SPEC, schedule.problem, now)
    zone = observed.zones.get(schedule.spec.time_zone)
    if zone is None:
        message = f"timeZone {schedule.spec.time_zone!r} is no time zone of the IANA database"
        return _stalled(observed, Reason.INVALID_SCHEDULE, message, now)
    if problem := windows.problem((*schedule.spec.windows, *schedule.spec.template.spec.windows), observed.zones):
        return _stalled(observed, Reason.INVALID_SPEC, problem, now)
    try:
        timetable = Timetable(schedule.spec.schedule, zone)
    except InvalidTimetable as error:
        return _stalled(observed, Reason.INVALID_SCHEDULE, f"schedule {error}", now)
    return _Pass(observed, timetable, now).decide()


@dataclass(frozen=True, slots=True)
class _Pass:
    """One pass of the reconcile over one valid schedule."""

    observed: Observed
    timetable: Timetable
    now: datetime

    def decide(self) -> Decision:
        position = self._position()
        wanted = self._wanted(position)
        if wanted and not self._refusal(wanted[0]):
            name, time = wanted
            blocking = self._blocking()
            if not blocking:
                templates = self.observed.templates if rescan.is_asked_for(self.observed.schedule) else ""
                return Act((CreateRun(runs.build(self.observed.schedule, name, time, templates)),))
            if cancelled := tuple(CancelRun(run) for run in blocking if self._may_cancel and not run.cancelled):
                return Act(cancelled)
        if surplus := history.surplus(self.observed.schedule.spec, self.observed.runs, self.now):
            return Act(tuple(map(DeleteRun, surplus)))
        return self._write(position, wanted)

    # times

    def _position(self) -> _Position:
        schedule = self.observed.schedule
        last = self._last_started()
        next_time = parse_time(schedule.status.next_schedule_time)
        if schedule.status.timetable_digest != schedule.timetable_digest:
            return self._in_new_timetable(next_time, last)
        if schedule.spec.suspend:
            return _Position(None, last)
        # If the clock was ahead when the status was written, the stored next time is too late. Compute it again, from now or from
        # the time of the last run, whichever is later.
        recomputed = self.timetable.after(max(self.now, last or self.now))
        if next_time is None or recomputed < next_time - CLOCK_CORRECTION:
            next_time = recomputed
        return self._up_to_now(_Position(next_time, last))

    def _in_new_timetable(self, old_next: datetime | None, last: datetime | None) -> _Position:
        """The position of a schedule that is new, or whose timetable was edited.

        A new schedule gets runs from its creation on. After an edit, only future times get runs. If the next time of the old
        timetable (`old_next`) has passed without a run, it counts as missed.
        """
        schedule = self.observed.schedule
        is_new = schedule.status.timetable_digest is None and schedule.generation == 1
        since = min(schedule.created, self.now) if is_new else self.now  # the API server's clock may be ahead of ours
        first = None if schedule.spec.suspend else self.timetable.after(since)
        passed = old_next is not None and old_next + schedule.offset <= self.now and not self._has_run(old_next, last)
        position = _Position(first, last, missed=int(passed), last_lost=old_next if passed else None)
        return self._up_to_now(position) if is_new else position

    def _up_to_now(self, position: _Position) -> _Position:
        """Decide about the times from `position.next` until now: which were missed or skipped, and for which a run is due."""
        spec, first = self.observed.schedule.spec, position.next
        until = self.now - self.observed.schedule.offset
        if first is None:
            return position
        count, time = self.timetable.count(first, until)
        if time is None:
            return position
        missed_before = max(0, count - 1 - self._runs_between(first, time))
        last_lost = self._time_before(first, time) if missed_before else None
        following = self.timetable.after(time)
        if self._has_run(time, position.last_started):
            last = max(time, position.last_started or time)
            return replace(
                position, next=following, last_started=last, missed=position.missed + missed_before, last_lost=last_lost
            )
        if until - time > timedelta(seconds=spec.starting_deadline_seconds):
            return replace(position, next=following, missed=position.missed + missed_before + 1, last_lost=time)
        if spec.concurrency_policy is ConcurrencyPolicy.FORBID and self._blocking():
            return replace(position, next=following, missed=position.missed + missed_before, skipped=1, last_lost=time)
        return replace(position, next=time, missed=position.missed + missed_before, last_lost=last_lost, start=time)

    def _last_started(self) -> datetime | None:
        """The latest time of the timetable for which a run is known to exist."""
        written = parse_time(self.observed.schedule.status.last_schedule_time)
        made = (time for time in self._times_of_runs() if time <= self.now + CLOCK_CORRECTION)
        return max(filter(None, (written, *made)), default=None)

    def _times_of_runs(self) -> list[datetime]:
        name = self.observed.schedule.name
        return [time for run in self.observed.runs if (time := names.time_of(name, run.name))]

    def _has_run(self, time: datetime, last: datetime | None) -> bool:
        return time in self._times_of_runs() or time == last

    def _runs_between(self, first: datetime, time: datetime) -> int:
        """Number of times from `first` (included) to `time` (excluded) that have a run. They must not count as missed."""
        return sum(first <= each < time for each in set(self._times_of_runs()))

    def _time_before(self, first: datetime, time: datetime) -> datetime:
        count, last = self.timetable.count(first, time - timedelta(minutes=1))  # times are full minutes
        return last if count and last else first

    # runs

    @property
    def _may_cancel(self) -> bool:
        return self.observed.schedule.spec.concurrency_policy is ConcurrencyPolicy.REPLACE

    def _blocking(self) -> list[Run]:
        """The runs that have to end before another one starts."""
        if self.observed.schedule.spec.concurrency_policy is ConcurrencyPolicy.ALLOW:
            return []
        return [run for run in self.observed.runs if not run.ended]

    def _wanted(self, position: _Position) -> tuple[str, datetime | None] | None:
        """Name and time of the run to create now; None: there is none. A run for a trigger or for changed templates has no time."""
        schedule = self.observed.schedule
        if position.start:
            return names.name_at(schedule.name, position.start), position.start
        name = self._trigger_name() or self._rescan_name()
        return (name, None) if name else None

    def _trigger_name(self) -> str | None:
        """Name of the run to create because `spec.trigger` has a new value; None: it has none, or the run exists."""
        schedule = self.observed.schedule
        name = names.name_of_trigger(schedule.name, schedule.spec.trigger)
        return name if self._is_triggered() and not self._run_exists(name) else None

    def _rescan_name(self) -> str | None:
        """Name of the run to create because the templates have changed; None: none is due, or it exists."""
        schedule, status = self.observed.schedule, self.observed.schedule.status
        last = status.last_start.name if status.last_start else ""
        name = names.name_of_rescan(schedule.name, last, status.templates_digest or "", self.observed.templates)
        return name if rescan.is_wanted(self.observed) and not self._run_exists(name) else None

    def _run_exists(self, name: str) -> bool:
        return any(run.name == name for run in self.observed.runs)

    def _is_triggered(self) -> bool:
        """Whether `spec.trigger` has a new value. The value that the schedule was created with starts no run."""
        schedule = self.observed.schedule
        seen = schedule.status.timetable_digest is not None
        return seen and bool(schedule.spec.trigger) and schedule.spec.trigger != schedule.status.last_trigger

    def _refusal(self, name: str) -> Refusal | None:
        refusal = self.observed.refusal
        return refusal if refusal and refusal.run == name else None

    # the status

    def _write(self, position: _Position, wanted: tuple[str, datetime | None] | None) -> Write:
        schedule = self.observed.schedule
        refusal = self._refusal(wanted[0]) if wanted else None
        trigger_waits = self._trigger_name() is not None
        progress = status.Progress(
            next=position.next,
            zone=self.timetable.zone,
            last_started=position.last_started,
            missed=position.missed,
            skipped=position.skipped,
            last_lost=position.last_lost,
            trigger=schedule.status.last_trigger
            if trigger_waits
            else schedule.spec.trigger or schedule.status.last_trigger,
            templates=self._templates(),
            refusal=refusal,
            waits_for=tuple(sorted(run.name for run in self._blocking())) if wanted else (),
        )
        new = status.of(schedule, self.observed.runs, progress, self.now)
        return Write(
            status=_unless_same(schedule.status, new),
            decide_again_at=self._decide_again_at(position, refusal),
            events=status.events(progress, schedule.status.last_start, new.last_start),
        )

    def _templates(self) -> str | None:
        """The templates' digest to store. The old one stays until the run for the changed templates exists."""
        if not rescan.is_asked_for(self.observed.schedule):
            return None
        return self.observed.schedule.status.templates_digest if self._rescan_name() else self.observed.templates

    def _decide_again_at(self, position: _Position, refusal: Refusal | None) -> datetime | None:
        if refusal:
            return self.now + timedelta(seconds=STALLED_SECONDS if refusal.stalled else RETRY_SECONDS)
        if position.next is None:
            return None
        if position.start:  # this run waits for another one to end, until its starting deadline or the next time
            deadline = timedelta(seconds=self.observed.schedule.spec.starting_deadline_seconds, microseconds=1)
            return min(position.start + deadline, self.timetable.after(position.start)) + self.observed.schedule.offset
        return position.next + self.observed.schedule.offset


def _stalled(observed: Observed, reason: Reason, message: str, now: datetime) -> Write:
    schedule = observed.schedule
    return Write(status=_unless_same(schedule.status, status.of_stalled(schedule, observed.runs, reason, message, now)))


def _unless_same(old: ScanScheduleStatus, new: ScanScheduleStatus) -> ScanScheduleStatus | None:
    return None if old == new else new
