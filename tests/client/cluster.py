"""A control plane with the operator at work, for the `kubernetes` queue: as a program with the documented rights sees it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests import cluster as clusters
from tests.deploy import SYSTEM_NAMESPACE
from tests.integration.apiserver import ApiServer
from tests.integration.conftest import make_namespace
from tests.integration.operator_process import OperatorProcess
from tests.kubectl import Kubectl, Manifest

ROOT = Path(__file__).parents[2]


@dataclass
class ControlPlane:
    """A running API server with CRD and operator; `kubeconfig` is its administrator's."""

    api: ApiServer
    kubectl: Kubectl
    kubeconfig: Path
    folder: Path
    audit_log: Path

    def identity(self, namespace: str, name: str, *manifests: Path) -> Path:
        """A kubeconfig of a service account that has the rights of the manifests' Roles (each bound by its own name)."""
        kubectl = self.kubectl.in_namespace(namespace)
        kubectl("create", "serviceaccount", name)
        for path in manifests:
            for manifest in yaml.safe_load_all(path.read_text()):
                kubectl.apply(manifest)
                role = manifest["metadata"]["name"]
                kubectl(
                    "create", "rolebinding", f"{name}-{role}", "--role", role, "--serviceaccount", f"{namespace}:{name}"
                )
        return self.kubeconfig_of(namespace, name)

    def kubeconfig_of(self, namespace: str, account: str, *options: str) -> Path:
        """A kubeconfig with a fresh token of a service account."""
        token = self.kubectl.in_namespace(namespace)("create", "token", account, "--duration=24h", *options).strip()
        configuration: Manifest = yaml.safe_load(self.kubeconfig.read_text())
        configuration["users"] = [{**user, "user": {"token": token}} for user in configuration["users"]]
        for context in configuration["contexts"]:
            context["context"]["namespace"] = namespace
        path = self.folder / f"{namespace}-{account}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(configuration))
        return path

    def namespace(self, name: str) -> str:
        """A new namespace with a claim for artifacts."""
        make_namespace(self.api, name)
        return name


class _Shared:
    """The control plane that is up, and how many use it."""

    stack = ExitStack()
    plane: ControlPlane | None = None
    users = 0


@contextmanager
def shared_control_plane(folder: Path) -> Iterator[ControlPlane]:
    """One for all folders of tests; started for the first that asks, and gone with the last."""
    if _Shared.plane is None:
        _Shared.plane = _Shared.stack.enter_context(control_plane(folder))
    _Shared.users += 1
    try:
        yield _Shared.plane
    finally:
        _Shared.users -= 1
        if not _Shared.users:
            _Shared.plane = None
            _Shared.stack.close()


@contextmanager
def control_plane(folder: Path) -> Iterator[ControlPlane]:
    """Start one, with the operator; all gone in the end."""
    made = clusters.local.up(f"client-{os.getpid()}", control_plane_only=True)
    try:
        kubectl = Kubectl(made.kubeconfig)
        kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
        kubectl.wait_until_served("scanplans.scanplan.dev")
        for manifest in ("namespace.yaml", "rbac.yaml", "api-server-addresses.yaml"):
            kubectl("apply", "--server-side", "-f", str(ROOT / "examples/install" / manifest))
        plane = ControlPlane(ApiServer(made), kubectl, made.kubeconfig, folder, made.audit_log)
        identity = plane.kubeconfig_of(SYSTEM_NAMESPACE, "scanplan-operator")
        settings = {"SCANPLAN_DENIED_TARGETS": "denied.example"}
        operator = OperatorProcess(identity, [], folder / "operator.log", **settings).start()
        try:
            yield plane
        finally:
            operator.kill()
            print(f"--- log of the operator\n{operator.text()}")
    finally:
        made.down()
