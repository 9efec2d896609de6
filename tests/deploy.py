"""Install the operator on a test cluster as its users would: the manifests of `examples/install`, with the images just built."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

import tests.cluster
from tests import images
from tests.cluster import Cluster
from tests.kubectl import Kubectl, Manifest

ROOT = Path(__file__).parent.parent
SYSTEM_NAMESPACE = "scanplan-system"
OPERATOR_ACCOUNT = f"{SYSTEM_NAMESPACE}:scanplan-operator"
"""The operator's service account, as subjects of RoleBindings are named here."""
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@contextmanager
def node(name: str, session: pytest.Session) -> Iterator[Cluster]:
    """A cluster of one folder of tests alone, with a node; its logs are kept in build/ where a test of the session has failed."""
    made = tests.cluster.up(f"{name}-{os.getpid()}", temporary=True)
    try:
        yield made
        if session.testsfailed:
            logs = ROOT / "build" / f"{name}-logs"
            shutil.rmtree(logs, ignore_errors=True)
            made.dump_logs(logs)
    finally:
        made.down()


SMALL = {"SCANPLAN_DEFAULT_REQUESTS": "cpu=10m,memory=32Mi"}
"""Test clusters run more scan pods than their node has room for by the defaults."""
POD_RESOURCES = {"requests": {"cpu": "50m", "memory": "16Mi"}}
"""Of the tests' own pods. A target that asks for none is starved on a node that scans keep busy, and looks as if it hung."""


def install(
    cluster: Cluster, archives: dict[str, images.Archive], environment: dict[str, str] | None = None
) -> Kubectl:
    """Load the images, apply CRD, RBAC and Deployment, and wait for the operator; returns kubectl for that cluster.

    Args:
        environment: further settings of the operator.
    """
    kubectl = Kubectl(cluster.kubeconfig)
    cluster.load_image(*(archive.path for archive in archives.values()))
    manifests = list(operator_manifests(kubectl, archives, environment or {}))
    definitions = [manifest for manifest in manifests if manifest["kind"] == "CustomResourceDefinition"]
    kubectl.apply(*definitions)
    kubectl.wait_until_served("scanplans.scanplan.dev")
    kubectl.apply(*(manifest for manifest in manifests if manifest not in definitions))
    kubectl.in_namespace(SYSTEM_NAMESPACE)("rollout", "status", "deployment/scanplan-operator", "--timeout=120s")
    return kubectl


def operator_manifests(
    kubectl: Kubectl, archives: dict[str, images.Archive], environment: dict[str, str]
) -> Iterable[Manifest]:
    """What `kubectl kustomize examples/install` gives, with the images and settings put in."""
    settings = {"SCANPLAN_SCANNER_IMAGE": archives["scanner"].reference, **SMALL, **environment}
    for manifest in yaml.safe_load_all(kubectl("kustomize", str(ROOT / "examples/install"))):
        if manifest["kind"] == "Deployment":
            container = manifest["spec"]["template"]["spec"]["containers"][0]
            container["image"] = archives["operator"].reference
            container["imagePullPolicy"] = "IfNotPresent"
            kept = [variable for variable in container["env"] if variable["name"] not in settings]
            container["env"] = [*kept, *({"name": name, "value": value} for name, value in settings.items())]
        yield manifest


def scan_namespace(name: str, claim: str = "scanplan-artifacts", size: str = "1Gi") -> list[Manifest]:
    """A namespace that enforces the restricted Pod Security Standard, with a claim for artifacts."""
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, "namespace": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
        },
    ]


def vulnerable_app(name: str, namespace: str, image: str) -> list[Manifest]:
    """The deliberately vulnerable web application (tests/doubles/webapp), as a pod behind a Service, both called `name`."""
    labels = {"app.kubernetes.io/name": name}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"selector": labels, "ports": [{"port": 8080}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {
                "automountServiceAccountToken": False,
                "securityContext": restricted_pod(),
                "containers": [
                    {
                        "name": "app",
                        "image": image,
                        "imagePullPolicy": "IfNotPresent",
                        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
                        "resources": POD_RESOURCES,
                        "securityContext": restricted_container(),
                    }
                ],
            },
        },
    ]


def reader(name: str, namespace: str, image: str, claim: str, path: str) -> Manifest:
    """A pod whose log is one file of a claim."""
    program = "import shutil, sys; shutil.copyfileobj(open(sys.argv[1], 'rb'), sys.stdout.buffer)"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": restricted_pod(),
            "containers": [
                {
                    "name": "reader",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python3", "-c", program, f"/claim/{path}"],
                    "securityContext": restricted_container(),
                    "volumeMounts": [{"name": "claim", "mountPath": "/claim", "readOnly": True}],
                }
            ],
            "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}],
        },
    }


def read_artifact(kubectl: Kubectl, image: str, plan: Manifest, file: str) -> bytes:
    """One artifact of a plan, read from its claim through a pod."""
    artifacts: dict[str, Any] = plan["status"]["artifacts"]
    name = f"read-{plan['metadata']['name']}"
    namespace = plan["metadata"]["namespace"]
    kubectl.apply(reader(name, namespace, image, artifacts["claimName"], f"{artifacts['path']}/{file}"))
    try:
        kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=180s")
        return kubectl("logs", name).encode()
    finally:
        kubectl.delete("pod", name)


def restricted_pod() -> dict[str, Any]:
    """It names no user, so that it also runs where the platform assigns one; the images have theirs."""
    return {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def restricted_container() -> dict[str, Any]:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
