"""Programs of others, built from source by the Go toolchain, once for each set of versions.

A folder with a go.mod is a Go module that only names programs (its `tool` lines, or a main package of its own) and, in go.mod and
go.sum, every version and checksum that goes into them. The result is kept in `$XDG_CACHE_HOME/scanplan/bin/FOLDER-DIGEST/`, the
digest being that of all that decides it; Go's own build cache is not needed afterwards.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.building import alone
from tests.cluster import programs
from tests.cluster.errors import BuildError, MissingError
from tests.console import step

NAMES = {"go.etcd.io/etcd/server/v3": "etcd"}
"""Where a program is not called as the last part of its import path."""
FLAGS = ("-trimpath", "-gcflags=all=-dwarf=false")
"""The linker leaves out what debuggers read; to compile without it takes an eighth less time."""

Definitions = Callable[[Mapping[str, str]], Mapping[str, str]]
"""From the versions of the modules that are required, by path, to the values of string variables that the linker sets."""


def nothing(versions: Mapping[str, str]) -> Mapping[str, str]:
    """No variable is set."""
    del versions
    return {}


def cache() -> Path:
    """The folder of all finished builds."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "scanplan" / "bin"


@functools.cache
def built(source: Path, definitions: Definitions = nothing, tags: str = "") -> Path:
    """The folder of a module's finished programs, built now where they are not there yet, which takes minutes.

    Args:
        source: the folder with go.mod.
        tags: Go's build tags.

    Raises:
        MissingError: Go is not there, or too old.
        BuildError: it fails; the message has the compiler's words.
    """
    module = _read(source, definitions, tags)
    if not module.finished.is_dir():
        with alone(cache() / ".lock", "programs"):
            if not module.finished.is_dir():
                _build(module)
    return module.finished


def go(*arguments: str, cwd: Path) -> str:
    """Run the toolchain that is installed; returns what it printed.

    Raises:
        BuildError: it fails.
    """
    own = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": "-mod=readonly"}
    return programs.run("go", *arguments, failure=BuildError, cwd=cwd, env=own)


@dataclass(frozen=True)
class _Module:
    source: Path
    packages: tuple[str, ...]
    flags: tuple[str, ...]
    finished: Path


def _read(source: Path, definitions: Definitions, tags: str) -> _Module:
    """What a module builds, from its files alone."""
    toolchain = _toolchain()
    described: dict[str, Any] = json.loads(go("mod", "edit", "-json", cwd=source))
    if _numbers(toolchain) < _numbers(described["Go"]):
        raise MissingError(
            f"Go {described['Go']} or newer is needed (https://go.dev/dl/); `go version` says {toolchain}"
        )
    versions = {needed["Path"]: needed["Version"] for needed in described["Require"] or ()}
    link = " ".join(("-s -w", *(f"-X {name}={value}" for name, value in definitions(versions).items())))
    flags = (*FLAGS, "-ldflags", link, *(("-tags", tags) if tags else ()))
    digest = hashlib.sha256("\0".join((toolchain, *flags)).encode())
    for file in sorted((*source.glob("go.*"), *source.glob("*.go"))):
        digest.update(file.read_bytes())
    tools = tuple(tool["Path"] for tool in described.get("Tool") or ())
    finished = cache() / f"{source.name}-{digest.hexdigest()[:12]}"
    return _Module(source, tools or (described["Module"]["Path"],), flags, finished)


def _toolchain() -> str:
    """The Go toolchain's version, such as go1.26.8."""
    if programs.find("go") is None:
        raise MissingError("Go is not installed: programs are built from source with it (https://go.dev/dl/)")
    return go("env", "GOVERSION", cwd=Path(__file__).parent).strip()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.removeprefix("go").split("-")[0].split(".") if part.isdigit())


def _build(module: _Module) -> None:
    for left_by_a_killed_build in cache().glob(".*/"):
        shutil.rmtree(left_by_a_killed_build)
    draft = Path(tempfile.mkdtemp(prefix=f".{module.source.name}-", dir=cache()))
    try:
        with step(f"Building {module.source.name} from source, once") as progress:
            for number, package in enumerate(module.packages, 1):
                program = NAMES.get(package, package.rpartition("/")[2])
                progress.update(f"{number}/{len(module.packages)} {program}")
                go("build", *module.flags, "-o", str(draft / program), package, cwd=module.source)
        draft.chmod(0o755)
        draft.rename(module.finished)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
