"""What a local cluster runs: Kubernetes, etcd, containerd, CoreDNS and kube-router, built from source (see `tests.golang`).

Each has a folder in `tests/cluster/tools`, since their dependencies clash in one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests import golang

TOOLS = Path(__file__).parents[1] / "tools"
MODULES = ("etcd", "containerd", "kubernetes", "coredns")
"""What every cluster runs."""
ADDED = ("kube-router",)
"""What only some tests add to theirs."""
REGISTRY = "registry"
"""A registry of images, which one test has beside its cluster."""
VERSION_PACKAGE = "k8s.io/component-base/version"


def folders(names: Sequence[str] = MODULES) -> list[Path]:
    """The folders of these modules' finished programs; raises as `golang.built` does."""
    return [golang.built(TOOLS / name, _own_version) for name in names]


def _own_version(versions: Mapping[str, str]) -> dict[str, str]:
    """What Kubernetes' programs say of their version."""
    kubernetes = versions.get("k8s.io/kubernetes")
    if not kubernetes:
        return {}
    major, minor, _ = kubernetes.removeprefix("v").split(".", 2)
    values = {"gitVersion": kubernetes, "gitMajor": major, "gitMinor": minor}
    return {f"{VERSION_PACKAGE}.{variable}": value for variable, value in values.items()}
