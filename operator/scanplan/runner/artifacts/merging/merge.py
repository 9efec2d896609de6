"""Merges the findings of all shards into one file.

The merge copies the findings of all contributing attempts, in order of shards and attempts. A finding that several attempts of
one shard have is written once. The merge reads published files only, so concurrent merges write identical files. The result is
written again only if the shards have changed since, or if a file has not the size in the metadata. The HTML report is made in the
same pass (`overview`). Memory does not grow with the number of findings, with two exceptions: the report, and 16 bytes for each
finding of a shard with several attempts.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from scanplan.api import layout
from scanplan.api.documents import records
from scanplan.api.documents.records import (
    RunRecord,
    ScanMetadata,
    ShardRecord,
    ShardSummary,
)
from scanplan.api.documents.report import MergedResult
from scanplan.api.documents.task import TaskDocument
from scanplan.api.errors import NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.artifacts import divided, durable, publish, run_record
from scanplan.runner.artifacts.merging import copying, scan_metadata
from scanplan.runner.artifacts.merging.parts import Part
from scanplan.runner.artifacts.merging.suppression import Suppression

if TYPE_CHECKING:
    from scanplan.findings.exceptions import Handed
    from scanplan.findings.ran import DividedRan, Ran

_THREADS = 3
"""One copies, one hashes what was copied, one writes the history."""


def not_before(document: TaskDocument) -> float | None:
    """The time, in seconds since the epoch, before which published attempts don't count. None: all count.

    Earlier attempts belong to an older run with the same key.

    Raises:
        NucleiBinaryError: (TaskDocumentInvalid) `replayNotBefore` of the document is not an RFC 3339 time.
    """
    if document.replay_not_before is None:
        return None
    try:
        return records.seconds(document.replay_not_before)
    except ValueError as error:
        raise NucleiBinaryError(
            Reason.TASK_DOCUMENT_INVALID, f"replayNotBefore is {document.replay_not_before!r}, not an RFC 3339 time."
        ) from error


def merge(
    run: Path, document: TaskDocument, *, partial: bool = False, scan_exceptions: Handed | None = None
) -> MergedResult | None:
    """Merge the task's shards.

    Args:
        run: the run's folder.
        document: the task.
        partial: merge what is there, even where shards are missing or incomplete.
        scan_exceptions: the ScanExceptions of the namespace. Findings that match one are also counted separately. None: there
            are none.

    A file gets its final name only when it is complete.

    Returns:
        What was published, now or before; None where shards are missing and `partial` is not set.

    Raises:
        OSError: the claim (PersistentVolumeClaim) could not be read or written.
    """
    parts: list[Part] = []
    window = not_before(document)
    # The last shard starts last, so it is most likely to be missing. Look at it first, and return early.
    for shard in reversed(divided.parts(run, document)):
        file_counts = divided.counts(shard.folder) if shard.endpoints is None else None
        part = Part(shard, publish.contributing(shard.folder, not_before=window), file_counts)
        if not part.complete and not partial:
            return None
        parts.append(part)
    parts.reverse()
    complete = all(part.complete for part in parts)
    task = run_record.task_folder(run, document)
    durable.make_folder(task)
    summaries = tuple(map(scan_metadata.summary, parts))
    metadata = run_record.metadata(task)
    if metadata is None or metadata.shards != summaries or not _sizes_match(task, metadata):
        metadata = _write(task, document, parts, summaries, scan_exceptions, complete=complete)
    run_record.update(run, RunRecord(run_id=document.run_id, project_id=document.project_id))
    return scan_metadata.result(task, document, metadata)


def _write(
    task: Path,
    document: TaskDocument,
    parts: Sequence[Part],
    summaries: tuple[ShardSummary, ...],
    scan_exceptions: Handed | None,
    *,
    complete: bool,
) -> ScanMetadata:
    # Most attempts don't merge, and start faster without these imports.
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    from scanplan.findings.lookup import in_file  # noqa: PLC0415
    from scanplan.runner.artifacts.merging.history import HistoryWriter  # noqa: PLC0415
    from scanplan.runner.artifacts.merging.overview import Overview  # noqa: PLC0415

    attempts = [attempt for part in parts for attempt in part.attempts]
    suppression = Suppression(
        scan_exceptions, max((records.seconds(each.finished_at) for each in attempts), default=0.0)
    )
    overview = Overview(task, attempts, suppression)
    found = scan_metadata.total(attempt.findings.total for attempt in attempts)
    temporary = task / f".merging.{durable.unique()}"
    with (
        contextlib.closing(HistoryWriter(task, found)) as history,
        ThreadPoolExecutor(_THREADS) as executor,
        copying.frequent_switches(),
    ):
        merged = durable.CheckedFile(temporary, executor)
        try:
            _remove_abandoned(task.parent, temporary.stat().st_mtime)
            read_for_history = [part for part in parts if not copying.has_sightings(part, history)]
            copied = executor.submit(copying.copy, merged, parts, read_for_history, overview, history, suppression)
            # Here copying feeds the history, or both use `suppression`. So copying ends before the history is written.
            if read_for_history or suppression:
                copied.result()
            ran = _ran(parts) if complete else None
            changed = history.write(_moment(task, attempts), ran, executor, suppression)
            counts = copied.result()
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        metadata = scan_metadata.of(document, parts, summaries, counts, suppression, complete=complete)
        files = [merged.artifact(layout.FINDINGS)]
        # Publish the findings before the metadata, so that metadata never exists without findings.
        durable.rename(temporary, task / layout.FINDINGS)
        files.append(history.publish())
    metadata = msgspec.structs.replace(metadata, history=changed, files=tuple(files))
    with durable.open_regular(task / layout.HISTORY) as file:
        report = overview.publish(metadata, in_file(functools.partial(_read_at, file.fileno()), files[1].bytes))
    if report is not None:
        metadata = msgspec.structs.replace(metadata, files=(*metadata.files, report))
    durable.replace(task / layout.METADATA, records.readable(metadata))
    return metadata


def _remove_abandoned(tasks: Path, now: float) -> None:
    """Remove what killed processes have left beside the tasks of a run, and in their folders: as much as a merged file each."""
    for folder in (tasks.parent, *(path for path in tasks.iterdir() if path.is_dir())):
        durable.remove_abandoned(folder, now)


def _moment(task: Path, attempts: Sequence[ShardRecord]) -> str:
    """When the scan began; where it has published no attempt, when its task was entered."""
    if moment := scan_metadata.started_at(attempts):
        return moment
    record = run_record.task_record(task)
    return record.created_at if record else ""


def _read_at(descriptor: int, offset: int, size: int) -> bytes:
    return os.pread(descriptor, size, offset)


def _ran(parts: Sequence[Part]) -> Callable[[], Ran | DividedRan]:
    """A function that reads which templates a complete scan ran against which endpoints."""
    from scanplan.runner.artifacts.merging import history  # noqa: PLC0415 - most attempts don't merge

    folders = [(part.shard, publish.folder(part.folder, part.attempts[-1].attempt)) for part in parts]
    return lambda: history.ran(folders)


def _sizes_match(task: Path, metadata: ScanMetadata) -> bool:
    """Whether the merged files have the sizes in the metadata. A merge that was killed may have left files of other sizes."""
    try:
        return all((task / file.name).lstat().st_size == file.bytes for file in metadata.files)
    except OSError:
        return False
