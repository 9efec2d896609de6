"""Reads Secrets that are mounted in the pod, and hands them on by private files."""

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


def write_private(path: Path, content: bytes) -> None:
    """Write a file that nobody else reads. Raises OSError."""
    path.touch(mode=0o600)
    path.write_bytes(content)
