"""Kubernetes clusters for the tests and the demo: one interface, three providers.

    local      a whole real Kubernetes in namespaces of its own: no Docker, no registry; needs root
    kind       where a Docker engine answers and kind is on PATH
    existing   a cluster of yours, only when you ask for it and name its context

    cluster = up("my-test")
    cluster.load_image(Path("image.tar"))
    … kubectl --kubeconfig {cluster.kubeconfig} …
    cluster.down()

The same from a shell: `python -m tests.cluster --help`.
"""

from pathlib import Path
from typing import Literal

from tests.cluster import existing, kind, local, state
from tests.cluster.cluster import Cluster
from tests.cluster.errors import AlreadyUpError, ClusterError, NotUpError
from tests.cluster.existing import ExistingCluster
from tests.cluster.kind import KindCluster
from tests.cluster.local import LocalCluster

__all__ = ["Cluster", "ClusterError", "LocalCluster", "Provider", "clusters", "find", "up"]

Provider = Literal["auto", "local", "kind", "existing"]

_KINDS: dict[str, type[Cluster]] = {"local": LocalCluster, "kind": KindCluster, "existing": ExistingCluster}


def up(
    name: str,
    provider: Provider = "auto",
    *,
    control_plane_only: bool = False,
    temporary: bool = False,
    reuse: bool = False,
    context: str | None = None,
    kubeconfig: Path | None = None,
) -> Cluster:
    """Start a cluster and return when it is ready for use.

    `auto` is kind where Docker and kind are there, else local; a control plane alone is always local. A local cluster
    that is `temporary` ends with this process, whatever ends it. `reuse` takes a running cluster of that name as it
    is. `context`, and `kubeconfig` if it is not kubectl's own, are for `existing` only.

    Raises a ClusterError that says what to do (the tree is in `tests.cluster.errors`).
    """
    if reuse and (found := find(name)):
        with state.held(found.record):
            if found.record.starting or not found.alive:
                raise NotUpError(
                    f"cluster “{name}” died or was never ready: end it first (python -m tests.cluster down --name {name})"
                )
        if found.record.control_plane_only and not control_plane_only:
            raise AlreadyUpError(f"cluster “{name}” is a control plane only: end it first, or use another name")
        return found
    if provider == "existing":
        return existing.up(name, context=context, kubeconfig=kubeconfig)
    if provider == "kind" or (provider == "auto" and not control_plane_only and kind.available()):
        return kind.up(name, control_plane_only=control_plane_only)
    return local.up(name, control_plane_only=control_plane_only, temporary=temporary)


def find(name: str) -> Cluster | None:
    """The cluster of that name, alive or not, or None."""
    record = state.load(name)
    return None if record is None else _KINDS[record.provider](record)


def clusters() -> list[Cluster]:
    """All clusters of this user, by name."""
    return [found for name in state.names() if (found := find(name))]
