"""Scans from Python: in the program's own process, through Redis, or as ScanPlans in a cluster, switched by settings alone.

    from scanplan.client import ScanPlan, submit_scan_async, get_scan_result

    task_id = submit_scan_async(ScanPlan("nightly", "acme", ["https://app.example.com"], ["http/cves/"], ["critical"]))
    result = get_scan_result(task_id)

The names are those of the first, in-process version; docs/migration.md leads from there. `scanplan.client.aio` has the same
for asyncio.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scanplan.api.errors import InvalidPlan, NucleiBinaryError, ScanError, TemporaryError, UnknownScanError
    from scanplan.client.artifacts import store_scan_artifacts, update_run_artifacts
    from scanplan.client.compat.nuclei import execute_nuclei_pipeline
    from scanplan.client.compat.nuclei_integration import InternalFinding, to_internal_findings
    from scanplan.client.compat.projects import build_endpoints_from_queue, queue_endpoints
    from scanplan.client.errors import (
        ClientError,
        InvalidPayload,
        InvalidSettings,
        MissingDependency,
        QueueUnavailable,
        UnknownTask,
        UnknownTaskType,
    )
    from scanplan.client.findings import StoredFinding, append_findings, stored_findings
    from scanplan.client.models import (
        ArtifactRef,
        QueueHealth,
        ScanPlan,
        ScanResult,
        SeverityCounts,
        TaskStatus,
        compat_task_key,
        generate_task_key,
    )
    from scanplan.client.queues.base import TaskQueue
    from scanplan.client.settings import ClientSettings, QueueType, load_settings
    from scanplan.client.submission import (
        cancel_task,
        check_existing_task,
        get_scan_result,
        get_task_result,
        get_task_status,
        queue_for,
        run_scan,
        store_task_result,
        submit_scan,
        submit_scan_async,
        task_queue,
    )

__all__ = [
    "ArtifactRef",
    "ClientError",
    "ClientSettings",
    "InternalFinding",
    "InvalidPayload",
    "InvalidPlan",
    "InvalidSettings",
    "MissingDependency",
    "NucleiBinaryError",
    "QueueHealth",
    "QueueType",
    "QueueUnavailable",
    "ScanError",
    "ScanPlan",
    "ScanResult",
    "SeverityCounts",
    "StoredFinding",
    "TaskQueue",
    "TaskStatus",
    "TemporaryError",
    "UnknownScanError",
    "UnknownTask",
    "UnknownTaskType",
    "append_findings",
    "build_endpoints_from_queue",
    "cancel_task",
    "check_existing_task",
    "compat_task_key",
    "execute_nuclei_pipeline",
    "generate_task_key",
    "get_scan_result",
    "get_task_result",
    "get_task_status",
    "load_settings",
    "queue_endpoints",
    "queue_for",
    "run_scan",
    "store_scan_artifacts",
    "store_task_result",
    "stored_findings",
    "submit_scan",
    "submit_scan_async",
    "task_queue",
    "to_internal_findings",
    "update_run_artifacts",
]

_HOMES = {
    "scanplan.api.errors": ("InvalidPlan", "NucleiBinaryError", "ScanError", "TemporaryError", "UnknownScanError"),
    "scanplan.client.artifacts": ("store_scan_artifacts", "update_run_artifacts"),
    "scanplan.client.compat.nuclei": ("execute_nuclei_pipeline",),
    "scanplan.client.compat.nuclei_integration": ("InternalFinding", "to_internal_findings"),
    "scanplan.client.compat.projects": ("build_endpoints_from_queue", "queue_endpoints"),
    "scanplan.client.errors": (
        "ClientError",
        "InvalidPayload",
        "InvalidSettings",
        "MissingDependency",
        "QueueUnavailable",
        "UnknownTask",
        "UnknownTaskType",
    ),
    "scanplan.client.findings": ("StoredFinding", "append_findings", "stored_findings"),
    "scanplan.client.models": (
        "ArtifactRef",
        "QueueHealth",
        "ScanPlan",
        "ScanResult",
        "SeverityCounts",
        "TaskStatus",
        "compat_task_key",
        "generate_task_key",
    ),
    "scanplan.client.queues.base": ("TaskQueue",),
    "scanplan.client.settings": ("ClientSettings", "QueueType", "load_settings"),
    "scanplan.client.submission": (
        "cancel_task",
        "check_existing_task",
        "get_scan_result",
        "get_task_result",
        "get_task_status",
        "queue_for",
        "run_scan",
        "store_task_result",
        "submit_scan",
        "submit_scan_async",
        "task_queue",
    ),
}
"""Where each name is. Its module is imported when it is asked for: a command that only reads from a cluster needs few of them."""
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    match name:
        case "ENABLE_ASYNC_TASKS":  # the first design's flag, as the environment has it now
            return __getattr__("load_settings")().enable_async_tasks
        case _ if name in _HOME_OF:
            value = getattr(importlib.import_module(_HOME_OF[name]), name)
        case _:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "ENABLE_ASYNC_TASKS"]
