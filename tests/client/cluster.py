"""A control plane with the operator at work, for the `kubernetes` queue: as a program with the documented rights sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.cluster import LocalCluster
from tests.fixtures import control_plane
from tests.fixtures.control_plane import make_namespace
from tests.integration.apiserver import ApiServer
from tests.kubectl import Kubectl


@dataclass
class ControlPlane:
    """A running API server with CRD and operator; `kubectl` is its administrator's."""

    cluster: LocalCluster
    kubectl: Kubectl
    folder: Path

    @property
    def api(self) -> ApiServer:
        return ApiServer(self.cluster)

    @property
    def audit_log(self) -> Path:
        return self.cluster.audit_log

    def identity(self, namespace: str, name: str, *manifests: Path) -> Path:
        """A kubeconfig of a service account that has the rights of the manifests' Roles (each bound by its own name)."""
        kubectl = self.kubectl.in_namespace(namespace)
        kubectl.account(name)
        for path in manifests:
            for manifest in yaml.safe_load_all(path.read_text()):
                kubectl.apply(manifest)
                role = manifest["metadata"]["name"]
                kubectl.bind(name, role, name=f"{name}-{role}")
        return self.kubeconfig_of(namespace, name)

    def kubeconfig_of(self, namespace: str, account: str) -> Path:
        """A kubeconfig with a fresh token of a service account."""
        path = self.folder / f"{namespace}-{account}.kubeconfig"
        return control_plane.kubeconfig_of(self.cluster, self.kubectl, path, namespace, account)

    def namespace(self, name: str) -> str:
        """A new namespace with a claim for artifacts."""
        make_namespace(self.api, name)
        return name
