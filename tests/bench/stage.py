"""A control plane with one operator at work in one namespace, as the figures need it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import LocalCluster, local
from tests.cluster.local import control
from tests.deploy import ROOT, SYSTEM_NAMESPACE
from tests.fixtures.control_plane import administrator_of, identity_of, make_namespace
from tests.integration.apiserver import ApiServer
from tests.integration.kubelet import Heartbeat
from tests.integration.operator_process import OperatorProcess
from tests.integration.scene import Scene

NAMESPACE = "bench"
BARE = "bench-bare"
"""The namespace of Jobs that no operator looks at."""
SETTINGS = {
    "WORKER_CONCURRENCY": "1000",
    "SCANPLAN_LEADER_ELECTION": "true",
    "SCANPLAN_LEASE_NAMESPACE": SYSTEM_NAMESPACE,
}
CONNECTIONS = 4
"""Over which a client makes many objects at once."""
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Stage:
    """What is there while figures are taken."""

    api: ApiServer
    scene: Scene
    operator: OperatorProcess
    cluster: LocalCluster

    @property
    def audit_log(self) -> Path:
        return self.cluster.audit_log


@contextmanager
def control_plane(**settings: str) -> Iterator[Stage]:
    """Start all of it; the operator has the rights of examples/install, a lease, and up to 1,000 Jobs at once."""
    cluster = local.up(f"bench-{os.getpid()}", control_plane_only=True, temporary=True)
    try:
        api = ApiServer(cluster)
        kubectl = administrator_of(cluster, api)
        for name in (NAMESPACE, BARE):
            make_namespace(api, name)
        with _node(api), tempfile.TemporaryDirectory() as folder:
            identity = identity_of(cluster, kubectl, Path(folder))
            log = Path(folder) / "operator.log"
            kubectl("apply", "--server-side", "-f", str(ROOT / "examples/install/leader-election.yaml"))
            operator = OperatorProcess(identity, [NAMESPACE], log, **{**SETTINGS, **settings}).start(fresh=True)
            try:
                try:
                    operator.wait_until_watching()
                except AssertionError as error:
                    raise AssertionError(f"the operator is not at work:\n{operator.text()}") from error
                yield Stage(api, Scene(api, kubectl, NAMESPACE, cluster.audit_log), operator, cluster)
            finally:
                operator.kill()
    finally:
        cluster.down()


@contextmanager
def _node(api: ApiServer) -> Iterator[None]:
    heartbeat = Heartbeat(api).start()
    try:
        yield
    finally:
        heartbeat.stop()


def processes(stage: Stage) -> dict[str, int]:
    """The ids of the cluster's components and of the operator, by name."""
    first = control.first_pid(stage.cluster.folder)
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    names = {pid: Path(os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0])).name for pid in children}
    return {**{name: int(pid) for pid, name in names.items()}, "operator": stage.operator.pid}


def cpu_seconds(pid: int) -> float:
    """What a process has used so far, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mib(pid: int) -> float:
    """The memory that a process holds now."""
    return _memory_mib(pid, "VmRSS")


def peak_mib(pid: int) -> float:
    """The most memory that a process has held so far."""
    return _memory_mib(pid, "VmHWM")


def _memory_mib(pid: int, field: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(f"{field}:"))
    return int(line.split()[1]) / 1024
