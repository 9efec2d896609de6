"""Programs of others that only these tests run, built from source (see `tests.golang`).

Tests build what they need. `python -m tests.ecosystem.programs` builds all of them before, so that its progress is seen.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests import golang
from tests.cluster.local import binaries

SOURCES = (
    Path(__file__).with_name("flux"),
    binaries.TOOLS / "krew",
    binaries.TOOLS / "kueue",
    binaries.TOOLS / "prometheus",
    binaries.TOOLS / "versitygw",
)
TAGS = "remove_all_sd"
"""Prometheus without the service discoveries of all clouds, which are most of it."""


def path(source: Path, program: str) -> Path:
    """A program of the Go module in a folder, built now where it isn't there yet (minutes)."""
    return golang.built(source, tags=TAGS) / program


def sources(module: str) -> Path:
    """The files of a Go module, as `path@version`; the Go toolchain checks what it gets against the checksum database."""
    described = json.loads(golang.go("mod", "download", "-json", module, cwd=binaries.TOOLS))
    return Path(described["Dir"])


if __name__ == "__main__":
    for source in SOURCES:
        golang.built(source, tags=TAGS)
