"""Runs a task on this machine: in the caller's process, or in a worker of a Redis queue.

The runner is the same as in a scan pod, and leaves the same artifacts. It scans one shard after the other, since Nuclei itself
is parallel. One call is one attempt. The queue decides whether another attempt follows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from scanplan.api import layout
from scanplan.api.documents.report import MergedResult, ShardReport, TaskError
from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import ErrorClass, Outcome
from scanplan.api.errors import ScanError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.client import artifacts, findings, models
from scanplan.client.errors import QueueUnavailable
from scanplan.client.models import ArtifactRef, ScanPlan, ScanResult, SeverityCounts, TaskStatus
from scanplan.client.settings import ClientSettings
from scanplan.core.planning import keys
from scanplan.core.planning.targets import endpoints
from scanplan.runner import collect
from scanplan.runner.artifacts import durable, run_record
from scanplan.runner.shard import run_shard

Stop = Callable[[], bool]

_OUT_OF_TIME = TaskError(
    error_class=ErrorClass.TEMPORARY,
    reason=Reason.ATTEMPT_TIMEOUT,
    message="The attempt reached TASK_TIMEOUT before all shards were begun; what it had found is kept. Raise TASK_TIMEOUT.",
)
_SEVEREST_FIRST = {ErrorClass.FATAL: 0, ErrorClass.UNKNOWN: 1, ErrorClass.TEMPORARY: 2}


@dataclass(frozen=True, slots=True)
class Attempt:
    """The outcome of one attempt at all shards of a task."""

    document: TaskDocument
    reports: tuple[ShardReport, ...] = ()
    """One for each shard that was begun."""
    started: float = field(default_factory=time.monotonic)
    """Start time by the monotonic clock, in seconds."""
    out_of_time: bool = False
    """The attempt's time was over before the last shard was begun."""

    @property
    def complete(self) -> bool:
        """Whether every shard was scanned to its end."""
        return len(self.reports) == self.document.shards and self.error is None

    @property
    def error(self) -> TaskError | None:
        """The most severe error of the shards; None where all that were begun were scanned, and there was time for the others."""
        errors = [report.error for report in self.reports if report.error]
        failed = len(errors)
        if self.out_of_time:
            errors.append(_OUT_OF_TIME)
            failed += self.document.shards - len(self.reports)
        if not errors:
            return None
        worst = min(errors, key=lambda error: _SEVEREST_FIRST[error.error_class])
        if self.document.shards == 1:
            return worst
        message = f"{failed} of {self.document.shards} shards failed: {worst.message}"
        return msgspec.structs.replace(worst, message=message)


def never() -> bool:
    """A `stop` function for scans that nothing stops."""
    return False


def attempt(task: TaskDocument, settings: ClientSettings, stop: Stop = never) -> Attempt:
    """Scan the shards that are not published yet, until TASK_TIMEOUT.

    Args:
        stop: called several times a second. Once it returns True, the scan ends and keeps its findings.
    """
    run = settings.data_directory / layout.run_directory(task.run_id)
    installation = settings.installation()
    began = time.monotonic()
    reports: list[ShardReport] = []
    for index in range(task.shards):
        if stop():
            break
        left = math.ceil(began + settings.task_timeout - time.monotonic())
        if left <= 0:
            return Attempt(task, tuple(reports), began, out_of_time=True)
        limited = msgspec.structs.replace(task, timeout_seconds=left)
        report = run_shard(limited, index, run, installation=installation, stop=stop)
        reports.append(report)
        if report.error and report.error.error_class is ErrorClass.FATAL:
            break
    return Attempt(task, tuple(reports), began)


def conclude(
    attempt: Attempt, settings: ClientSettings, *, cancelled: bool = False, error: TaskError | None = None
) -> ScanResult:
    """Make the result after the last attempt: merge the published shards, record the merge, and add it to the project's findings.

    An error of the storage is one of the result.

    Args:
        cancelled: the attempt was stopped because somebody cancelled the task.
        error: why there is no further attempt, where that is not the attempt's own error. It counts only if something is missing.
    """
    task = attempt.document
    merged, trouble = _merged(attempt, settings)
    if merged:
        trouble = _added_to_project(task, settings, merged)
    error = trouble if merged and merged.complete else error or attempt.error or trouble
    result = ScanResult(
        run_id=task.run_id,
        success=error is None and not cancelled and merged is not None and merged.complete,
        endpoint_count=len(task.endpoints),
        finding_count=merged.findings.total if merged else 0,
        duration_ms=round((time.monotonic() - attempt.started) * 1000),
        task_id=keys.job_name(task.key),
    )
    if merged:
        result = with_artifacts(result, merged)
    if result.success:
        return result
    if cancelled:
        return as_cancelled(result)
    return failed(result, error)


