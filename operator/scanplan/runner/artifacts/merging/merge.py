"""Merges the findings of all shards into one file.

The merge copies the findings of all contributing attempts, in order of shards and attempts. A finding that several attempts of
one shard have is written once. The merge reads published files only, so merges at the same time write the same bytes. A merge
of all shards is never changed again. The HTML report is made in the same pass (`overview`). Memory does not grow with the number
of findings, with two exceptions: the report, and 16 bytes for each finding of a shard with several attempts.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import itertools
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from scanplan.api import layout
from scanplan.api.documents.report import FindingCounts, MergedResult, ScannerVersion, Trouble
from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import MOST_COUNTED, EndpointsFileReport, Outcome
from scanplan.api.errors import NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.findings import fingerprint
from scanplan.runner.artifacts import divided, durable, findings, publish, records, run_record, steps
from scanplan.runner.artifacts.divided import Shard
from scanplan.runner.artifacts.merging.suppression import Suppression, short
from scanplan.runner.artifacts.records import (
    AttemptSummary,
    RunRecord,
    ScanMetadata,
    ShardRecord,
    ShardSummary,
    Unlisted,
)

if TYPE_CHECKING:
    from scanplan.findings.exceptions import Handed
    from scanplan.findings.ran import DividedRan, Ran
    from scanplan.runner.artifacts.merging.history import HistoryWriter
    from scanplan.runner.artifacts.merging.overview import Overview

_BLOCK_BYTES = 1 << 20
_THREADS = 3
"""One copies, one hashes what was copied, one writes the history."""
_SWITCH_SECONDS = 0.0005
_EXAMPLES = 10
"""Most refused lines in the metadata."""
_EXAMPLE_CHARACTERS = 120
_REMARKED = 3
"""Most remarks in a termination message."""
_REMARK_CHARACTERS = 400
"""Most characters of all remarks in a termination message."""


class _Part(msgspec.Struct, frozen=True):
    """One shard, with its published attempts."""

    shard: Shard
    attempts: Sequence[ShardRecord]
    file: EndpointsFileReport | None
    """What it has counted in the file of endpoints; None: there is no file."""

    @property
    def folder(self) -> Path:
        return self.shard.folder

    @property
    def size(self) -> int:
        """How many endpoints it has; of a file 0 where no attempt came so far."""
        return self.file.endpoints if self.file else len(self.shard.endpoints or ())

    @property
    def complete(self) -> bool:
        return bool(self.attempts) and self.attempts[-1].outcome is Outcome.COMPLETE


def not_before(document: TaskDocument) -> float | None:
    """Seconds since the epoch before which published attempts belong to an older run of the same key.

    Raises:
        NucleiBinaryError: (TaskDocumentInvalid) the document has no time there.
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
    run: Path, document: TaskDocument, *, partial: bool = False, exceptions: Handed | None = None
) -> MergedResult | None:
    """Merge the task's shards.

    Args:
        run: the run's folder.
        document: the task.
        partial: merge what is there, even where shards are missing or incomplete.
        exceptions: the ScanExceptions of the namespace. Findings under one are counted apart. None: there are none.

    Returns:
        What was published, now or before; None where shards are missing and `partial` is not set.

    Raises:
        OSError: the claim didn't take it; nothing half published is left.
    """
    parts: list[_Part] = []
    window = not_before(document)
    # The last shard starts last, so it is most likely to be missing. Look at it first, and return early.
    for shard in reversed(divided.parts(run, document)):
        file = divided.counts(shard.folder) if shard.endpoints is None else None
        part = _Part(shard, publish.contributing(shard.folder, not_before=window), file)
        if not part.complete and not partial:
            return None
        parts.append(part)
    parts.reverse()
    complete = all(part.complete for part in parts)
    task = run_record.task_folder(run, document)
    durable.make_folder(task)
    summaries = tuple(map(_summary, parts))
    metadata = run_record.metadata(task)
    if metadata is None or metadata.shards != summaries or not _stands(task, metadata):
        metadata = _write(task, document, parts, summaries, exceptions, complete=complete)
    run_record.update(run, RunRecord(run_id=document.run_id, project_id=document.project_id))
    return _result(task, document, metadata)


def _write(
    task: Path,
    document: TaskDocument,
    parts: Sequence[_Part],
    summaries: tuple[ShardSummary, ...],
    exceptions: Handed | None,
    *,
    complete: bool,
) -> ScanMetadata:
    # Only the last attempt merges. The others start faster without these imports.
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    from scanplan.findings.lookup import in_file  # noqa: PLC0415
    from scanplan.runner.artifacts.merging.history import HistoryWriter  # noqa: PLC0415
    from scanplan.runner.artifacts.merging.overview import Overview  # noqa: PLC0415

    attempts = [attempt for part in parts for attempt in part.attempts]
    suppression = Suppression(exceptions, max((records.seconds(each.finished_at) for each in attempts), default=0.0))
    overview = Overview(task, attempts, suppression)
    found = _total(attempt.findings.total for attempt in attempts)
    temporary = task / f".merging.{durable.unique()}"
    with (
        contextlib.closing(HistoryWriter(task, found)) as history,
        ThreadPoolExecutor(_THREADS) as beside,
        _frequent_switches(),
    ):
        merged = durable.CheckedFile(temporary, beside)
        try:
            read = [part for part in parts if not _has_sightings(part, history)]
            copying = beside.submit(_copy, merged, parts, read, overview, history, suppression)
            if read or suppression:
                copying.result()  # it takes what the history is made of, and counts by the same rules
            ran = _ran(parts) if complete else None
            changed = history.write(_started_at(attempts), ran, beside, suppression)
            counts = copying.result()
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        metadata = _metadata(document, parts, summaries, counts, suppression, complete=complete)
        files = [merged.artifact(layout.FINDINGS)]
        # Publish the findings before the metadata, so that metadata never exists without findings.
        durable.rename(temporary, task / layout.FINDINGS)
        files.append(history.publish())
    metadata = msgspec.structs.replace(metadata, history=changed, files=tuple(files))
    with durable.open_regular(task / layout.HISTORY) as file:
        report = overview.publish(metadata, in_file(functools.partial(_part_of, file.fileno()), files[1].bytes))
    if report is not None:
        metadata = msgspec.structs.replace(metadata, files=(*metadata.files, report))
    durable.replace(task / layout.METADATA, records.readable(metadata))
    return metadata


def _metadata(
    document: TaskDocument,
    parts: Sequence[_Part],
    summaries: tuple[ShardSummary, ...],
    counts: collections.Counter[str],
    suppression: Suppression,
    *,
    complete: bool,
) -> ScanMetadata:
    """What the merged findings are made of; the files come later."""
    attempts = [attempt for part in parts for attempt in part.attempts]
    return ScanMetadata(
        key=document.key,
        project_id=document.project_id,
        run_id=document.run_id,
        plan=document.plan,
        complete=complete,
        started_at=_started_at(attempts),
        finished_at=max((attempt.finished_at for attempt in attempts), default=""),
        duration_ms=_total(attempt.duration_ms for attempt in attempts),
        seconds=_seconds(attempts),
        templates=document.templates,
        severity_levels=document.severity_levels,
        scanner=_scanner(attempts),
        template_digests=tuple(sorted({attempt.scanner.templates_digest for attempt in attempts} - {""})),
        endpoints=_total(part.size for part in parts),
        endpoints_file=_file(parts) if document.endpoints_file else None,
        discovery=document.discovery,
        endpoints_scanned=_total(summary.endpoints_scanned for summary in summaries),
        endpoints_unreachable=_total(
            len(each.endpoints_unreachable) + each.endpoints_unlisted.unreachable for each in summaries
        ),
        endpoints_skipped=_total(len(each.endpoints_skipped) + each.endpoints_unlisted.skipped for each in summaries),
        endpoints_throttled=_total(
            [
                _troubled(summaries, Trouble.THROTTLED, Trouble.UNAVAILABLE),
                *(each.endpoints_unlisted.throttled for each in summaries),
            ]
        ),
        endpoints_blocked=_total(
            [_troubled(summaries, Trouble.BLOCKED), *(each.endpoints_unlisted.blocked for each in summaries)]
        ),
        **_templates(parts),
        findings=FindingCounts(**{severity: _total([count]) for severity, count in counts.items()}),
        exceptions=suppression.applied(),
        shards=summaries,
        files=(),
    )


def _started_at(attempts: Sequence[ShardRecord]) -> str:
    return min((attempt.started_at for attempt in attempts), default="")


def _file(parts: Sequence[_Part]) -> EndpointsFileReport:
    """What was in the file of endpoints. No line belongs to two shards."""
    told = [part.file for part in parts if part.file]
    return EndpointsFileReport(
        endpoints=_total(file.endpoints for file in told),
        refused=_total(file.refused for file in told),
        duplicates=_total(file.duplicates for file in told),
        examples=tuple(itertools.islice(itertools.chain.from_iterable(file.examples for file in told), _EXAMPLES)),
    )


def _part_of(descriptor: int, offset: int, size: int) -> bytes:
    return os.pread(descriptor, size, offset)


