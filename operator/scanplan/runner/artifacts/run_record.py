"""The run's record, `run.json`, and its `artifacts` link.

A run belongs to the project that came first. Each of its tasks puts a record into its own folder, written once. The run record
is nothing but the list of these, in order, made anew whenever something changes. Since a writer looks again after it has
written, the last of several at a time has always seen all tasks, without any lock.
"""

from __future__ import annotations

import contextlib
from pathlib import Path, PurePosixPath

import msgspec

from scanplan.api import layout, wire
from scanplan.api.documents import records
from scanplan.api.documents.records import RunRecord, ScanMetadata, TaskArtifacts, TaskRecord, TaskScope
from scanplan.api.documents.task import TaskDocument
from scanplan.api.errors import ClaimError, TemporaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning import keys
from scanplan.runner.artifacts import durable

_MAX_ROUNDS = 20


def task_folder(run: Path, document: TaskDocument) -> Path:
    """The folder of a task in its run's folder."""
    return run / layout.task_directory(keys.key_digest(document.key))


def enter(run: Path, document: TaskDocument, now: float) -> None:
    """Make the task known in its run, before its first attempt; nothing where it is.

    Args:
        now: seconds since the epoch, the task's place in the order of the run.

    Raises:
        ClaimError: (RunIdConflict) the run belongs to another project.
        OSError: the claim refused.
    """
    first = RunRecord(run_id=document.run_id, project_id=document.project_id)
    path = run / layout.RUN_RECORD
    if not path.exists():
        durable.create(path, records.readable(first))
    owner = read(run)
    if owner is not None and owner.project_id != document.project_id:
        raise ClaimError(
            Reason.RUN_ID_CONFLICT,
            f"Run {document.run_id!r} on this volume belongs to project {owner.project_id!r}. Use another runId.",
        )
    folder = task_folder(run, document)
    durable.make_folder(folder)
    task = TaskRecord(
        key=document.key,
        project_id=document.project_id,
        run_id=document.run_id,
        plan=document.plan,
        created_at=records.timestamp(now),
        compared_with=_newest_complete(owner, document.key),
    )
    if not (folder / layout.TASK_RECORD).exists():
        durable.create(folder / layout.TASK_RECORD, records.readable(task))
    if document.names_endpoints:
        _keep_scope(folder, document)
    if owner is None or document.key not in {known.key for known in owner.tasks}:
        update(run, first)


def _keep_scope(folder: Path, document: TaskDocument) -> None:
    """Keep what the task scans; a Job that is made again may have other shards."""
    scope = TaskScope(
        endpoints=document.endpoints,
        endpoints_file=document.endpoints_file,
        shards=document.shards,
        templates=document.templates,
        severity_levels=document.severity_levels,
        discovery=document.discovery,
    )
    content = records.readable(scope)
    if not durable.holds(folder / layout.SCOPE, content):
        durable.replace(folder / layout.SCOPE, content)


def with_scope(run: Path, document: TaskDocument) -> TaskDocument:
    """A collector's document, completed by what the task's attempts have kept; one with endpoints stays as it is.

    Raises:
        TemporaryError: attempts have begun, and what they scan is not there.
        OSError: the claim refused.
    """
    if document.names_endpoints:
        return document
    folder = task_folder(run, document)
    try:
        scope = wire.decode(durable.read_record(folder / layout.SCOPE), TaskScope)
    except (FileNotFoundError, PermissionError, *wire.UNREADABLE):
        if not (folder / layout.SHARDS).exists():
            return document
        raise TemporaryError(
            Reason.STORAGE_ERROR, f"{layout.SCOPE} of the task is not on the volume any more: somebody removes it."
        ) from None
    return msgspec.structs.replace(
        document,
        endpoints=scope.endpoints,
        endpoints_file=scope.endpoints_file,
        shards=scope.shards,
        templates=scope.templates,
        severity_levels=scope.severity_levels,
        discovery=scope.discovery,
    )


def update(run: Path, first: RunRecord) -> None:
    """Bring the run's record and link up to date with its tasks' folders.

    Args:
        first: the run as such; its tasks don't matter.

    Raises:
        OSError: the claim refused.
    """
    for _ in range(_MAX_ROUNDS):
        record = msgspec.structs.replace(first, tasks=_tasks(run))
        content = records.readable(record)
        path = run / layout.RUN_RECORD
        if not durable.holds(path, content):
            durable.replace(path, content)
        _link(run, record)
        if _tasks(run) == record.tasks and durable.holds(path, content):
            return


def read(run: Path) -> RunRecord | None:
    """The run's record; None where there is none, or none that we understand."""
    try:
        return wire.decode(durable.read_record(run / layout.RUN_RECORD), RunRecord)
    except (FileNotFoundError, PermissionError, *wire.UNREADABLE):
        return None


def metadata(task: Path) -> ScanMetadata | None:
    """The metadata of a task's merged artifacts; None where it isn't merged."""
    try:
        return wire.decode(durable.read_record(task / layout.METADATA), ScanMetadata)
    except (FileNotFoundError, PermissionError, *wire.UNREADABLE):
        return None


def task_record(task: Path) -> TaskRecord | None:
    """The record in a task's folder; None where there is none, or none that we understand."""
    try:
        return wire.decode(durable.read_record(task / layout.TASK_RECORD), TaskRecord)
    except (FileNotFoundError, PermissionError, *wire.UNREADABLE):
        return None


def _newest_complete(record: RunRecord | None, but: str) -> str | None:
    """The folder of the newest complete task but one, by key."""
    tasks = record.tasks if record else ()
    return next((task.path for task in reversed(tasks) if task.complete and task.key != but), None)


def _tasks(run: Path) -> tuple[TaskArtifacts, ...]:
    found: list[TaskArtifacts] = []
    for path in run.glob(f"{layout.task_directory('*')}/{layout.TASK_RECORD}"):
        task = task_record(path.parent)
        if task is None:
            continue
        where = PurePosixPath(path.parent.relative_to(run))
        merged = metadata(path.parent)
        found.append(
            TaskArtifacts(
                key=task.key,
                plan=task.plan,
                created_at=task.created_at,
                path=str(where),
                complete=merged is not None and merged.complete,
                nuclei_output=str(where / layout.FINDINGS) if merged else None,
                metadata=str(where / layout.METADATA) if merged else None,
            )
        )
    return tuple(sorted(found, key=lambda task: (task.created_at, task.key)))


def _link(run: Path, record: RunRecord) -> None:
    """Point `artifacts` to the newest merged task.

    It is for people only. If the file system refuses links or renames (SMB, S3 mounts), or if the first, in-process version has
    left a folder of that name, it is not made, and nothing fails.
    """
    newest = next((task for task in reversed(record.tasks) if task.nuclei_output), None)
    link = run / layout.LATEST
    temporary = run / f".{layout.LATEST}.{durable.unique()}"
    try:
        if (
            newest is None
            or (link.is_symlink() and str(link.readlink()) == newest.path)
            or (link.exists() and not link.is_symlink())
        ):
            return
        temporary.symlink_to(newest.path)
        temporary.replace(link)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
