"""The real kstatus library, as Argo CD and Flux use it: a small Go program, built once per state of its sources into a cache."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.console import step

SOURCES = Path(__file__).parent


def compute(objects: Iterable[dict[str, Any]]) -> list[str]:
    """The status of each object (InProgress, Current, Failed, Terminating, …), in their order."""
    documents = "\n".join(json.dumps(each) for each in objects)
    done = subprocess.run([str(_program())], input=documents, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return [line.partition("\t")[0] for line in done.stdout.splitlines()]


def _program() -> Path:
    digest = hashlib.sha256(_go("env", "GOVERSION", "GOARCH", "GOOS").encode())
    for source in sorted((*SOURCES.glob("go.*"), *SOURCES.glob("*.go"))):
        digest.update(f"\0{source.name}\0".encode() + source.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scanplan/kstatus"
    program = cache / digest.hexdigest()[:16]
    if not program.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with step("Building kstatus"), tempfile.TemporaryDirectory(dir=cache) as scratch:
            built = Path(scratch) / "kstatus"
            _go("build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", str(built), ".")
            built.rename(program)  # whole or not at all, whoever else builds it at the same time
    return program


def _go(*arguments: str) -> str:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": ""}
    done = subprocess.run(["go", *arguments], cwd=SOURCES, env=environment, capture_output=True, text=True, check=False)
    assert not done.returncode, f"go {arguments[0]} failed:\n{done.stderr}"
    return done.stdout
