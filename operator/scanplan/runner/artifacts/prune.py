"""Removes old runs from the claim, without hurting a scan.

`plan` decides from a survey: runs beyond a number per project, beyond an age, and the oldest beyond a size, but none
that is alive. Removing takes a handshake with attempts that are just beginning: the pruner marks the run and then looks
for life once more, an attempt makes its folder and then looks for the mark; whichever way they meet, one sees the other.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from scanplan.api import layout
from scanplan.api.errors import TemporaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.artifacts import durable, removal, run_record

MARK = ".pruning"
_REMOVED_PREFIX = ".pruned-"
QUIET_SECONDS = 3600.0
"""A run that changed within this time is alive: attempts beat every 20 seconds, backoff takes minutes, and within the
idempotency window a published shard must be found again."""
_STALE_MARK_SECONDS = 600.0
_BLOCK_BYTES = 512
"""The unit of `st_blocks`, whatever the file system's own blocks are (stat(2))."""
Tell = Callable[[str, OSError], None]


class RunOnDisk(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the survey saw it."""

    run_id: str
    project_id: str
    bytes: int
    """Room that it takes on the volume: neither holes nor second names of a file count."""
    changed_at: float
    """Seconds since the epoch: the latest change of anything in it, at most when the system saw it."""
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
    return sorted(removals.values(), key=lambda each: (each.run.changed_at, each.run.run_id))


def removable(run: RunOnDisk, policy: Policy, now: float) -> bool:
    """Whether a run is neither alive nor waiting."""
    quiet = now - run.changed_at
    return quiet > QUIET_SECONDS and (run.finished or quiet > policy.unfinished_seconds)


def prune(claim: Path, policy: Policy, tell: Tell, *, dry_run: bool = False, now: float | None = None) -> list[Removal]:
    """Remove the runs that `policy` doesn't keep.

    Args:
        claim: the claim's root, with ``ui_projects`` in it.
        tell: called for each run that can't be read or removed, with the error; the others are pruned all the same.
        dry_run: only say what would go.
        now: seconds since the epoch; None: the clock.

    Returns:
        What went (or would).

    Raises:
        OSError: the claim itself can't be read.
    """
    now = time.time() if now is None else now
    projects = claim / layout.PROJECTS
    removals = plan(survey(projects, tell), policy, now)
    if dry_run:
        return removals
    done = []
    for each in removals:
        with _told(each.run.run_id, tell):
            if _remove(projects / each.run.run_id, policy, now):
                done.append(each)
    for left in projects.glob(f"{_REMOVED_PREFIX}*"):  # by us, and by a pruner that was killed
        with _told(left.name, tell):
            removal.remove(left)
    return done


def survey(projects: Path, tell: Tell) -> list[RunOnDisk]:
    """All runs below `projects` that can be read; folders without a run record are none of ours."""
    if not projects.is_dir():
        return []
    found = []
    for path in sorted(projects.iterdir()):
        with _told(path.name, tell):
            if path.name.startswith(".") or path.is_symlink() or not path.is_dir():
                continue
            if (run := look(path)) is not None:
                found.append(run)
    return found


@contextlib.contextmanager
def _told(run_id: str, tell: Tell) -> Iterator[None]:
    """One run's error must not keep the others from being pruned: whoever writes to a run could cause it."""
    try:
        yield
    except OSError as error:
        tell(run_id, error)


def look(run: Path) -> RunOnDisk | None:
    """One run as it is now; None where it is none.

    Whoever writes to a run may set times of files and make files with holes, so that the run seems young, or larger than all
    others. So a time counts up to when the system saw the change (ctime), and a size by the blocks that it takes.

    Raises:
        OSError: it can't be read.
    """
    record = run_record.read(run)
    if record is None:
        return None
    size, changed = 0, 0.0
    counted: set[tuple[int, int]] = set()
    folders = [str(run)]
    while folders:
        for entry in _entries(folders.pop()):
            if entry.name == MARK:
                continue
            with _unseen():
                status = entry.stat(follow_symlinks=False)
                changed = max(changed, min(status.st_mtime, status.st_ctime))
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif status.st_nlink > 1:
                    if (status.st_dev, status.st_ino) in counted:
                        continue
                    counted.add((status.st_dev, status.st_ino))
                size += status.st_blocks * _BLOCK_BYTES
    return RunOnDisk(
        run_id=run.name,
        project_id=record.project_id,
        bytes=size,
        changed_at=changed,
        finished=bool(record.tasks) and all(task.complete for task in record.tasks),
    )


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """Those of a folder; none where it can't be seen into: then its own times count."""
    with _unseen(), os.scandir(folder) as entries:
        return list(entries)
    return []


@contextlib.contextmanager
def _unseen() -> Iterator[None]:
    """What is gone, was closed by its owner, or lies too deep is passed over; other errors are the volume's."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG}:
            raise


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
    removal.remove(gone)
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
