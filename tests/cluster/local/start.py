"""Starts a local cluster: a node in about five seconds, or a control plane alone in three."""

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.cluster import programs, state
from tests.cluster.errors import BusyError, MissingError, NeedsRootError, StartError
from tests.cluster.local import binaries, busybox, components, control, identities, isolation, objects
from tests.cluster.local.api import Object
from tests.cluster.local.cluster import LocalCluster
from tests.cluster.local.components import NODE
from tests.console import step

PACKAGES = {"unshare": "util-linux", "nsenter": "util-linux", "ip": "iproute2", "openssl": "openssl"}
NODE_PACKAGES = {
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    str(busybox.BUSYBOX): "busybox-static",
}
"""The Debian package that brings each program that a cluster needs, and that a node needs besides."""


def up(name: str, *, control_plane_only: bool = False, temporary: bool = False) -> LocalCluster:
    """Start a cluster; return when pods can be created, and on a whole node run.

    One that is `temporary` ends with this process, whatever ends it. What is left of such clusters is removed.

    Raises NeedsRootError, MissingError or BuildError before anything is started, AlreadyUpError when the name
    is taken, and StartError when a part of it does not become ready. A start that fails or is interrupted
    leaves nothing behind.
    """
    check_requirements(control_plane_only)
    path = binaries.folders()
    if temporary:
        _remove_ended()
    record = state.Record(name=name, provider="local", control_plane_only=control_plane_only, temporary=temporary)
    title = f"Starting a control plane, “{name}”" if control_plane_only else f"Starting a Kubernetes node, “{name}”"
    with state.claimed(record) as begun, step(title) as progress:
        try:
            return _start(begun, path, progress.update)
        except BaseException:
            LocalCluster(record).remove()
            raise


def _remove_ended() -> None:
    """Remove the folders of temporary clusters whose processes have been killed."""
    for name in state.names():
        record = state.load(name)
        if record and record.temporary and not (found := LocalCluster(record)).alive:
            with contextlib.suppress(BusyError):  # its process is just starting or ending it
                found.down()


def check_requirements(control_plane_only: bool) -> None:
    """Raise NeedsRootError or MissingError, naming the packages to install."""
    if os.geteuid() != 0:
        raise NeedsRootError(
            "a local cluster makes namespaces and mounts, which takes root: run this as root, or with sudo -E"
        )
    needed = PACKAGES if control_plane_only else PACKAGES | NODE_PACKAGES
    packages = sorted({package for program, package in needed.items() if programs.find(program) is None})
    if packages:
        raise MissingError(f"not installed: {', '.join(packages)} (on Debian: apt-get install {' '.join(packages)})")


def _start(record: state.Record, path: list[Path], tell: Callable[[str], None]) -> LocalCluster:
    tell("namespaces")
    isolation.spawn(record.folder, path, temporary=record.temporary)
    slot = isolation.connect(control.first_pid(record.folder))
    record = dataclasses.replace(record, slot=slot)
    record.save()
    cluster = LocalCluster(record)
    if not record.control_plane_only:
        isolation.make_cgroups(record.folder)

    tell("certificates")
    _write_settings(cluster)

    total = sum(map(len, cluster.stages))
    ready = 0
    for stage in cluster.stages:
        for component in stage:
            control.start(record.folder, component)
        for component in stage:
            ready += 1
            tell(f"{ready}/{total} {component.name}")
            control.wait(record.folder, component)
        names = {component.name for component in stage}
        if "containerd" in names:
            tell("sandbox image")
            _load_sandbox(cluster)
        if "kube-apiserver" in names:
            tell("API objects")
            objects.create(cluster.api, cluster.node, record.control_plane_only)

    tell("default service account" if record.control_plane_only else "node")
    _settle(cluster)
    return cluster


def _write_settings(cluster: LocalCluster) -> None:
    pki = cluster.folder / "pki"
    server = f"https://{cluster.node.address}:6443"
    identities.issue(pki, cluster.node.address)
    files = components.settings(cluster.node)
    for client in identities.CLIENTS:
        files[f"{client}.kubeconfig"] = identities.kubeconfig(pki, client, cluster.name, server)
    for name, content in files.items():
        file = cluster.folder / "etc" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    cluster.kubeconfig.touch(mode=0o600)
    cluster.kubeconfig.write_text(files["admin.kubeconfig"])


def _load_sandbox(cluster: LocalCluster) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch, "busybox.tar")
        busybox.write_archive(archive, components.SANDBOX_IMAGE)
        cluster.import_image(archive)


def _settle(cluster: LocalCluster) -> None:
    """Wait for what users rely on: the account that pods run as, and a node that takes them."""
    api = cluster.api

    def check() -> None:
        for name, now in cluster.states().items():
            if now != "running":
                raise StartError(f"{name} ended with {now}; the end of its log:\n{control.tail(cluster.folder, name)}")

    def await_object(path: str, what: str, until: Callable[[Object], bool] = bool) -> None:
        api.wait(path, until, what, check, timeout=180)

    await_object("/api/v1/namespaces/default/serviceaccounts/default", "there is no default service account")
    if not cluster.record.control_plane_only:
        await_object(f"/api/v1/nodes/{NODE}", "the node is not ready", _takes_pods)


def _takes_pods(node: Object) -> bool:
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))
    return ready and not node["spec"].get("taints")