def _ran(parts: Sequence[_Part]) -> Callable[[], Ran | DividedRan]:
    """A function that reads which templates a complete scan ran against which endpoints."""
    from scanplan.runner.artifacts.merging import history  # noqa: PLC0415 - only the last attempt merges

    folders = [(part.shard, publish.folder(part.folder, part.attempts[-1].attempt)) for part in parts]
    return lambda: history.ran(folders)


def _templates(parts: Sequence[_Part]) -> dict[str, Any]:
    """The metadata about templates, over all shards. A template counts as not run only if no shard ran it."""
    last = [part.attempts[-1] for part in parts if part.attempts and part.size]
    told = [
        {item.template: item for item in record.templates_not_run} for record in last if record.scanner.templates_loaded
    ]
    common = set.intersection(*(set(names) for names in told)) if told else set()
    pairs = sum(record.scanner.templates_loaded * record.endpoints for record in last)
    return {
        "templates_run": max((record.templates_run for record in last), default=0),
        "templates_not_run": tuple(told[0][name] for name in sorted(common)),
        "templates_left_out": left_out([record.templates_left_out for record in last]),
        "requests": _total(
            attempt.requests or steps.requests(publish.folder(part.folder, attempt.attempt))
            for part in parts
            for attempt in part.attempts
        ),
        "coverage": min(1000, sum(record.pairs for record in last) * 1000 // pairs) if pairs else 0,
    }


def left_out(told: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """How many templates no shard ran, by cause. Shards of an automatic scan may choose different ones: this is the most."""
    shards = [counts for counts in told if counts]
    causes = shards[0] if shards else {}
    return {why: least for why in causes if (least := min(counts.get(why, 0) for counts in shards))}


def _total(numbers: Iterable[int]) -> int:
    """The sum, limited to what a report accepts. Anybody who can write to a run can put any number into its records."""
    return min(sum(numbers), MOST_COUNTED)


def _has_sightings(part: _Part, history: HistoryWriter) -> bool:
    """Whether the history is made without this shard's findings: it has no attempt, or one that has left its sightings."""
    folders = [publish.folder(part.folder, attempt.attempt) for attempt in part.attempts]
    return not folders or (len(folders) == 1 and history.has_sightings(folders[0], part.attempts[0]))


def _copy(
    merged: durable.CheckedFile,
    parts: Sequence[_Part],
    read: Sequence[_Part],
    overview: Overview,
    history: HistoryWriter,
    suppression: Suppression,
) -> collections.Counter[str]:
    """Copy the findings of all shards, and bring them to the disk.

    Args:
        read: the shards whose findings the history has to take.

    Returns:
        How many there are, by severity.
    """
    counts: collections.Counter[str] = collections.Counter()
    buffers = [memoryview(bytearray(_BLOCK_BYTES)) for _ in range(2)]
    for part in parts:
        if len(part.attempts) == 1:
            (attempt,) = part.attempts
            wanted = (
                overview.watch(attempt.findings),
                history.take if part in read else None,
                suppression.see_all if suppression else None,
            )
            with durable.open_regular(_published(part, attempt)) as file:
                if takers := [take for take in wanted if take]:
                    _copy_lines(merged, file, takers)
                else:
                    _copy_bytes(merged, file, buffers)
            found = attempt.findings
            counts.update({severity: getattr(found, severity) for severity in found.__struct_fields__})
            continue
        for line in _union(part):
            merged.write(line)
            history.take(line)
            if (severity := findings.severity_of(line)) is not None:
                counts[severity] += 1
                overview.see(line, severity)
                if suppression:
                    suppression.see(line, severity)
    merged.close()
    return counts


def _copy_lines(merged: durable.CheckedFile, file: BinaryIO, takers: Sequence[Callable[[bytes], None]]) -> None:
    """Copy a file, and give each block of whole lines to all `takers`."""
    while block := file.read(_BLOCK_BYTES):
        if not block.endswith(b"\n"):
            block += file.readline()
        merged.write(block)
        for take in takers:
            take(block)


def _copy_bytes(merged: durable.CheckedFile, file: BinaryIO, buffers: list[memoryview]) -> None:
    """Copy a file through the first of two buffers, then swap them: what was written last is still being hashed."""
    while size := os.readv(file.fileno(), buffers[:1]):
        merged.write(buffers[0][:size])
        buffers.reverse()


@contextlib.contextmanager
def _frequent_switches() -> Iterator[None]:
    """Let the thread that copies have the interpreter soon: it needs it often and briefly, beside one that makes the history."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _union(part: _Part) -> Iterator[bytes]:
    """The lines of all attempts of a shard. A finding is repeated as often as in the attempt that repeats it most."""
    taken: collections.Counter[bytes] = collections.Counter()
    for attempt in part.attempts:
        here: collections.Counter[bytes] = collections.Counter()
        with durable.open_regular(_published(part, attempt)) as file:
            for line in file:
                mark = fingerprint.of(line)
                here[mark] += 1
                if here[mark] > taken[mark]:
                    taken[mark] = here[mark]
                    yield line


def _published(part: _Part, attempt: ShardRecord) -> Path:
    return publish.folder(part.folder, attempt.attempt) / layout.FINDINGS


def _stands(task: Path, metadata: ScanMetadata) -> bool:
    """Whether the merged files have the sizes in the metadata. A merge that was killed may have left other files."""
    try:
        return all((task / file.name).lstat().st_size == file.bytes for file in metadata.files)
    except OSError:
        return False


def _scanner(attempts: Sequence[ShardRecord]) -> ScannerVersion:
    """The version of the attempts that got far enough to know it."""
    known = [attempt.scanner for attempt in attempts if attempt.scanner.templates_loaded]
    return known[-1] if known else ScannerVersion()


def _summary(part: _Part) -> ShardSummary:
    last = part.attempts[-1] if part.attempts else None
    return ShardSummary(
        shard=part.shard.number,
        content=part.folder.name,
        outcome=(
            Outcome.COMPLETE
            if part.complete
            else Outcome.PARTIAL
            if any(attempt.outcome is Outcome.PARTIAL for attempt in part.attempts)
            else Outcome.FAILED
        ),
        endpoints=part.size,
        endpoints_scanned=last.endpoints_scanned if last else 0,
        endpoints_unreachable=last.endpoints_unreachable if last else (),
        endpoints_skipped=last.endpoints_skipped if last else (),
        endpoints_troubled=last.endpoints_troubled if last else (),
        endpoints_unlisted=last.endpoints_unlisted if last else Unlisted(),
        attempts=tuple(
            AttemptSummary(
                attempt=attempt.attempt,
                outcome=attempt.outcome,
                error=attempt.error,
                started_at=attempt.started_at,
                finished_at=attempt.finished_at,
                findings=attempt.findings.total,
            )
            for attempt in part.attempts
        ),
    )


def _result(task: Path, document: TaskDocument, metadata: ScanMetadata) -> MergedResult:
    where = layout.run_directory(document.run_id) / layout.task_directory(task.name)
    return MergedResult(
        path=str(where),
        complete=metadata.complete,
        shards=sum(1 for shard in metadata.shards if shard.attempts),
        endpoints_scanned=metadata.endpoints_scanned,
        endpoints_unreachable=metadata.endpoints_unreachable,
        endpoints_skipped=metadata.endpoints_skipped,
        endpoints_throttled=metadata.endpoints_throttled,
        endpoints_blocked=metadata.endpoints_blocked,
        endpoints_file=_short_file(metadata.endpoints_file) if metadata.endpoints_file else None,
        endpoints_remark=_shortened(
            [f"{each.endpoint} {each.remark}" for shard in metadata.shards for each in shard.endpoints_troubled]
        ),
        templates_run=metadata.templates_run,
        templates_not_run=len(metadata.templates_not_run),
        templates_remark=_shortened([f"{item.template} ({item.reason})" for item in metadata.templates_not_run]),
        requests=metadata.requests,
        seconds=metadata.seconds,
        coverage=metadata.coverage,
        findings=metadata.findings,
        history=metadata.history,
        exceptions=short(metadata.exceptions),
        files=(*metadata.files, publish.artifact(task / layout.METADATA)),
    )


def _short_file(told: EndpointsFileReport) -> EndpointsFileReport:
    """The same, short enough for a termination message."""
    return msgspec.structs.replace(
        told, examples=tuple(example[:_EXAMPLE_CHARACTERS] for example in told.examples[:_REMARKED])
    )


def _seconds(attempts: Sequence[ShardRecord]) -> int:
    """Seconds from the start of the first attempt to the end of the last one."""
    times = [records.seconds(moment) for attempt in attempts for moment in (attempt.started_at, attempt.finished_at)]
    return max(1, math.ceil(max(times) - min(times))) if times else 0


def _troubled(summaries: Sequence[ShardSummary], *kinds: Trouble) -> int:
    """How many endpoints have one of these troubles."""
    return len({each.endpoint for shard in summaries for each in shard.endpoints_troubled if each.trouble in kinds})


def _shortened(remarks: Sequence[str]) -> str:
    """The first of them, short enough for a termination message."""
    told = "; ".join(remarks[:_REMARKED])
    return told if len(told) <= _REMARK_CHARACTERS else f"{told[: _REMARK_CHARACTERS - 1]}…"
