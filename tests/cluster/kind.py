"""Clusters by kind (https://kind.sigs.k8s.io), where a Docker engine answers: the widely known way, in
containers."""

from pathlib import Path

from tests.cluster import programs, state
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError, MissingError, UnsupportedError
from tests.console import step


def available() -> bool:
    """Whether kind is installed and a Docker engine answers."""
    if programs.find("kind") is None or programs.find("docker") is None:
        return False
    try:
        programs.run("docker", "info")
    except ClusterError:
        return False
    return True


class KindCluster(Cluster):
    """A cluster of the `kind` provider; kind knows it as scanplan-NAME."""

    @property
    def _kind_name(self) -> str:
        return f"scanplan-{self.name}"

    @property
    def alive(self) -> bool:
        return self._kind_name in _kind("get", "clusters").split()

    def load_image(self, *archives: Path) -> None:
        for archive in archives:
            with step(f"Loading {archive.name}"):
                _kind("load", "image-archive", str(archive), "--name", self._kind_name)

    def dump_logs(self, to: Path) -> None:
        _kind("export", "logs", str(to), "--name", self._kind_name)

    def remove(self) -> None:
        _kind("delete", "cluster", "--name", self._kind_name, "--kubeconfig", str(self.kubeconfig))
        state.forget(self.record)


def up(name: str, *, control_plane_only: bool = False) -> KindCluster:
    """Create a cluster; return when its node is ready."""
    if control_plane_only:
        raise UnsupportedError("kind can't start a control plane without a node: use the local provider")
    if not available():
        raise MissingError("the kind provider needs kind on PATH and a Docker engine that answers (try `docker info`)")
    cluster = KindCluster(state.Record(name=name, provider="kind"))
    with state.claimed(cluster.record), step(f"Creating kind cluster “{name}” (a minute or two)"):
        try:
            _kind(
                "create",
                "cluster",
                "--name",
                cluster._kind_name,
                "--kubeconfig",
                str(cluster.kubeconfig),
                "--wait=180s",
            )
        except BaseException:
            cluster.remove()
            raise
    return cluster


def _kind(*arguments: str) -> str:
    return programs.run("kind", *arguments)
