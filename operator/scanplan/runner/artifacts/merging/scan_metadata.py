"""The record of a merge, `scan_metadata.json`, and what the pod tells of it."""

from __future__ import annotations

import collections
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from scanplan.api import layout
from scanplan.api.documents import records
from scanplan.api.documents.records import AttemptSummary, ScanMetadata, ShardRecord, ShardSummary, Unlisted
from scanplan.api.documents.report import THROTTLING, FindingCounts, MergedResult, ScannerVersion, Trouble
from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import MOST_COUNTED, EndpointsFileReport
from scanplan.runner.artifacts import publish, steps
from scanplan.runner.artifacts.merging.parts import Part
from scanplan.runner.artifacts.merging.suppression import Suppression, short

_EXAMPLES = 10
"""Most refused lines in the metadata."""
_EXAMPLE_CHARACTERS = 120
_REMARKED = 3
"""Most remarks in a termination message."""
_REMARK_CHARACTERS = 400
"""Most characters of all remarks in a termination message."""


def summary(part: Part) -> ShardSummary:
    """How one shard came out."""
    last = part.attempts[-1] if part.attempts else None
    return ShardSummary(
        shard=part.shard.number,
        content=part.folder.name,
        outcome=part.outcome,
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


def of(
    document: TaskDocument,
    parts: Sequence[Part],
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
        started_at=started_at(attempts),
        finished_at=max((attempt.finished_at for attempt in attempts), default=""),
        duration_ms=total(attempt.duration_ms for attempt in attempts),
        seconds=_seconds(attempts),
        templates=document.templates,
        severity_levels=document.severity_levels,
        scanner=_scanner(attempts),
        template_digests=tuple(sorted({attempt.scanner.templates_digest for attempt in attempts} - {""})),
        endpoints=total(part.size for part in parts),
        endpoints_file=_file(parts) if document.endpoints_file else None,
        discovery=document.discovery,
        endpoints_scanned=total(summary.endpoints_scanned for summary in summaries),
        endpoints_unreachable=total(
            len(each.endpoints_unreachable) + each.endpoints_unlisted.unreachable for each in summaries
        ),
        endpoints_skipped=total(len(each.endpoints_skipped) + each.endpoints_unlisted.skipped for each in summaries),
        endpoints_throttled=total(
            [
                _troubled(summaries, *THROTTLING),
                *(each.endpoints_unlisted.throttled for each in summaries),
            ]
        ),
        endpoints_blocked=total(
            [_troubled(summaries, Trouble.BLOCKED), *(each.endpoints_unlisted.blocked for each in summaries)]
        ),
        **_templates(parts),
        findings=FindingCounts(**{severity: total([count]) for severity, count in counts.items()}),
        exceptions=suppression.applied(),
        shards=summaries,
        files=(),
    )


def result(task: Path, document: TaskDocument, metadata: ScanMetadata) -> MergedResult:
    """The result as the pod tells it in its termination message."""
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


def started_at(attempts: Sequence[ShardRecord]) -> str:
    """When the first attempt began, RFC 3339; empty without attempts."""
    return min((attempt.started_at for attempt in attempts), default="")


def _seconds(attempts: Sequence[ShardRecord]) -> int:
    """Seconds from the start of the first attempt to the end of the last one."""
    times = [records.seconds(moment) for attempt in attempts for moment in (attempt.started_at, attempt.finished_at)]
    return max(1, math.ceil(max(times) - min(times))) if times else 0


def _scanner(attempts: Sequence[ShardRecord]) -> ScannerVersion:
    """The version of the attempts that got far enough to know it."""
    known = [attempt.scanner for attempt in attempts if attempt.scanner.templates_loaded]
    return known[-1] if known else ScannerVersion()


def _file(parts: Sequence[Part]) -> EndpointsFileReport:
    """What was in the file of endpoints. No line belongs to two shards."""
    told = [part.file for part in parts if part.file]
    return EndpointsFileReport(
        endpoints=total(file.endpoints for file in told),
        refused=total(file.refused for file in told),
        duplicates=total(file.duplicates for file in told),
        examples=tuple(itertools.islice(itertools.chain.from_iterable(file.examples for file in told), _EXAMPLES)),
    )


def _templates(parts: Sequence[Part]) -> dict[str, Any]:
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
        "requests": total(
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


def _troubled(summaries: Sequence[ShardSummary], *kinds: Trouble) -> int:
    """How many endpoints have one of these troubles."""
    return len({each.endpoint for shard in summaries for each in shard.endpoints_troubled if each.trouble in kinds})


def total(numbers: Iterable[int]) -> int:
    """The sum, limited to what a report accepts. Anybody who can write to a run can put any number into its records."""
    return min(sum(numbers), MOST_COUNTED)


def _short_file(told: EndpointsFileReport) -> EndpointsFileReport:
    """The same, short enough for a termination message."""
    return msgspec.structs.replace(
        told, examples=tuple(example[:_EXAMPLE_CHARACTERS] for example in told.examples[:_REMARKED])
    )


def _shortened(remarks: Sequence[str]) -> str:
    """The first of them, short enough for a termination message."""
    told = "; ".join(remarks[:_REMARKED])
    return told if len(told) <= _REMARK_CHARACTERS else f"{told[: _REMARK_CHARACTERS - 1]}…"
