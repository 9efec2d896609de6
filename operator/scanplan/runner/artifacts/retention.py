"""Removes old runs from the claim, and old tasks of runs that stay, without hurting a scan.

All scans of a schedule are tasks of one run, which changes with each of them. `plan` decides from a survey what goes: runs
beyond a number per project, tasks beyond that number per run, what is beyond an age, and the oldest beyond a size. Nothing goes
that is alive. A task that another one is compared with goes with its run. Removing takes a handshake with attempts that are
just beginning. The pruner marks the run or the task and then looks for life once more. An attempt makes its folder and then
looks for the mark. Whichever way they meet, one sees the other.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec

from scanplan.api import layout
from scanplan.api.documents.records import RunRecord
from scanplan.api.errors import TemporaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.artifacts import durable, removal, run_record

MARK = ".pruning"
"""In a run's folder, while the run is removed; with a dash and the name of a task's folder, while that one is."""
_REMOVED_PREFIX = ".pruned-"
QUIET_SECONDS = 3600.0
"""What changed within this time is alive: attempts beat every 20 seconds, backoff takes minutes, and within the idempotency window
a published shard must be found again."""
_STALE_MARK_SECONDS = 600.0
_BLOCK_BYTES = 512
"""The unit of `st_blocks`, whatever the file system's own blocks are (stat(2))."""
_TASKS = layout.task_directory("").name
Tell = Callable[[str, OSError], None]
Limit = Literal["number", "age", "size"]


class TaskOnDisk(msgspec.Struct, frozen=True, kw_only=True):
    """A task of a run as the survey saw it."""

    name: str
    """Of its folder."""
    bytes: int
    changed_at: float
    finished: bool
    """It is merged, completely."""
    compared_with: str = ""
    """Name of the task whose history its own goes on from; empty: there is none."""


