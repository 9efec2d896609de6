"""Helm and the programs that judge charts and workflows, built from source by the Go toolchain, once for each set of versions.

`tests/cluster/tools/helm` and the module in it name them with every version and checksum, as those of the cluster's
own programs do; they are apart from these because only the chart's tests need them. The result is kept beside theirs.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests.cluster import programs
from tests.cluster.errors import BuildError, ClusterError
from tests.cluster.local import binaries
from tests.console import step
from tests.kubectl import BRIEF

HELM = binaries.TOOLS / "helm"
MODULES = (HELM, HELM / "kube-score")
"""Apart because kube-score needs API types that newer Kubernetes libraries no longer have."""
TYPICAL = "about a minute where the cluster's programs were built, else three, once"
VERSION_PACKAGES = ("helm.sh/helm/v3/pkg/chartutil", "helm.sh/helm/v3/pkg/lint/rules")
"""Where Helm keeps the version of Kubernetes that it renders for when it asks no cluster."""


class ProgramError(ClusterError):
    """Helm, or one of the judges, did not succeed; the message is what it said."""


def run(program: str, *arguments: str, text: str | None = None, cwd: Path | None = None) -> str:
    """Run helm, helm-docs, helm-unittest, actionlint or kube-score with a text as its input; returns what it printed.

    Raises:
        ProgramError: it did not succeed.
        ClusterError: it can't be built.
    """
    return programs.run(str(path(program)), *arguments, failure=ProgramError, text=text, cwd=cwd, env=BRIEF)


def path(program: str) -> Path:
    """Where one of them is, for those who run it themselves."""
    return next(folder / program for folder in folders() if (folder / program).exists())


def folders() -> list[Path]:
    """The folders of finished programs, built now where they are not there yet."""
    finished = {source: _finished(source) for source in MODULES}
    if not all(folder.is_dir() for folder in finished.values()):
        binaries.cache().mkdir(parents=True, exist_ok=True)
        with binaries.alone(), step(f"Building Helm from source ({TYPICAL})"):
            for source, folder in finished.items():
                if not folder.is_dir():
                    _build(source, folder)
    return list(finished.values())


def _finished(source: Path) -> Path:
    digest = hashlib.sha256("\0".join((binaries.go("env", "GOVERSION", cwd=source), *_flags(source))).encode())
    for file in sorted(source.glob("go.*")):
        digest.update(file.read_bytes())
    return binaries.cache() / f"{source.name}-{digest.hexdigest()[:12]}"


def _build(source: Path, finished: Path) -> None:
    draft = Path(tempfile.mkdtemp(prefix=f".{source.name}-", dir=binaries.cache()))
    try:
        tools = [tool["Path"] for tool in _module(source)["Tool"]]
        binaries.go("build", *_flags(source), "-o", f"{draft}/", *tools, cwd=source)
        draft.chmod(0o755)
        draft.rename(finished)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _flags(source: Path) -> tuple[str, ...]:
    """Helm takes itself for one of a very old Kubernetes unless told which one its libraries are of."""
    link = "-s -w"
    versions = {needed["Path"]: needed["Version"] for needed in _module(source)["Require"]}
    if helm := versions.get("helm.sh/helm/v3"):
        minor = versions["k8s.io/client-go"].split(".")[1]
        link += f" -X helm.sh/helm/v3/internal/version.version={helm}"
        for package in VERSION_PACKAGES:
            link += f" -X {package}.k8sVersionMajor=1 -X {package}.k8sVersionMinor={minor}"
    return ("-trimpath", "-ldflags", link)


def _module(source: Path) -> dict[str, Any]:
    described: dict[str, Any] = json.loads(binaries.go("mod", "edit", "-json", cwd=source))
    return described


__all__ = ["BuildError", "ProgramError", "folders", "run"]
