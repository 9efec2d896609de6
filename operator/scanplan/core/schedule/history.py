"""Which runs a schedule keeps."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanschedule import ScanScheduleSpec
from scanplan.core.manifests import exporting
from scanplan.core.schedule.schedule import Run

EXPORT_TIME = timedelta(seconds=exporting.DEADLINE_SECONDS)
"""So long exports keep their run."""


def surplus(spec: ScanScheduleSpec, runs: Iterable[Run], now: datetime) -> tuple[Run, ...]:
    """The runs to delete, oldest first: those that have ended, beyond the limits.

    Whatever the limits, the newest run that has ended stays: the status, the notifiers and the exports have yet to take it in.
    Completed runs that another run is, or will be, compared with stay too. These are the newest one, and those that a running
    scan may have found as the newest when it began. So does a run that is exported, for as long as an export Job may take: with
    the plan its Job would go.
    """
    known = [run for run in runs if not run.deleting]
    ended = sorted((run for run in known if run.ended), key=lambda run: run.order)
    completed = [run for run in ended if run.phase is Phase.COMPLETED]
    failed = [run for run in ended if run.phase is not Phase.COMPLETED]
    begun = min((run.created for run in known if not run.ended), default=None)
    kept = [*ended[-1:], *completed[-1:], *(run for run in ended if _is_exported(run, now))]
    if begun is not None:
        before = [run for run in completed if run.order[0] <= begun]
        kept += before[-1:] + [run for run in completed if run.order[0] > begun]
    old = [*_beyond(completed, spec.successful_runs_history_limit), *_beyond(failed, spec.failed_runs_history_limit)]
    return tuple(sorted((run for run in old if run not in kept), key=lambda run: run.order))


def _is_exported(run: Run, now: datetime) -> bool:
    return run.exporting_since is not None and now < run.exporting_since + EXPORT_TIME


def _beyond(runs: list[Run], limit: int) -> list[Run]:
    return runs[: max(0, len(runs) - limit)]
