"""A schedule's status, computed whole from what is observed, and the Events about what came to nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from scanplan.api.times import format_time, local_time, parse_time
from scanplan.api.v1alpha1.conditions import ConditionType, Reason
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanschedule import RunSummary, ScanScheduleStatus, Start, StartReason
from scanplan.core.schedule.decision import Refusal
from scanplan.core.schedule.names import reason_of
from scanplan.core.schedule.schedule import Run, Schedule
from scanplan.core.status.conditions import Condition, ConditionStatus, render
from scanplan.core.status.events import Event

MAX_ACTIVE = 100
"""Names of active runs on the status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a reconcile has found out about the times of a schedule."""

    next: datetime | None
    zone: tzinfo
    """Of the schedule."""
    last_started: datetime | None
    missed: int = 0
    """Since the status was written, as the next two."""
    skipped: int = 0
    last_lost: datetime | None = None
    trigger: str | None = None
    """The last value that was acted on."""
    templates: str | None = None
    """Digest of the templates of the last run; None: nobody asks for it."""
    refusal: Refusal | None = None
    waits_for: tuple[str, ...] = ()
    """Runs that have to end before the next one starts."""


def of(schedule: Schedule, runs: Iterable[Run], progress: Progress, now: datetime) -> ScanScheduleStatus:
    """The status of a schedule that can be read."""
    before = schedule.status
    conditions = _conditions(schedule, progress)
    return _assembled(
        schedule,
        tuple(runs),
        conditions,
        now,
        timetable_digest=schedule.timetable_digest,
        last_schedule_time=_text(progress.last_started),
        next_schedule_time=_text(progress.next),
        last_trigger=progress.trigger,
        templates_digest=progress.templates,
        missed=(before.missed or 0) + progress.missed,
        skipped=(before.skipped or 0) + progress.skipped,
        last_missed_time=_text(progress.last_lost) or before.last_missed_time,
    )


def of_stalled(
    schedule: Schedule, runs: Iterable[Run], reason: Reason, message: str, now: datetime
) -> ScanScheduleStatus:
    """The status of a schedule that can't be read; what is known of earlier times stays, and no time comes."""
    before = schedule.status
    return _assembled(
        schedule,
        tuple(runs),
        _broken(reason, message, stalled=True),
        now,
        # Another digest than any readable schedule's: what comes after the repair counts, and nothing before.
        timetable_digest=f"unreadable-{schedule.generation}",
        last_schedule_time=before.last_schedule_time,
        last_trigger=before.last_trigger if before.timetable_digest else schedule.spec.trigger or None,
        templates_digest=before.templates_digest,
        missed=before.missed or 0,
        skipped=before.skipped or 0,
        last_missed_time=before.last_missed_time,
    )


def events(progress: Progress, before: Start | None, start: Start | None) -> tuple[Event, ...]:
    """Events about a run that no timetable tells of, and about times that came to nothing.

    Args:
        before: the newest run as the status has it.
        start: the newest run.
    """
    found = []
    if start and start.reason is StartReason.TEMPLATES_CHANGED and (before is None or before.name != start.name):
        message = f"run {start.name} was started: another image holds the templates than at the last run"
        found.append(Event(warning=False, reason=Reason.TEMPLATES_CHANGED.value, message=message))
    if progress.last_lost is None:
        return tuple(found)
    if progress.missed:
        times = "1 time has" if progress.missed == 1 else f"{progress.missed} times have"
        message = f"{times} passed without a run until {format_time(progress.last_lost)}"
        found.append(Event(warning=True, reason=Reason.START_MISSED.value, message=message))
    if progress.skipped:
        message = f"no run at {format_time(progress.last_lost)}: the last scan has not ended (concurrencyPolicy Forbid)"
        found.append(Event(warning=False, reason=Reason.START_SKIPPED.value, message=message))
    return tuple(found)


def _assembled(
    schedule: Schedule, runs: tuple[Run, ...], conditions: list[Condition], now: datetime, **times: Any
) -> ScanScheduleStatus:
    before = schedule.status
    active = sorted(run.name for run in runs if not run.ended)
    last = _last_run(before.last_run, runs)
    completed = [run.completed for run in runs if run.phase is Phase.COMPLETED and run.completed]
    successful = max(filter(None, (parse_time(before.last_successful_time), *completed)), default=None)
    return ScanScheduleStatus(
        observed_generation=schedule.generation,
        conditions=render([*conditions, _succeeded(last)], before.conditions, schedule.generation, now),
        last_successful_time=_text(successful),
        active=tuple(active[:MAX_ACTIVE]),
        active_count=len(active),
        last_start=_last_start(schedule, runs),
        last_run=last,
        **times,
    )


def _last_start(schedule: Schedule, runs: Iterable[Run]) -> Start | None:
    """The newest run; it stays where it was deleted since."""
    before = schedule.status.last_start
    newest = max(runs, key=lambda run: (run.created, run.name), default=None)
    if newest is None or (before and before.time > format_time(newest.created)):
        return before
    reason = reason_of(schedule.name, newest.name)
    return Start(name=newest.name, reason=reason, time=format_time(newest.created))


def _last_run(before: RunSummary | None, runs: Iterable[Run]) -> RunSummary | None:
    """The newest run that has ended; it stays where it was deleted since."""
    newest = max((run for run in runs if run.ended), key=lambda run: run.order, default=None)
    if newest is None:
        return before
    found = RunSummary(
        name=newest.name,
        phase=newest.phase,
        reason=newest.reason,
        completion_time=_text(newest.completed),
        findings=newest.findings,
        new=newest.new,
        resolved=newest.resolved,
    )
    if (
        before
        and before.completion_time
        and found.name != before.name
        and before.completion_time > format_time(newest.order[0])
    ):
        return before
    return found


def _conditions(schedule: Schedule, progress: Progress) -> list[Condition]:
    if progress.refusal:
        return _broken(progress.refusal.reason, progress.refusal.message, progress.refusal.stalled)
    waits = f"the next run starts when {', '.join(progress.waits_for)} has ended" if progress.waits_for else ""
    if schedule.spec.suspend or progress.next is None:
        message = waits or "suspended; set suspend to false to go on with the next time"
        return [Condition(ConditionType.READY, "True", Reason.SUSPENDED, message)]
    start = local_time(progress.next + schedule.offset, progress.zone, schedule.spec.time_zone)
    return [Condition(ConditionType.READY, "True", Reason.SCHEDULED, waits or f"the next run starts at {start}")]


def _broken(reason: Reason, message: str, stalled: bool) -> list[Condition]:
    kind = ConditionType.STALLED if stalled else ConditionType.RECONCILING
    return [Condition(ConditionType.READY, "False", reason, message), Condition(kind, "True", reason, message)]


def _succeeded(last: RunSummary | None) -> Condition:
    """How the last run ended."""
    if last is None:
        return Condition(ConditionType.SUCCEEDED, "Unknown", Reason.NO_RUN_YET, "no run has ended yet")
    good: ConditionStatus = "True" if last.phase is Phase.COMPLETED else "False"
    reason = Reason(last.phase) if last.phase in {Phase.COMPLETED, Phase.CANCELLED} else Reason.RUN_FAILED
    why = f" ({last.reason})" if last.reason else ""
    return Condition(ConditionType.SUCCEEDED, good, reason, f"run {last.name}: {last.phase}{why}")


def _text(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None
