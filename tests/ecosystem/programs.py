"""Programs of others, built from source by the Go toolchain, once for each state of their module, beside the cluster's."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from tests.cluster.local import binaries
from tests.console import step

TAGS = "remove_all_sd"
"""Prometheus without the service discoveries of all clouds, which are most of it."""


def path(source: Path, program: str) -> Path:
    """A program of the Go module in a folder, built now where it isn't there yet (minutes)."""
    digest = hashlib.sha256(binaries.go("env", "GOVERSION", cwd=source).encode())
    for file in sorted((*source.glob("go.*"), *source.glob("*.go"))):
        digest.update(f"\0{file.name}\0".encode() + file.read_bytes())
    finished = binaries.cache() / f"{source.name}-{digest.hexdigest()[:12]}"
    if not finished.is_dir():
        binaries.cache().mkdir(parents=True, exist_ok=True)
        with binaries.alone(), step(f"Building {source.name} from source"):
            if not finished.is_dir():
                _build(source, finished)
    return finished / program


def _build(source: Path, finished: Path) -> None:
    draft = Path(tempfile.mkdtemp(prefix=f".{source.name}-", dir=finished.parent))
    try:
        packages = ["."] if (source / "main.go").exists() else ["tool"]
        binaries.go("build", "-ldflags", "-s -w", "-tags", TAGS, "-o", f"{draft}/", *packages, cwd=source)
        draft.chmod(0o755)
        draft.rename(finished)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
