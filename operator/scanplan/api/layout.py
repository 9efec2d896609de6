"""Paths on the claim: one function or constant for each path of the artifact layout.

Everything of a run is below ``ui_projects/{runId}``. Pods mount only that folder, so the paths here are relative to it. Attempts
never share a folder, and merged artifacts are immutable once complete. So no path is written twice with different content.
"""

from __future__ import annotations

from pathlib import PurePosixPath

PROJECTS = PurePosixPath("ui_projects")
ENDPOINT_FILES = PurePosixPath("endpoints")
"""Beside it, at the claim's root: files of endpoints, which users put there and pods read."""
RUN_RECORD = "run.json"
FINDINGS = "nuclei_output.ndjson"
METADATA = "scan_metadata.json"
HISTORY = "history.ndjson"
"""Beside the merged findings: each finding of the run with its life so far, sorted by identity."""
REPORT = "report.html"
"""The HTML report beside the merged findings. It is missing where it could not be written."""
LATEST = "artifacts"
"""Symbolic link in the run's folder to its newest task: the path that the first, in-process version used."""
SHARD_RECORD = "shard.json"
"""In an attempt's folder. It is written last, so an attempt without it was cut off."""
TASK_RECORD = "task.json"
"""In a task's folder: its key, plan and creation time. The run record is made from these."""
SHARDS = "shards"
"""In a task's folder: a folder for each shard that has begun."""
SCOPE = "scope.json"
"""In a task's folder: its endpoints, shards and templates. A collector reads them there."""
ENDPOINTS = "endpoints.json"
"""In the folder of a shard of a file of endpoints: those that are its own, and how many of its lines are none."""
SCANNER_LOG = "scanner.log"
"""In an attempt's folder: the first megabyte of what Nuclei logged."""
STEPS = "steps.jsonl"
"""In an attempt's folder: one line for each saved step of the scan. The next attempt continues after the last of them."""
COVERAGE = "coverage.json"
"""In the folder of a complete attempt: which templates ran against which endpoints, and had an answer."""
SIGHTINGS = "sightings.txt"
"""In the folder of a complete attempt with many findings: what the history needs to know of each, sorted."""
MALFORMED = "malformed_output.txt"
"""In an attempt's folder: lines of Nuclei's output that are no findings. Missing where there were none."""


def run_directory(run_id: str) -> PurePosixPath:
    """``ui_projects/{run_id}``, relative to the claim's root. `run_id` is validated by the CRD (a DNS-like name)."""
    return PROJECTS / run_id


def task_directory(key_digest: str) -> PurePosixPath:
    """The task's folder in its run: the merged artifacts and the shards."""
    return PurePosixPath("tasks") / key_digest


def shard_directory(key_digest: str, content_digest: str) -> PurePosixPath:
    """One shard's folder; named by its content, so that a re-made Job finds what is already there."""
    return task_directory(key_digest) / SHARDS / content_digest
