"""Retention: which runs go, and how they go without hurting a scan.

`plan` decides from a survey: runs beyond a number per project, beyond an age, and the oldest beyond a size, but none
that is alive. Removing takes a handshake with attempts that are just beginning: the pruner marks the run and then looks
for life once more, an attempt makes its folder and then looks for the mark; whichever way they meet, one sees the other.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from scanplan.api import layout
from scanplan.api.errors import TemporaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.artifacts import durable, run_record

MARK = ".pruning"
_REMOVED_PREFIX = ".pruned-"
QUIET_SECONDS = 3600.0
"""A run that changed within this time is alive: attempts beat every 20 seconds, backoff takes minutes, and within the
idempotency window a published shard must be found again."""
_STALE_MARK_SECONDS = 600.0


class RunOnDisk(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the survey saw it."""

    run_id: str
    project_id: str
    bytes: int
    changed_at: float
    """Seconds since the epoch: the latest change of anything in it."""
    finished: bool
    """All of its tasks are merged, completely."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What to keep; None: no limit."""

    runs_per_project: int | None = None
    age_seconds: float | None = None
    total_bytes: int | None = None
    unfinished_seconds: float = 7 * 86_400.0
    """Runs with an incomplete task (suspended, waiting for a retry) stay at least so long after their last change."""


class Removal(msgspec.Struct, frozen=True):
    """A run that goes, and by which limit."""

    run: RunOnDisk
    because: Literal["number", "age", "size"]


def plan(runs: Iterable[RunOnDisk], policy: Policy, now: float) -> list[Removal]:
    """The runs to remove, oldest first; the result depends on nothing but the arguments."""
    removals: dict[str, Removal] = {}
    newest_first = sorted(runs, key=lambda run: (-run.changed_at, run.run_id))
    seen: dict[str, int] = {}
    for run in newest_first:
        seen[run.project_id] = seen.get(run.project_id, 0) + 1
        if not removable(run, policy, now):
            continue
        if policy.age_seconds is not None and now - run.changed_at > policy.age_seconds:
            removals[run.run_id] = Removal(run, "age")
        elif policy.runs_per_project is not None and seen[run.project_id] > policy.runs_per_project:
            removals[run.run_id] = Removal(run, "number")
    if policy.total_bytes is not None:
        left = sum(run.bytes for run in newest_first if run.run_id not in removals)
        for run in reversed(newest_first):
            if left > policy.total_bytes and run.run_id not in removals and removable(run, policy, now):
                removals[run.run_id] = Removal(run, "size")
                left -= run.bytes
    return sorted(removals.values(), key=lambda removal: (removal.run.changed_at, removal.run.run_id))


def removable(run: RunOnDisk, policy: Policy, now: float) -> bool:
    """Whether a run is neither alive nor waiting."""
    quiet = now - run.changed_at
    return quiet > QUIET_SECONDS and (run.finished or quiet > policy.unfinished_seconds)


def prune(claim: Path, policy: Policy, *, dry_run: bool = False, now: float | None = None) -> list[Removal]:
    """Remove the runs that `policy` doesn't keep.

    Args:
        claim: the claim's root, with ``ui_projects`` in it.
        dry_run: only say what would go.
        now: seconds since the epoch; None: the clock.

    Returns:
        What went (or would).

    Raises:
        OSError: the claim refused.
    """
    now = time.time() if now is None else now
    projects = claim / layout.PROJECTS
    removals = plan(survey(projects), policy, now)
    if dry_run:
        return removals
    done = [removal for removal in removals if _remove(projects / removal.run.run_id, policy, now)]
    for left in projects.glob(f"{_REMOVED_PREFIX}*"):  # by us, and by a pruner that was killed
        shutil.rmtree(left, ignore_errors=True)
    return done


def survey(projects: Path) -> list[RunOnDisk]:
    """All runs below `projects`; folders without a run record are none of ours."""
    if not projects.is_dir():
        return []
    folders = sorted(path for path in projects.iterdir() if path.is_dir() and not path.is_symlink())
    return [run for path in folders if not path.name.startswith(".") and (run := look(path)) is not None]


def look(run: Path) -> RunOnDisk | None:
    """One run as it is now; None where it is none."""
    record = run_record.read(run)
    if record is None:
        return None
    size, changed = 0, 0.0
    for parent, folders, files in os.walk(run):
        for name in (*folders, *files):
            if name == MARK:
                continue
            with contextlib.suppress(FileNotFoundError):
                status = Path(parent, name).lstat()
                changed = max(changed, status.st_mtime)
                size += status.st_size if name in files else 0
    return RunOnDisk(
        run_id=run.name,
        project_id=record.project_id,
        bytes=size,
        changed_at=changed,
        finished=bool(record.tasks) and all(task.complete for task in record.tasks),
    )


def _remove(run: Path, policy: Policy, now: float) -> bool:
    mark = run / MARK
    token = durable.unique().encode()
    durable.replace(mark, token)  # by rename, since whoever writes to the run may have put a link there
    again = look(run)
    if again is None or not removable(again, policy, now) or durable.read_bytes(mark) != token:
        mark.unlink(missing_ok=True)
        return False
    gone = run.with_name(f"{_REMOVED_PREFIX}{durable.unique()}")
    run.rename(gone)  # at once, so that nobody ever sees half a run
    shutil.rmtree(gone)
    return True


def refuse_if_marked(run: Path, now: float) -> None:
    """The attempt's side of the handshake; call it after the attempt has made its folder.

    Args:
        run: the run's folder.
        now: seconds since the epoch.

    Raises:
        TemporaryError: a pruner is at work here; the next attempt finds the run gone, and begins it anew.
    """
    mark = run / MARK
    try:
        if now - mark.lstat().st_mtime < _STALE_MARK_SECONDS:
            raise TemporaryError(
                Reason.STORAGE_ERROR, "This run was just being pruned; the next attempt begins it anew."
            )
        mark.unlink(missing_ok=True)  # its pruner was killed
    except FileNotFoundError:
        return
