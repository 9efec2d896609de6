"""A running cluster of the `local` provider: its files, its images, and the levers that break and mend it."""

import shutil
from pathlib import Path
from signal import Signals
from typing import BinaryIO

from tests.cluster import programs, state
from tests.cluster.cluster import Cluster
from tests.cluster.errors import NotUpError, UnsupportedError
from tests.cluster.local import binaries, components, control, isolation
from tests.cluster.local.api import Api
from tests.cluster.local.components import Component, Node
from tests.console import step


class LocalCluster(Cluster):
    """Beside what every cluster can do, its components can be killed and restarted, its files seen from the host."""

    @property
    def alive(self) -> bool:
        return isolation.outer_pid(self.folder) is not None

    @property
    def audit_log(self) -> Path:
        return self.folder / "log" / "audit.jsonl"

    @property
    def volumes(self) -> Path:
        """The folder of all provisioned volumes as this machine sees it; each is called as the end of its hostPath is."""
        return self.folder / "volumes"

    @property
    def node(self) -> Node:
        """What sets it apart from other local clusters."""
        if self.record.slot is None:
            raise NotUpError(f"cluster “{self.name}” was left behind half started: end it (down), and start it again")
        address = isolation.node_address(self.record.slot)
        return Node(address, isolation.cgroup(self.folder), isolation.is_cgroup_v1())

    @property
    def api(self) -> Api:
        """Its API server, as an administrator."""
        return Api(self.node.address, self.folder / "pki")

    @property
    def stages(self) -> list[list[Component]]:
        """What it is made of, in the order in which it starts."""
        return components.stages(self.node, self.record.control_plane_only)

    def states(self) -> dict[str, str]:
        """Each component's state: "running", "exit code 1", "SIGKILL"."""
        return control.report(self.folder)

    def kill(self, component: str, signal: Signals = Signals.SIGKILL) -> None:
        """Send a component, such as "kube-apiserver", a signal; return when it has ended. It stays so until `restart`.

        SIGSTOP and SIGCONT are possible too: a component that hangs, and goes on.
        """
        control.kill(self.folder, self._component(component).name, signal)

    def restart(self, component: str) -> None:
        """Start a component, having killed it if it runs; return when it is ready."""
        self.run(self._component(component))

    def run(self, component: Component) -> None:
        """Start a program among the cluster's own, having killed the one of that name; return when it is ready.

        It may be a component with other flags than `stages` gives it, or one that isn't among them.
        """
        control.kill(self.folder, component.name, Signals.SIGKILL)
        control.start(self.folder, component)
        control.wait(self.folder, component)

    def _component(self, name: str) -> Component:
        return next(component for stage in self.stages for component in stage if component.name == name)

    def load_image(self, *archives: Path) -> None:
        if self.record.control_plane_only:
            raise UnsupportedError(
                f"cluster “{self.name}” is a control plane only: it has no node that could run an image"
            )
        for archive in archives:
            with step(f"Loading {archive.name}"):
                self.import_image(archive)

    def import_image(self, archive: Path) -> None:
        """Load one archive, silently. It is handed over as a stream: not every path of the host can be seen within."""
        ctr = shutil.which("ctr", path=":".join(map(str, binaries.folders())))
        importing = [f"--address={components.CONTAINERD_SOCKET}", "--namespace=k8s.io", "images", "import", "-"]
        with archive.open("rb") as content:
            self._within(str(ctr), *importing, stdin=content)

    def _within(self, *argv: str, stdin: BinaryIO | None = None) -> None:
        """Run a program that sees the cluster's mounts."""
        programs.run("nsenter", f"--mount=/proc/{control.first_pid(self.folder)}/ns/mnt", *argv, stdin=stdin)

    def dump_logs(self, to: Path) -> None:
        shutil.copytree(self.folder / "log", to, dirs_exist_ok=True, ignore_dangling_symlinks=True)

    def make_volume(self, name: str, size: int, *, read_only: bool = False) -> None:
        """Make a PersistentVolume that runs full: it holds exactly `size` bytes, in memory, and any user may write it.

        A claim gets it by `volumeName`, with `storageClassName: ""`. Provisioned volumes know no limit but the disk.
        """
        path = f"/run/volumes/{name}"
        options = f"X-mount.mkdir,mode=0777,size={size}{',ro' if read_only else ''}"
        self._within("mount", "-t", "tmpfs", "-o", options, name, path)
        self.api.create(
            "/api/v1/persistentvolumes",
            {
                "metadata": {"name": name},
                "spec": {
                    "capacity": {"storage": str(size)},
                    "accessModes": ["ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany"],
                    "persistentVolumeReclaimPolicy": "Retain",
                    "hostPath": {"path": path, "type": "Directory"},
                },
            },
        )

    def remove(self) -> None:
        record = state.load(self.name)
        if self.alive and record is not None and record.slot is not None:
            isolation.disconnect(record.slot)  # while it is surely ours
        isolation.end(self.folder)
        isolation.remove_cgroups(self.folder)
        state.forget(self.record)