def with_artifacts(result: ScanResult, merged: MergedResult) -> ScanResult:
    """Add the published artifacts to a result."""
    return replace(
        result,
        finding_count=merged.findings.total,
        findings=SeverityCounts.of(merged.findings),
        endpoints_scanned=merged.endpoints_scanned,
        endpoints_unreachable=merged.endpoints_unreachable,
        artifact_path=merged.path,
        artifacts=[ArtifactRef(name=file.name, bytes=file.bytes, sha256=file.sha256) for file in merged.files],
        complete=merged.complete,
    )


def nothing(plan: ScanPlan) -> ScanResult:
    """The result of a plan of which nothing was scanned. The caller adds the reason."""
    return ScanResult(
        run_id=plan.run_id,
        success=False,
        endpoint_count=len(endpoints.canonical_all(plan.endpoints)),
        finding_count=0,
        duration_ms=0,
        task_id=models.task_id_of(plan),
        status=TaskStatus.FAILED,
    )


def as_cancelled(result: ScanResult) -> ScanResult:
    """The result of a task that somebody cancelled."""
    return replace(result, status=TaskStatus.CANCELLED, reason=Reason.CANCELLED, error="cancelled on request")


def failed(result: ScanResult, error: TaskError | None) -> ScanResult:
    """The same result as a failure, with its error."""
    error = error or TaskError(
        error_class=ErrorClass.UNKNOWN,
        reason=Reason.RESULT_MISSING,
        message="the scan ended before all of its shards were published",
    )
    return replace(
        result,
        success=False,
        status=TaskStatus.FAILED,
        error=error.message,
        error_class=error.error_class,
        reason=error.reason,
    )


def publish(root: Path, project_id: str, run_id: str, path: str) -> None:
    """Add merged findings to the project's store and to the run's record.

    Args:
        root: the data directory.
        path: the merged artifacts' folder below it.
    """
    findings.feed(root, project_id, run_id, root / path / layout.FINDINGS)
    artifacts.record(root / layout.run_directory(run_id), _recorded(path))


def publish_once(root: Path, project_id: str, run_id: str, path: str) -> None:
    """Like `publish`, but does nothing where that was done before, or where the artifacts are elsewhere."""
    known = artifacts.recorded(root / layout.run_directory(run_id))
    if (root / path / layout.FINDINGS).exists() and not _recorded(path).items() <= known.items():
        publish(root, project_id, run_id, path)


def _recorded(path: str) -> dict[str, str]:
    return {"nuclei_output": f"{path}/{layout.FINDINGS}", "metadata": f"{path}/{layout.METADATA}"}


def _added_to_project(task: TaskDocument, settings: ClientSettings, merged: MergedResult) -> TaskError | None:
    """Add merged findings to the project's store; the error where that can't be written."""
    try:
        publish(settings.data_directory, task.project_id, task.run_id, merged.path)
    except QueueUnavailable as unusable:
        return TaskError(error_class=ErrorClass.TEMPORARY, reason=Reason.STORAGE_ERROR, message=str(unusable))
    except OSError as failed:
        return TaskError.of(durable.storage_error(failed, starting=False))
    return None


def _merged(attempt: Attempt, settings: ClientSettings) -> tuple[MergedResult | None, TaskError | None]:
    """The merge of the last shard or, where none has merged, of all published shards; or the error of that merge."""
    merged = next((report.merged for report in reversed(attempt.reports) if report.merged), None)
    if merged:
        return merged, None
    run = settings.data_directory / layout.run_directory(attempt.document.run_id)
    owner = run_record.read(run)
    if owner is not None and owner.project_id != attempt.document.project_id:
        return None, None
    try:
        with durable.on_claim():
            report = collect.collect(attempt.document, run)
    except ScanError as failed:
        return None, TaskError.of(failed)
    has_findings = report.outcome is Outcome.COMPLETE or report.findings.total > 0
    return (report.merged if has_findings else None), None
