"""Merges what the pods have published, where their Job ended without doing so.

Its last pod was killed, a shard failed for good, the deadline passed, or somebody cancelled. Then the operator starts a
collector, when no pod of the task is left. It seals what killed attempts had written, merges all that was published, and marks
the result partial unless every shard turns out to be complete. It needs no Nuclei.
"""

from __future__ import annotations

import time
from pathlib import Path

from scanplan.api.documents import records
from scanplan.api.documents.report import ShardReport
from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import Outcome
from scanplan.api.errors import TemporaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.findings.exceptions import Handed
from scanplan.runner.artifacts import divided, durable, publish, run_record
from scanplan.runner.artifacts.merging import merge
from scanplan.runner.confidential import Redaction

COLLECTOR = -1
"""The shard in a collector's report: it is none."""


def collect(document: TaskDocument, run_directory: Path, exceptions: Handed | None = None) -> ShardReport:
    """Merge what the task's shards have left in `run_directory`.

    Only when no attempt of the task is alive. Again and again is harmless.

    Args:
        document: the task; one without endpoints is that which its attempts had.
        exceptions: see `merge.merge`.

    Raises:
        ScanError: the claim failed, or belongs to another project.
    """
    began = time.monotonic()
    with durable.on_claim(starting=True):
        run_directory.mkdir(parents=True, exist_ok=True)
        run_record.enter(run_directory, document, time.time())
        document = run_record.with_scope(run_directory, document)
    now = records.timestamp(time.time())
    with durable.on_claim():
        for index, folder, endpoints in divided.parts(run_directory, document):
            size = divided.counts(folder).endpoints if endpoints is None else len(endpoints)
            left = records.begun(document.key, index, size, now)
            for attempt in publish.numbers(folder):
                publish.seal(folder, attempt, left)
        merged = merge.merge(run_directory, document, partial=True, scan_exceptions=exceptions)
        metadata = run_record.metadata(run_record.task_folder(run_directory, document))
    if merged is None or metadata is None:
        raise TemporaryError(
            Reason.STORAGE_ERROR, "What was merged is not on the volume any more: somebody removes it."
        )
    report = ShardReport(
        shard=COLLECTOR,
        attempt=0,
        outcome=Outcome.COMPLETE if merged.complete else Outcome.PARTIAL,
        endpoints=metadata.endpoints,
        endpoints_scanned=merged.endpoints_scanned,
        endpoints_unreachable=merged.endpoints_unreachable,
        endpoints_skipped=merged.endpoints_skipped,
        findings=merged.findings,
        scanner=metadata.scanner,
        duration_ms=round((time.monotonic() - began) * 1000),
        merged=merged,
    )
    return Redaction(document).report(report)
