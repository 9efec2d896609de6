"""The first version's pipeline, by its name: endpoints, Nuclei, internal findings, the project's store.

Names and return values are those of the first version. The work is done by the same pipeline as for every other scan. Unlike the
first version, it scans the endpoints that it is given.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from scanplan.client import models
from scanplan.client.compat import nuclei_wrapper
from scanplan.client.compat.projects import build_endpoints_from_queue
from scanplan.client.errors import InvalidPayload
from scanplan.client.models import ScanPlan
from scanplan.client.queues.local import SyncTaskQueue
from scanplan.client.settings import load_settings


class PipelineResult(TypedDict):
    """The first version's return value."""

    run_id: str
    success: bool
    findings_count: int
    endpoints_scanned: int
    duration_ms: int


def execute_nuclei_pipeline(
    run_id: str,
    severity_levels: Iterable[str],
    templates: Iterable[str],
    endpoints: Iterable[str] | None,
    project_id: str,
) -> PipelineResult:
    """Scan once in this process, whatever the settings say about queues.

    Args:
        endpoints: what to scan; None or an empty list takes the endpoints of the project's queue.

    Raises:
        InvalidPayload, InvalidPlan: the plan can't be run as it is written, or there is nothing to scan.
        NucleiBinaryError: trying again can't help.
        TemporaryError: it can.
        UnknownScanError: it may.
    """
    targets = list(endpoints or ()) or build_endpoints_from_queue(project_id)
    if not targets:
        raise InvalidPayload(f"there is nothing to scan: the queue of project {project_id!r} is empty")
    fields = {
        "run_id": run_id,
        "project_id": project_id,
        "endpoints": targets,
        "templates": list(templates),
        "severity_levels": list(severity_levels),
    }
    result = SyncTaskQueue(load_settings()).run(models.load(ScanPlan, fields, "the plan"))
    nuclei_wrapper.raise_for(result.task_error)
    return {
        "run_id": run_id,
        "success": result.success,
        "findings_count": result.finding_count,
        "endpoints_scanned": result.endpoints_scanned,
        "duration_ms": result.duration_ms,
    }
