"""The service account of the pod that this process runs in."""

from __future__ import annotations

from pathlib import Path

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""Outside of a pod it is missing."""


def own_namespace(default: str = "default") -> str:
    """The namespace of the pod; `default` outside of one."""
    return NAMESPACE_FILE.read_text().strip() if NAMESPACE_FILE.exists() else default
