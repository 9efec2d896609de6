"""docs/how-to/ingresses.md: its commands, as they are on the page, in a namespace with Ingresses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from tests.cluster import LocalCluster
from tests.integration.scene import scanplan
from tests.kubectl import Kubectl, Manifest

PAGE = Path(__file__).parent.parent.parent / "docs/how-to/ingresses.md"


def ingress(name: str, *hosts: str | None) -> Manifest:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    http = {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}
    rules = [{"http": http, **({"host": host} if host else {})} for host in hosts]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name},
        "spec": {"rules": rules},
    }


def test_hosts_of_ingresses_become_a_plans_endpoints(
    cluster: LocalCluster, administrator: Kubectl, namespace: str, tmp_path: Path
) -> None:
    kubectl = administrator.in_namespace(namespace)
    kubectl.apply(ingress("a", "shop.example.com", "wiki.example.com"), ingress("b", "shop.example.com"))
    kubectl.apply(ingress("c", "*.example.com", None))
    source = {"configMapKeyRef": {"name": "staging-targets", "key": "targets.txt"}}
    plan = scanplan("staging", endpointsFrom=[source], suspend=True)
    plan["spec"].pop("endpoints", None)
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    configuration = yaml.safe_load(cluster.kubeconfig.read_text())
    for context in configuration["contexts"]:
        context["context"]["namespace"] = namespace
    path = tmp_path / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(configuration))
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    commands = re.findall(r"^\$ (.*)$", PAGE.read_text(), re.MULTILINE)
    assert commands
    for command in commands:
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=tmp_path, env={**os.environ, "KUBECONFIG": str(path), "PATH": programs}, check=True,
        )  # fmt: skip
    targets = kubectl.get("configmap", "staging-targets")["data"]["targets.txt"]
    assert targets.split() == ["shop.example.com", "wiki.example.com"]
    assert kubectl.get("scanplan", "staging")["spec"]["endpointsFrom"] == [source]
