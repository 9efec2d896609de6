"""How full the pod's place for temporary files is, so that a scan ends by itself before the kubelet evicts its pod.

A pod whose emptyDir is over its `sizeLimit` is evicted with one second's notice: partial findings stay unpublished, and the
plan hears nothing of the reason (https://kubernetes.io/docs/concepts/storage/volumes/#emptydir).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from scanplan.api import environment
from scanplan.core.planning import quantities

NEAR = 0.8
"""Share of the limit at which a scan ends. The rest is what Nuclei may write until it has stopped."""
CHECK_SECONDS = 2.0
"""The kubelet looks every ten seconds."""
_BLOCK = 512
"""Bytes of a block of ``st_blocks``, whatever the file system's own."""


class Scratch(msgspec.Struct, frozen=True):
    """A folder for temporary files, and what it may hold."""

    folder: Path
    limit: float
    """In bytes; 0: no limit."""

    @classmethod
    def of(cls, variables: Mapping[str, str], folder: Path | None) -> Scratch:
        """The folder (None: the system's), with the limit that the environment says."""
        limit = quantities.quantity(variables.get(environment.TMP_SIZE_LIMIT) or "0")
        return cls(folder or Path(tempfile.gettempdir()), limit)

    def nearly_full(self) -> bool:
        """Whether so much is used that a scan must end."""
        return self.limit > 0 and self.used() >= NEAR * self.limit

    def used(self) -> int:
        """Bytes on disk below the folder. What vanishes meanwhile counts nothing; no link is followed."""
        total, folders = 0, [str(self.folder)]
        while folders:
            try:
                with os.scandir(folders.pop()) as entries:
                    for entry in entries:
                        try:
                            total += entry.stat(follow_symlinks=False).st_blocks * _BLOCK
                            if entry.is_dir(follow_symlinks=False):
                                folders.append(entry.path)
                        except OSError:
                            continue
            except OSError:
                continue
        return total
