"""Which exports of a plan are due, and the name of the Job that does them.

An export is recorded on the plan's status with the digest of what was exported to where. It is due again when that changes, or
when somebody asks for another attempt. So a restart, a second operator or an edit of something else exports nothing again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from scanplan.api.v1alpha1.plan.exports import Export, ExportState, ExportStatus
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.core.planning import keys
from scanplan.core.planning.task import Plan

_RETRIED = {ExportState.FAILED, ExportState.SKIPPED}


def digest_of(export: Export, status: ScanPlanStatus) -> str:
    """What an export sends where: it and the result, as they are now, without fields that have the schema's default."""
    artifacts = status.artifacts
    result = [file.model_dump(exclude_defaults=True) for file in (artifacts.files or ())] if artifacts else []
    written = export.model_dump(mode="json", exclude_defaults=True)
    return keys.digest(keys.canonical_json([written, status.task_key, result]))


def settled(plan: Plan) -> dict[str, ExportStatus]:
    """The exports that are over, by name."""
    known = {each.name: each for each in plan.status.exports or ()}
    found = {}
    for export in plan.spec.exports:
        record = known.get(export.name)
        if record is None or not record.state.is_terminal or record.digest != digest_of(export, plan.status):
            continue
        if record.state in _RETRIED and (record.retry or "") != plan.spec.retry_exports:
            continue
        found[export.name] = record
    return found


def due(plan: Plan) -> tuple[Export, ...]:
    """The exports that are still to be done, in the order of the spec."""
    over = settled(plan)
    return tuple(export for export in plan.spec.exports if export.name not in over)


def job_name(plan: Plan, exports: Sequence[Export]) -> str:
    """Name of the Job that does these exports: ``export-`` and 20 hex digits. It is the lock, as a scan's Job name is."""
    parts = [plan.uid, plan.spec.retry_exports, *(digest_of(export, plan.status) for export in exports)]
    return f"export-{hashlib.sha256(keys.canonical_json(parts).encode()).hexdigest()[:20]}"


def idempotency_key(plan: Plan, export: Export) -> str:
    """The same for each attempt to export the same result of a plan to the same place."""
    parts = [plan.uid, export.name, digest_of(export, plan.status)]
    return hashlib.sha256(keys.canonical_json(parts).encode()).hexdigest()[:32]
