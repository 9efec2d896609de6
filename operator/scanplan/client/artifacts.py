"""Artifacts by the first version's names: where a run's files are, and files that a program adds itself.

What scans leave is written by the runner, once and for good (`scanplan.api.layout`). ``run_artifacts.json`` beside it names the
files of a run for programs: those of the newest scan, and whatever a program has recorded.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from scanplan.api import layout, wire
from scanplan.api.documents.records import ScanMetadata
from scanplan.api.v1alpha1.scanplan import RUN_NAME
from scanplan.client.errors import InvalidPayload
from scanplan.client.models import ArtifactRef, ScanResult, SeverityCounts, TaskStatus
from scanplan.client.settings import load_settings
from scanplan.core.planning import keys
from scanplan.runner.artifacts import durable, publish, run_record

RECORD = "run_artifacts.json"
_TASK_ID = re.compile(r"scan-([0-9a-f]{20})")


def update_run_artifacts(run_id: str, artifacts: Mapping[str, str]) -> dict[str, str]:
    """Record paths of a run's artifacts; names that are there already get the new path.

    Args:
        artifacts: name to path, relative to the data directory, such as ``ui_projects/nightly/artifacts/report.pdf``.

    Returns:
        All recorded paths of the run.

    Raises:
        InvalidPayload: a run id that is no name, or a path out of the data directory.
    """
    root = load_settings().data_directory
    for name, path in artifacts.items():
        if not (root / path).resolve().is_relative_to(root.resolve()):
            raise InvalidPayload(f"artifact {name!r}: {path!r} is not below the data directory")
    return record(root / layout.run_directory(_checked(run_id)), artifacts)


def store_scan_artifacts(run_id: str, artifacts: Mapping[str, Any]) -> dict[str, str]:
    """Store findings that a program has from elsewhere, as the first version did.

    Args:
        artifacts: ``nuclei_output``, a list of findings, and ``metadata``, a mapping.

    Returns:
        The recorded paths of the run.

    Raises:
        InvalidPayload: the run's artifacts are those of a scan, which nobody writes over.
    """
    root = load_settings().data_directory
    run = root / layout.run_directory(_checked(run_id))
    folder = run / layout.LATEST
    if folder.is_symlink():
        raise InvalidPayload(f"run {run_id!r} has the artifacts of a scan: store yours under another run id")
    folder.mkdir(parents=True, exist_ok=True)
    lines: Iterable[Any] = artifacts.get("nuclei_output", ())
    durable.replace(folder / layout.FINDINGS, b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    durable.replace(folder / layout.METADATA, json.dumps(artifacts.get("metadata", {}), indent=2).encode())
    where = layout.run_directory(run_id) / layout.LATEST
    return record(run, {"nuclei_output": str(where / layout.FINDINGS), "metadata": str(where / layout.METADATA)})


def record(run: Path, paths: Mapping[str, str]) -> dict[str, str]:
    """Add paths to a run's ``run_artifacts.json``; returns all of them."""
    run.mkdir(parents=True, exist_ok=True)
    with locked(run / f".{RECORD}.lock"):
        known = recorded(run)
        merged = {**known, **paths}
        if merged != known:
            durable.replace(run / RECORD, json.dumps(merged, indent=2, sort_keys=True).encode() + b"\n")
    return merged


def recorded(run: Path) -> dict[str, str]:
    """The paths in a run's ``run_artifacts.json``; none where it can't be read: whoever writes to the run may have changed it."""
    try:
        return wire.decode(durable.read_record(run / RECORD), dict[str, str])
    except (FileNotFoundError, PermissionError, *wire.UNREADABLE):
        return {}


def newest_task(root: Path, run_id: str) -> str | None:
    """The key of a run's newest task; None where the run is not known here."""
    if not re.fullmatch(RUN_NAME, run_id):
        return None
    known = run_record.read(root / layout.run_directory(run_id))
    return known.tasks[-1].key if known and known.tasks else None


def recovered(root: Path, task_id: str) -> ScanResult | None:
    """A task's result from its published artifacts: those outlive every store. None where there are none.

    Why a task failed is not in its artifacts; one that is not complete is FAILED, with what it found.
    """
    match = _TASK_ID.fullmatch(task_id)
    if not match:
        return None
    for folder in sorted(root.glob(str(layout.run_directory("*") / layout.task_directory(match[1])))):
        metadata = run_record.metadata(folder)
        if metadata is not None and _is_own(metadata, folder.parent.parent.name, match[1]):
            return _result(task_id, folder, metadata, str(folder.relative_to(root)))
    return None


def _is_own(metadata: ScanMetadata, run_id: str, digest: str) -> bool:
    """Whether this run has such a task; whoever can write to a run's folder may call one there as another run's task."""
    key = metadata.key
    return metadata.run_id == run_id and key.split(":")[2:3] == [run_id] and keys.key_digest(key) == digest


def _result(task_id: str, folder: Path, metadata: ScanMetadata, path: str) -> ScanResult:
    files = (*metadata.files, publish.artifact(folder / layout.METADATA))
    return ScanResult(
        run_id=metadata.run_id,
        success=metadata.complete,
        endpoint_count=metadata.endpoints,
        finding_count=metadata.findings.total,
        duration_ms=metadata.duration_ms,
        error=None if metadata.complete else "the scan is not complete; these are the findings that it published",
        task_id=task_id,
        status=TaskStatus.COMPLETED if metadata.complete else TaskStatus.FAILED,
        findings=SeverityCounts.of(metadata.findings),
        endpoints_scanned=metadata.endpoints_scanned,
        endpoints_unreachable=metadata.endpoints_unreachable,
        artifact_path=path,
        artifacts=[ArtifactRef(**msgspec.structs.asdict(file)) for file in files],
        complete=metadata.complete,
    )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file's lock: one holder at a time, over threads and processes of this machine; it ends with the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _checked(run_id: str) -> str:
    if not re.fullmatch(RUN_NAME, run_id):
        raise InvalidPayload(f"{run_id!r} is not a run id: letters, digits, '-', '_' and '.', no slash")
    return run_id
