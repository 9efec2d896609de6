"""Kubernetes, etcd, containerd, CoreDNS and kube-router, built from source by the Go toolchain, once for each set of versions.

Each folder of `tests/cluster/tools` is a Go module that only names programs (`tool` lines) and, in go.mod and
go.sum, every version and checksum that goes into them. They are apart because their dependencies clash in one.
The result is kept in `$XDG_CACHE_HOME/scanplan/bin/MODULE-DIGEST/`, the digest being that of all that decides
it; Go's own build cache is not needed afterwards.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import programs
from tests.cluster.errors import BuildError, MissingError
from tests.console import step

TOOLS = Path(__file__).parents[1] / "tools"
MODULES = ("etcd", "containerd", "kubernetes", "coredns")
"""What every cluster runs."""
ADDED = ("kube-router",)
"""What only some tests add to theirs."""
TYPICAL = "about six minutes on two idle cores, once"

PROGRAM_NAMES = {"go.etcd.io/etcd/server/v3": "etcd"}
"""Where a program is not called as the last part of its import path."""

VERSION_PACKAGE = "k8s.io/component-base/version"


def cache() -> Path:
    """The folder of all finished builds."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "scanplan" / "bin"


def folders(names: Sequence[str] = MODULES) -> list[Path]:
    """The folders of these modules' finished binaries, built now where they are not there yet.

    Raises MissingError when Go is not there or too old, BuildError with the compiler's words when a build fails.
    """
    toolchain = _toolchain()
    modules = [_read(name, toolchain) for name in names]
    missing = [module for module in modules if not module.finished.is_dir()]
    if missing:
        cache().mkdir(parents=True, exist_ok=True)
        with alone():
            missing = [module for module in modules if not module.finished.is_dir()]
            _build(missing)
    return [module.finished for module in modules]


@dataclass(frozen=True)
class _Module:
    name: str
    packages: tuple[str, ...]
    flags: tuple[str, ...]
    finished: Path

    @property
    def source(self) -> Path:
        return TOOLS / self.name


def _toolchain() -> str:
    """The Go toolchain's version, such as go1.26.8."""
    if programs.find("go") is None:
        raise MissingError("Go is not installed: the local cluster's binaries are built with it (https://go.dev/dl/)")
    return go("env", "GOVERSION", cwd=TOOLS).strip()


def _read(name: str, toolchain: str) -> _Module:
    """What a module builds, from its go.mod alone."""
    source = TOOLS / name
    described: dict[str, Any] = json.loads(go("mod", "edit", "-json", cwd=source))
    if _numbers(toolchain) < _numbers(described["Go"]):
        raise MissingError(
            f"Go {described['Go']} or newer is needed (https://go.dev/dl/); `go version` says {toolchain}"
        )
    link = "-s -w"
    versions = {needed["Path"]: needed["Version"] for needed in described["Require"]}
    if kubernetes := versions.get("k8s.io/kubernetes"):
        major, minor, _ = kubernetes.removeprefix("v").split(".", 2)
        for variable, value in (("gitVersion", kubernetes), ("gitMajor", major), ("gitMinor", minor)):
            link += f" -X {VERSION_PACKAGE}.{variable}={value}"
    flags = ("-trimpath", "-ldflags", link)
    digest = hashlib.sha256("\0".join((toolchain, *flags)).encode())
    for file in sorted((*source.glob("go.*"), *source.glob("*.go"))):
        digest.update(file.read_bytes())
    packages = tuple(tool["Path"] for tool in described["Tool"])
    return _Module(name, packages, flags, cache() / f"{name}-{digest.hexdigest()[:12]}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.removeprefix("go").split("-")[0].split(".") if part.isdigit())


def _build(modules: list[_Module]) -> None:
    for left_by_a_killed_build in cache().glob(".*/"):
        shutil.rmtree(left_by_a_killed_build)
    total = sum(len(module.packages) for module in modules)
    done = 0
    with step(f"Building Kubernetes from source ({TYPICAL})") as progress:
        for module in modules:
            draft = Path(tempfile.mkdtemp(prefix=f".{module.name}-", dir=cache()))
            try:
                for package in module.packages:
                    program = PROGRAM_NAMES.get(package, package.rpartition("/")[2])
                    done += 1
                    progress.update(f"{done}/{total} {program}")
                    go("build", *module.flags, "-o", str(draft / program), package, cwd=module.source)
                draft.chmod(0o755)
                draft.rename(module.finished)
            finally:
                shutil.rmtree(draft, ignore_errors=True)


def go(*arguments: str, cwd: Path) -> str:
    own = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": "-mod=readonly"}
    return programs.run("go", *arguments, failure=BuildError, cwd=cwd, env=own)


@contextmanager
def alone() -> Iterator[None]:
    """One build at a time on this machine; a second one waits, and then finds the work done."""
    with (cache() / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step("Waiting for another process that builds the same programs"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield
