"""Helm and the programs that judge charts and workflows, built from source (see `tests.golang`).

They are beside the cluster's own in `tests/cluster/tools/helm`, and apart from these because only the chart's tests need them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests import golang
from tests.cluster import programs
from tests.cluster.errors import ClusterError
from tests.cluster.local import binaries
from tests.kubectl import BRIEF

HELM = binaries.TOOLS / "helm"
MODULES = (HELM, HELM / "kube-score")
"""Apart because kube-score needs API types that newer Kubernetes libraries no longer have."""
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
    """The folders of finished programs; raises as `golang.built` does."""
    return [golang.built(source, _versions) for source in MODULES]


def _versions(versions: Mapping[str, str]) -> dict[str, str]:
    """Helm takes itself for one of a very old Kubernetes unless told which one its libraries are of."""
    helm = versions.get("helm.sh/helm/v3")
    if not helm:
        return {}
    minor = versions["k8s.io/client-go"].split(".")[1]
    found = {"helm.sh/helm/v3/internal/version.version": helm}
    for package in VERSION_PACKAGES:
        found |= {f"{package}.k8sVersionMajor": "1", f"{package}.k8sVersionMinor": minor}
    return found
