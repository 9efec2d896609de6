"""One attempt of one shard, from the task document to the report.

Pods, queue workers and the command line all run a shard by `run_shard`. If the claim has a complete result of the shard, it is
replayed. Otherwise the shard is scanned and its result published. The last shard also merges all shards. A failed scan raises no
exception: the report has the error's class and reason, and a message that says what to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from scanplan.api.documents import records
from scanplan.api.documents.records import ShardRecord
from scanplan.api.documents.report import MergedResult, ShardReport, TaskError
from scanplan.api.documents.task import EndpointsFile, TaskDocument
from scanplan.api.documents.words import ErrorClass, Outcome
from scanplan.api.errors import NucleiBinaryError, ScanError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.findings.exceptions import Handed
from scanplan.runner import progress
from scanplan.runner.artifacts import divided, durable, publish, retention, run_record
from scanplan.runner.artifacts.merging import merge
from scanplan.runner.confidential import Redaction
from scanplan.runner.long_lists import endpoints_file
from scanplan.runner.nuclei.launch.installation import Installation
from scanplan.runner.scan import Scan


def run_shard(
    document: TaskDocument,
    index: int,
    run_directory: Path,
    *,
    installation: Installation | None = None,
    on_progress: progress.OnProgress = progress.ignore,
    stop: Callable[[], bool] = lambda: False,
    on_saved: Callable[[ShardReport], None] = lambda _report: None,
    pod: str = "",
    exceptions: Handed | None = None,
) -> ShardReport:
    """Make one attempt at one shard of a task.

    Args:
        document: the task.
        index: the shard, from 0.
        run_directory: the run's folder (``ui_projects/{runId}``), which is made where it isn't there.
        installation: where Nuclei and its templates are; by default as in the scanner image.
        on_progress: called with each event, in this thread. An exception from it ends the scan.
        stop: asked several times a second; once true, the scan ends early and what it has found is published as partial.
        on_saved: called after each saved step with the report that counts if the attempt is killed before the next call.
        pod: name of the pod, for the attempt's record.
        exceptions: the ScanExceptions of the namespace. Findings under one are counted apart; None: there are none.

    Returns:
        How it came out. `report.exit_code` makes it an exit code, `report.fitted` a termination message.
    """
    attempt = _ShardRun(
        document, index, run_directory, installation or Installation(), on_progress, stop, on_saved, pod, exceptions
    )
    return attempt.report()


class _ShardRun:
    """One attempt at a shard."""

    def __init__(
        self,
        document: TaskDocument,
        index: int,
        run: Path,
        installation: Installation,
        on_progress: progress.OnProgress,
        stop: Callable[[], bool],
        on_saved: Callable[[ShardReport], None],
        pod: str,
        exceptions: Handed | None,
    ) -> None:
        self._document = document
        self._index = index
        self._run = run
        self._installation = installation
        self._redaction = Redaction(document)
        self._on_event = on_progress
        self._stop = stop
        self._on_saved = on_saved
        self._pod = pod
        self._exceptions = exceptions
        self._began = time.monotonic()
        self._started_at = records.timestamp(time.time())
        self._endpoints: Sequence[str] = ()

    def _on_progress(self, event: progress.Event) -> None:
        self._on_event(self._redaction.event(event))

    def report(self) -> ShardReport:
        record: ShardRecord | None = None
        replayed = False
        merged: MergedResult | None = None
        error: TaskError | None
        try:
            shard = self._enter()
            record = self._replayable(shard)
            replayed = record is not None
            record = record or self._attempt(shard)
            error = record.error
            if record.outcome is Outcome.COMPLETE:
                with durable.on_claim():
                    merged = merge.merge(self._run, self._document, scan_exceptions=self._exceptions)
                error = endpoints_file.doubt(merged) if merged else None
            elif error is not None and error.error_class is ErrorClass.UNKNOWN:
                error = self._last_of_unknown(shard, error)
        except ScanError as failed:
            error = _error(failed)
        report = self._redaction.report(self._summed_up(record, error, merged, replayed=replayed))
        self._on_progress(progress.finished(report, records.timestamp(time.time())))
        return report

    def _enter(self) -> Path:
        """Check the index, and enter the task in the run's record; returns the shard's folder."""
        if not 0 <= self._index < self._document.shards:
            raise NucleiBinaryError(
                Reason.TASK_DOCUMENT_INVALID, f"There is no shard {self._index}: the task has {self._document.shards}."
            )
        _, shard, endpoints = divided.parts(self._run, self._document)[self._index]
        self._endpoints = endpoints or ()
        with durable.on_claim(starting=True):
            self._run.mkdir(parents=True, exist_ok=True)
            run_record.enter(self._run, self._document, time.time())
        return shard

    def _replayable(self, shard: Path) -> ShardRecord | None:
        """The record of an earlier complete attempt that is recent enough and undamaged. Damaged ones are set aside."""
        with durable.on_claim():
            while (record := publish.complete(shard, not_before=merge.not_before(self._document))) is not None:
                if publish.intact(shard, record):
                    return record
                publish.set_aside(shard, record.attempt)
        return None

    def _take_own_part(self, shard: Path, file: EndpointsFile) -> None:
        """Read which endpoints of the file are this shard's, and leave them for merges."""
        with durable.on_claim():
            own = endpoints_file.own_part(self._document, file, self._index)
        self._endpoints = own.endpoints
        with durable.on_claim(starting=True):
            divided.keep(shard, own)

    def _attempt(self, shard: Path) -> ShardRecord:
        """Scan, and publish how it came out."""
        if (file := self._document.endpoints_file) is not None:
            self._take_own_part(shard, file)
        with durable.on_claim(starting=True):
            attempt = publish.begin(shard, self._begun())
        try:
            with durable.on_claim():
                task = run_record.task_folder(self._run, self._document)
                retention.refuse_if_marked(self._run, task.name, time.time())
            scan = Scan(
                self._document,
                self._index,
                self._endpoints,
                shard,
                attempt,
                self._installation,
                self._on_progress,
                self._stop,
                lambda steps: self._on_saved(self._so_far(attempt.number, steps)),
            )
            record = scan.run(self._begun(attempt.number))
            if self._document.endpoints_file is not None:
                record = divided.bounded(record)
            record = msgspec.structs.replace(
                record, finished_at=records.timestamp(time.time()), duration_ms=self._milliseconds()
            )
            try:
                with durable.on_claim():
                    return attempt.publish(record)
            except ScanError as failed:  # its files stay, and the next attempt publishes them
                return msgspec.structs.replace(record, outcome=Outcome.FAILED, error=_error(failed))
        finally:
            attempt.abandon()

    def _so_far(self, attempt: int, steps: int) -> ShardReport:
        """The report of an attempt that is killed now. A kill counts as a failed attempt, unless it has saved steps."""
        return ShardReport(
            shard=self._index,
            attempt=attempt,
            outcome=Outcome.PARTIAL,
            endpoints=len(self._endpoints),
            steps=steps,
            duration_ms=self._milliseconds(),
        )

    def _begun(self, attempt: int = 0) -> ShardRecord:
        return records.begun(
            self._document.key,
            self._index,
            len(self._endpoints),
            self._started_at,
            attempt=attempt,
            pod=self._pod,
            goes_on_since=self._document.replay_not_before,
        )

    def _last_of_unknown(self, shard: Path, error: TaskError) -> TaskError:
        """`error`, or RetriesExhausted after `retry.unknown` retries. Kubernetes counts failures, but not by error class."""
        with durable.on_claim():
            attempts = publish.published(shard, not_before=merge.not_before(self._document))
        unknown = sum(
            1
            for record in attempts
            if record.error and record.error.error_class is ErrorClass.UNKNOWN and not record.steps
        )
        if unknown <= self._document.retry.unknown:
            return error
        return TaskError(
            error_class=ErrorClass.UNKNOWN,
            reason=Reason.RETRIES_EXHAUSTED,
            message=f"Failed for unknown reasons, and retry.unknown ({self._document.retry.unknown}) is used up: {error.message}",
        )

    def _summed_up(
        self, record: ShardRecord | None, error: TaskError | None, merged: MergedResult | None, *, replayed: bool
    ) -> ShardReport:
        if record is None:
            return ShardReport(
                shard=self._index,
                attempt=0,
                outcome=Outcome.FAILED,
                error=error,
                endpoints=len(self._endpoints),
                duration_ms=self._milliseconds(),
            )
        return ShardReport(
            shard=self._index,
            attempt=record.attempt,
            outcome=record.outcome,
            error=error,
            replayed=replayed,
            published_at=records.timestamp(records.seconds(record.finished_at)) if replayed else "",
            endpoints=record.endpoints,
            endpoints_scanned=record.endpoints_scanned,
            endpoints_unreachable=len(record.endpoints_unreachable) + record.endpoints_unlisted.unreachable,
            endpoints_skipped=len(record.endpoints_skipped) + record.endpoints_unlisted.skipped,
            steps=0 if record.outcome is Outcome.COMPLETE else record.steps,
            findings=record.findings,
            scanner=record.scanner,
            duration_ms=record.duration_ms,
            warnings=record.warnings,
            merged=merged,
        )

    def _milliseconds(self) -> int:
        return round((time.monotonic() - self._began) * 1000)


def _error(failed: ScanError) -> TaskError:
    return TaskError.of(failed)
