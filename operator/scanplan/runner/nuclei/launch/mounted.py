"""Reads Secrets that are mounted in the pod."""

from __future__ import annotations

from pathlib import Path


def files(folder: str) -> dict[str, bytes]:
    """The content of each key; nothing where there is no Secret.

    Raises:
        OSError: the folder can't be read.
    """
    if not folder:
        return {}
    return {file.name: file.read_bytes() for file in sorted(Path(folder).iterdir()) if not file.name.startswith("..")}
