"""Kubernetes' own API types, of one version after the other: a small Go program for each, built once into a cache."""

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
MODULES = {"1.33": "v1.33.mod", "1.34": "v1.34.mod", "1.35": "v1.35.mod", "1.36": "v1.36.mod", "1.37": "go.mod"}
"""The Go module of each version of Kubernetes; k8s.io/api v0.33 is that of 1.33."""


def complaints(version: str, manifests: Iterable[dict[str, Any]]) -> list[str]:
    """A line for each manifest that has a field, or a form of it, which this version of the API does not know."""
    documents = "\n".join(json.dumps(each) for each in manifests)
    done = subprocess.run([str(_program(version))], input=documents, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout.splitlines()


def _program(version: str) -> Path:
    module = SOURCES / MODULES[version]
    digest = hashlib.sha256(_go("env", "GOVERSION", "GOARCH", "GOOS").encode())
    for source in (module, module.with_suffix(".sum"), SOURCES / "main.go"):
        digest.update(source.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scanplan/api-types"
    program = cache / digest.hexdigest()[:16]
    if not program.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with step(f"Building the API types of {version}"), tempfile.TemporaryDirectory(dir=cache) as scratch:
            built = Path(scratch) / "types"
            _go(
                "build",
                f"-modfile={module.name}",
                "-trimpath",
                "-buildvcs=false",
                "-ldflags=-s -w",
                "-o",
                str(built),
                ".",
            )
            built.rename(program)  # whole or not at all, whoever else builds it at the same time
    return program


def _go(*arguments: str) -> str:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": ""}
    done = subprocess.run(["go", *arguments], cwd=SOURCES, env=environment, capture_output=True, text=True, check=False)
    assert not done.returncode, f"go {arguments[0]} failed:\n{done.stderr}"
    return done.stdout
