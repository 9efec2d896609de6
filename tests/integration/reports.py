"""What runners say when they end, made of the product's own documents."""

from __future__ import annotations

import hashlib

from scanplan.api import layout
from scanplan.api.documents.report import (
    AppliedExceptions,
    ArtifactFile,
    FindingCounts,
    HistoryCounts,
    MergedResult,
    NewFinding,
    NewFindings,
    ScannerVersion,
    ShardReport,
    TaskError,
)
from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import Age, EndpointsFileReport, ErrorClass, Outcome, Severity
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning import keys

FINDINGS = FindingCounts(critical=1, high=2, info=4)
NO_FINDINGS = FindingCounts()
NEW_FINDINGS = NewFindings(
    counts=FindingCounts(high=1),
    examples=(
        NewFinding(
            severity=Severity.HIGH, name="Open admin", template="open-admin", where="https://app.example.com/admin"
        ),
    ),
)
FILES = (ArtifactFile(name=layout.FINDINGS, bytes=7, sha256=hashlib.sha256(b"finding").hexdigest()),)
VERSION = ScannerVersion(nuclei_version="3.4.10", templates_digest="5f1c", templates_loaded=12)


def merged(
    document: TaskDocument,
    *,
    complete: bool = True,
    findings: FindingCounts = FINDINGS,
    unreachable: int = 0,
    exceptions: AppliedExceptions | None = None,
    files: tuple[ArtifactFile, ...] = FILES,
) -> MergedResult:
    """The merge of all shards of a task, as its last runner or the collector reports it."""
    folder = layout.run_directory(document.run_id) / layout.task_directory(keys.key_digest(document.key))
    return MergedResult(
        path=str(folder),
        complete=complete,
        shards=document.shards,
        endpoints_scanned=document.most_endpoints - unreachable,
        endpoints_unreachable=unreachable,
        endpoints_file=EndpointsFileReport(endpoints=document.most_endpoints) if document.endpoints_file else None,
        findings=findings,
        exceptions=exceptions,
        history=HistoryCounts(
            new=FindingCounts(high=1),
            resolved=FindingCounts(low=1),
            open=findings,
            open_by_age={Age.QUARTER: findings},
            told=NEW_FINDINGS,
        ),
        files=files,
    )


def complete(shard: int = 0, result: MergedResult | None = None, *, published_at: str = "") -> ShardReport:
    """A shard that was scanned to its end; `result` is set by the one that found itself last.

    Args:
        published_at: when it had been published before; empty: it was scanned now.
    """
    return ShardReport(
        shard=shard,
        attempt=1,
        outcome=Outcome.COMPLETE,
        scanner=VERSION,
        merged=result,
        replayed=bool(published_at),
        published_at=published_at,
    )


def partial(shard: int = 0, reason: Reason = Reason.INTERRUPTED) -> ShardReport:
    """A shard that was stopped, and has published what it had."""
    error = TaskError(error_class=ErrorClass.TEMPORARY, reason=reason, message="stopped before its end")
    return ShardReport(shard=shard, attempt=1, outcome=Outcome.PARTIAL, error=error, scanner=VERSION)


def saved(shard: int = 0, steps: int = 1) -> ShardReport:
    """What a shard says that was killed after it had saved some steps."""
    return ShardReport(shard=shard, attempt=1, outcome=Outcome.PARTIAL, steps=steps)


def failed(error_class: ErrorClass, reason: Reason, message: str, shard: int = 0) -> ShardReport:
    """A shard that has published nothing."""
    error = TaskError(error_class=error_class, reason=reason, message=message)
    return ShardReport(shard=shard, attempt=1, outcome=Outcome.FAILED, error=error)


def collected(result: MergedResult) -> ShardReport:
    """The collector's report."""
    return ShardReport(
        shard=-1, attempt=0, outcome=Outcome.COMPLETE if result.complete else Outcome.PARTIAL, merged=result
    )
