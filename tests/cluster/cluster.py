"""A cluster as its users see it, whichever provider made it."""

import abc
from pathlib import Path

from tests.cluster import state
from tests.console import step


class Cluster(abc.ABC):
    """A Kubernetes cluster that tests may fill and break.

    A ReadWriteOnce claim without a storage class name gets a volume that any user can write, as soon as it asks (`local`,
    which gives the other access modes too) or when its first pod comes (`kind`).
    """

    def __init__(self, record: state.Record) -> None:
        self.record = record

    @property
    def name(self) -> str:
        """The name it was made by."""
        return self.record.name

    @property
    def folder(self) -> Path:
        """Where it keeps its files on this machine."""
        return self.record.folder

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig whose current context is this cluster, as an administrator. It needs no other file."""
        return self.folder / "kubeconfig"

    @property
    def audit_log(self) -> Path | None:
        """The API server's audit log, one JSON event a line at level Metadata; None where it can't be read."""
        return None

    @property
    @abc.abstractmethod
    def alive(self) -> bool:
        """Whether it still runs."""

    @abc.abstractmethod
    def load_image(self, *archives: Path) -> None:
        """Make the images of OCI archives known to the nodes, so that pods start without a registry."""

    @abc.abstractmethod
    def dump_logs(self, to: Path) -> None:
        """Copy the logs of its components and pods into a folder, which is made."""

    def down(self) -> None:
        """End it and leave nothing of it behind. Harmless when it is down already; can be repeated when it fails."""
        with state.held(self.record) as there:
            if there:
                with step(f"Ending cluster “{self.name}”"):
                    self.remove()

    @abc.abstractmethod
    def remove(self) -> None:
        """What `down` does, for those who hold the cluster (see `tests.cluster.state.held`). Its last act is `forget`."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"
