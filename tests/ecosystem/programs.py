"""Programs of others, built from source by the Go toolchain, once for each state of their module, beside the cluster's.

Tests build what they need. `python -m tests.ecosystem.programs` builds all of them before: on a busy machine, one build may take
longer than a test may.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

from tests.cluster.local import binaries
from tests.console import step

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
    return _built(source) / program


def _built(source: Path) -> Path:
    digest = hashlib.sha256(binaries.go("env", "GOVERSION", cwd=source).encode())
    for file in sorted((*source.glob("go.*"), *source.glob("*.go"))):
        digest.update(f"\0{file.name}\0".encode() + file.read_bytes())
    finished = binaries.cache() / f"{source.name}-{digest.hexdigest()[:12]}"
    if not finished.is_dir():
        binaries.cache().mkdir(parents=True, exist_ok=True)
        with binaries.alone(), step(f"Building {source.name} from source"):
            if not finished.is_dir():
                _build(source, finished)
    return finished


def sources(module: str) -> Path:
    """The files of a Go module, as `path@version`; the Go toolchain checks what it gets against the checksum database."""
    described = json.loads(binaries.go("mod", "download", "-json", module, cwd=binaries.TOOLS))
    return Path(described["Dir"])


def _build(source: Path, finished: Path) -> None:
    draft = Path(tempfile.mkdtemp(prefix=f".{source.name}-", dir=finished.parent))
    try:
        packages = ["."] if (source / "main.go").exists() else ["tool"]
        binaries.go("build", "-ldflags", "-s -w", "-tags", TAGS, "-o", f"{draft}/", *packages, cwd=source)
        draft.chmod(0o755)
        draft.rename(finished)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


if __name__ == "__main__":
    for source in SOURCES:
        _built(source)