class RunOnDisk(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the survey saw it."""

    run_id: str
    project_id: str
    bytes: int
    """Room that it takes on the volume: neither holes nor second names of a file count."""
    changed_at: float
    """Seconds since the epoch: the latest change of anything in its tasks, at most when the system saw it."""
    tasks: tuple[TaskOnDisk, ...] = ()
    """In the order in which they were created."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What to keep; None: no limit."""

    number: int | None = None
    """Runs of each project, and tasks of each run."""
    age_seconds: float | None = None
    total_bytes: int | None = None
    unfinished_seconds: float = 7 * 86_400.0
    """An incomplete task (suspended, waiting for a retry) stays at least so long after its last change."""


class Removal(msgspec.Struct, frozen=True):
    """What goes, and by which limit."""

    run: RunOnDisk
    because: Limit
    task: TaskOnDisk | None = None
    """None: the whole run."""

    @property
    def bytes(self) -> int:
        """Room that is free afterwards."""
        return (self.task or self.run).bytes

    @property
    def order(self) -> tuple[float, str, bool, str]:
        """Sorts the oldest first, and a run after its tasks."""
        return (
            (self.task or self.run).changed_at,
            self.run.run_id,
            self.task is None,
            self.task.name if self.task else "",
        )


def plan(runs: Iterable[RunOnDisk], policy: Policy, now: float) -> list[Removal]:
    """What to remove, oldest first; the result depends on nothing but the arguments."""
    removals: list[Removal] = []
    left: list[Removal] = []
    """What may go for its size."""
    seen: collections.Counter[str] = collections.Counter()
    runs = sorted(runs, key=lambda run: (-run.changed_at, run.run_id))
    for run in runs:
        seen[run.project_id] += 1
        because = _limit(run.changed_at, seen[run.project_id], policy, now)
        if removable(run, policy, now):
            (removals if because else left).append(Removal(run, because or "size"))
            if because:
                continue
        needed = _needed(run, now)
        for number, task in enumerate(sorted(run.tasks, key=lambda task: (-task.changed_at, task.name)), 1):
            if task.name not in needed and _task_removable(task, policy, now):
                because = _limit(task.changed_at, number, policy, now)
                (removals if because else left).append(Removal(run, because or "size", task))
    if policy.total_bytes is not None:
        removals += _beyond(policy.total_bytes - sum(run.bytes for run in runs), removals, left)
    whole = {removal.run.run_id for removal in removals if removal.task is None}
    return sorted(
        (removal for removal in removals if removal.task is None or removal.run.run_id not in whole),
        key=lambda removal: removal.order,
    )


def _limit(changed_at: float, number: int, policy: Policy, now: float) -> Limit | None:
    """The limit that something is beyond: the `number`th of its kind, counted from the newest."""
    if policy.age_seconds is not None and now - changed_at > policy.age_seconds:
        return "age"
    return "number" if policy.number is not None and number > policy.number else None


def _beyond(room: int, removals: Sequence[Removal], left: Iterable[Removal]) -> Iterator[Removal]:
    """The oldest of `left` that have to go until there is room. `room`: what all runs leave of the limit; less than 0: none."""
    freed: collections.Counter[str] = collections.Counter()
    for each in removals:
        freed[each.run.run_id] += each.bytes
    room += freed.total()
    for each in sorted(left, key=lambda removal: removal.order):
        if room >= 0:
            return
        run_id = each.run.run_id
        more = each.bytes if each.task else each.bytes - freed[run_id]
        freed[run_id] += more
        room += more
        yield each


def removable(run: RunOnDisk, policy: Policy, now: float) -> bool:
    """Whether nothing in a run is alive or waiting."""
    if not run.tasks:
        return now - run.changed_at > max(QUIET_SECONDS, policy.unfinished_seconds)
    return all(_task_removable(task, policy, now) for task in run.tasks)


def _task_removable(task: TaskOnDisk, policy: Policy, now: float) -> bool:
    """Whether a task is neither alive nor waiting."""
    quiet = now - task.changed_at
    return quiet > QUIET_SECONDS and (task.finished or quiet > policy.unfinished_seconds)


def _needed(run: RunOnDisk, now: float) -> set[str]:
    """The tasks that stay as long as the run does.

    They are the newest one, which the next task will be compared with, and each that a task still at work is compared with.
    """
    finished = [task for task in run.tasks if task.finished]
    newest = (finished or run.tasks)[-1:]
    living = [task for task in run.tasks if not task.finished or now - task.changed_at <= QUIET_SECONDS]
    return {*(task.name for task in newest), *(task.compared_with for task in living)}


def prune(claim: Path, policy: Policy, tell: Tell, *, dry_run: bool = False, now: float | None = None) -> list[Removal]:
    """Remove the runs and tasks that `policy` doesn't keep.

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
            if _remove(projects / each.run.run_id, each.task, policy, now):
                done.append(each)
    for run in {each.run.run_id: each.run for each in done if each.task}.values():
        with _told(run.run_id, tell):
            run_record.update(projects / run.run_id, RunRecord(run_id=run.run_id, project_id=run.project_id))
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
    sizes: collections.Counter[str] = collections.Counter()
    changes: dict[str, float] = {}
    """By the name of a task; what belongs to none is under an empty name."""
    counted: set[tuple[int, int]] = set()
    for entry, status in _below(run):
        name = _task_of(entry, run)
        if not name and entry.name.startswith(MARK):
            continue
        changes[name] = max(changes.get(name, 0.0), _changed_at(status))
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            if (status.st_dev, status.st_ino) in counted:
                continue
            counted.add((status.st_dev, status.st_ino))
        sizes[name] += status.st_blocks * _BLOCK_BYTES
    others = changes.pop("", 0.0)
    return RunOnDisk(
        run_id=run.name,
        project_id=record.project_id,
        bytes=sizes.total(),
        changed_at=max(changes.values(), default=others),
        tasks=tuple(_tasks(run, record, sizes, changes)),
    )


def _tasks(
    run: Path, record: RunRecord, sizes: Mapping[str, int], changes: Mapping[str, float]
) -> Iterator[TaskOnDisk]:
    """The tasks of a run in the order of its record; those that it does not list come last, and are not finished."""
    listed = {PurePosixPath(task.path).name: task.complete for task in record.tasks}
    for name in (*listed, *sorted(changes.keys() - listed.keys())):
        if name in changes:
            task = run_record.task_record(run / _TASKS / name)
            yield TaskOnDisk(
                name=name,
                bytes=sizes[name],
                changed_at=changes[name],
                finished=listed.get(name, False),
                compared_with=PurePosixPath(task.compared_with or "").name if task else "",
            )


def _task_of(entry: os.DirEntry[str], run: Path) -> str:
    """The task whose folder an entry of a run is, or is in; empty: it belongs to none."""
    first, *rest = entry.path.removeprefix(f"{run}/").split("/", 2)
    return rest[0] if first == _TASKS and rest and (len(rest) > 1 or entry.is_dir(follow_symlinks=False)) else ""


def _below(folder: Path) -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
    """All that is in a folder and in its folders."""
    folders = [str(folder)]
    while folders:
        for entry in _entries(folders.pop()):
            with _unseen():
                status = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                yield entry, status


def _changed_at(status: os.stat_result) -> float:
    return min(status.st_mtime, status.st_ctime)


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


def _remove(run: Path, task: TaskOnDisk | None, policy: Policy, now: float) -> bool:
    """Remove a run, or one of its tasks, if it is still not alive."""
    mark = run / (f"{MARK}-{task.name}" if task else MARK)
    token = durable.unique().encode()
    durable.replace(mark, token)  # by rename, since whoever writes to the run may have put a link there
    try:
        if not _still_removable(run, task, policy, now) or durable.read_bytes(mark) != token:
            return False
        gone = run.with_name(f"{_REMOVED_PREFIX}{durable.unique()}")
        if task:
            with durable.own_folder(run / _TASKS) as tasks:
                os.rename(task.name, gone, src_dir_fd=tasks)
        else:
            run.rename(gone)  # at once, so that nobody ever sees half a run
    finally:
        mark.unlink(missing_ok=True)
    removal.remove(gone)
    return True


def _still_removable(run: Path, task: TaskOnDisk | None, policy: Policy, now: float) -> bool:
    if task is None:
        again = look(run)
        return again is not None and removable(again, policy, now)
    folder = run / _TASKS / task.name
    changed_at = max(map(_changed_at, [folder.lstat(), *(status for _, status in _below(folder))]))
    return _task_removable(msgspec.structs.replace(task, changed_at=changed_at), policy, now)


def refuse_if_marked(run: Path, task: str, now: float) -> None:
    """The attempt's side of the handshake; call it after the attempt has made its folder.

    Args:
        run: the run's folder.
        task: name of the task's folder.
        now: seconds since the epoch.

    Raises:
        TemporaryError: a pruner is at work here; the next attempt finds the run or the task gone, and begins it anew.
    """
    for mark in (run / MARK, run / f"{MARK}-{task}"):
        try:
            if now - mark.lstat().st_mtime < _STALE_MARK_SECONDS:
                raise TemporaryError(
                    Reason.STORAGE_ERROR,
                    "What an earlier scan has left here was just being pruned; the next attempt begins anew.",
                )
            mark.unlink(missing_ok=True)  # its pruner was killed
        except FileNotFoundError:
            continue
