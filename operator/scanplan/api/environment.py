"""The environment variables of the scan pod, set by the Job's builder and read by the runner."""

from __future__ import annotations

TASK_DIRECTORY = "SCANPLAN_TASK_DIRECTORY"
"""Folder with the task document: ``task.json``, or ``task.json.gz.00``, ``.01``, … to be joined and unpacked."""
RUN_DIRECTORY = "SCANPLAN_RUN_DIRECTORY"
"""The run's folder on the claim (``ui_projects/{runId}``), mounted by subPath."""
COMPLETION_INDEX = "JOB_COMPLETION_INDEX"
"""The shard: set by Kubernetes for Indexed Jobs."""
POD_NAME = "SCANPLAN_POD_NAME"
"""The attempt's name in logs and records: the pod's own, by the downward API."""
TERMINATION_LOG = "SCANPLAN_TERMINATION_LOG"
"""File for the shard's report; Kubernetes reads at most 4096 bytes of it."""
NUCLEI_BIN = "NUCLEI_BIN"
"""The Nuclei program; by default ``nuclei`` on PATH."""
TEMPLATES_DIRECTORY = "SCANPLAN_TEMPLATES_DIRECTORY"
"""Root of the templates baked into the image; relative template paths start here."""
