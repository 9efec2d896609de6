"""Runs Nuclei once and returns its events in memory, for programs that store results themselves.

It runs Nuclei as the runner does, with the same checks: a scan that reached no endpoint is an error. Its folder is deleted
afterwards. Use `submit_scan` for large scans; it leaves artifacts.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict

from scanplan.api import layout
from scanplan.api.documents.report import TaskError
from scanplan.api.documents.words import ErrorClass
from scanplan.api.errors import NucleiBinaryError, ScanError, TemporaryError, UnknownScanError
from scanplan.client import document, models
from scanplan.client.models import ScanPlan
from scanplan.client.settings import load_settings
from scanplan.runner.shard import run_shard

_ERRORS: dict[ErrorClass, type[ScanError]] = {
    ErrorClass.FATAL: NucleiBinaryError,
    ErrorClass.TEMPORARY: TemporaryError,
    ErrorClass.UNKNOWN: UnknownScanError,
}


class NucleiOutput(TypedDict):
    """The events and messages of one run of Nuclei."""

    findings: list[dict[str, Any]]
    duration_ms: int


def scan_endpoints(
    endpoints: Iterable[str], templates: Iterable[str], severity_levels: Iterable[str] = ()
) -> NucleiOutput:
    """Scan, and return Nuclei's events.

    Raises:
        InvalidPlan: an endpoint that can't be parsed, or may not be scanned.
        ScanError: the scan failed; its class says whether trying again can help.
    """
    fields = {
        "run_id": "adhoc",
        "project_id": "adhoc",
        "endpoints": list(endpoints),
        "templates": list(templates),
        "severity_levels": list(severity_levels),
    }
    plan = models.load(ScanPlan, fields, "the scan")
    settings = load_settings().model_copy(update={"max_endpoints_per_shard": len(plan.endpoints)})
    task = document.build(plan, settings, datetime.now(UTC))
    with tempfile.TemporaryDirectory(prefix="scan-") as folder:
        report = run_shard(task, 0, Path(folder) / "run", installation=settings.installation())
        raise_for(report.error)
        lines = (Path(folder) / "run" / layout.LATEST / layout.FINDINGS).read_bytes().splitlines()
        return {"findings": [json.loads(line) for line in lines], "duration_ms": report.duration_ms}


def raise_for(error: TaskError | None) -> None:
    """Raise the exception for a runner's error; do nothing where there is none."""
    if error:
        raise _ERRORS[error.error_class](error.reason, error.message)
