"""From a clone to one's own cluster: the README's three commands, with a registry that nodes pull from.

The registry is a real one, on the node's loopback address, which container engines speak to without TLS.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import deploy, images
from tests.chart import programs
from tests.chart.chart import CHART, NAMESPACE, ROOT
from tests.cluster import LocalCluster
from tests.cluster.local import binaries, control
from tests.docs.blocks import blocks
from tests.kubectl import Kubectl, eventually

pytestmark = pytest.mark.e2e

PORT = 5000
REGISTRY = f"127.0.0.1:{PORT}/scanplan"
SITES = ("shop", "wiki", "intranet")
"""Of examples/scanplan.yaml."""


@pytest.fixture(scope="module")
def node(request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    with deploy.node("own-cluster", request.session) as made:
        if not isinstance(made, LocalCluster):
            pytest.skip("the registry is run on the node of a local cluster")
        yield made


@pytest.fixture(scope="module")
def inside(node: LocalCluster) -> list[str]:
    """What runs a command in the node's network."""
    return ["nsenter", f"--net=/proc/{control.first_pid(node.folder)}/ns/net"]


@pytest.fixture(scope="module")
def registry(node: LocalCluster, inside: list[str]) -> Iterator[str]:
    (programs_,) = binaries.folders([binaries.REGISTRY])
    with (node.folder / "log" / "registry.log").open("wb") as log:
        serving = subprocess.Popen([*inside, str(programs_ / "registry"), f"-port={PORT}"], stdout=log, stderr=log)
    try:
        connect = f"import socket; socket.create_connection(('127.0.0.1', {PORT}), 1)"
        probe = [*inside, sys.executable, "-c", connect]
        eventually(lambda: not subprocess.run(probe, capture_output=True, check=False).returncode)
        yield REGISTRY
    finally:
        serving.terminate()
        serving.wait()


@pytest.fixture(scope="module")
def kubectl(node: LocalCluster, archives: dict[str, images.Archive]) -> Kubectl:
    """A cluster that has the sites of the example, and none of our images."""
    node.load_image(archives["webapp"].path)
    made = Kubectl(node.kubeconfig)
    made.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "scanplan-demo"}})
    for name in SITES:
        made.apply(*deploy.vulnerable_app(name, "scanplan-demo", archives["webapp"].reference))
    return made


def helm(kubectl: Kubectl, *arguments: str) -> str:
    return programs.run("helm", "--kubeconfig", str(kubectl.kubeconfig), *arguments)


def doctor(kubectl: Kubectl) -> str:
    command = [
        sys.executable,
        "-m",
        "scanplan",
        "doctor",
        "--namespace",
        NAMESPACE,
        "--kubeconfig",
        str(kubectl.kubeconfig),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "1000"})
    return done.stdout


def commands() -> tuple[str, str, str]:
    """The README's three commands."""
    (block,) = (each for each in blocks("README.md") if "test_own_cluster.py" in each.run_by)
    push, install, apply = block.commands()
    return push, install, apply


def test_doctor_says_at_once_which_image_can_not_be_pulled(kubectl: Kubectl, registry: str, tmp_path: Path) -> None:
    values = tmp_path / "absent.yaml"
    values.write_text(json.dumps({"image": {"repository": f"{registry}/absent"}, "artifacts": {"create": True}}))
    helm(kubectl, "install", "scanplan", str(CHART), "-n", NAMESPACE, "--create-namespace", "-f", str(values))
    told = ""

    def said() -> bool:
        nonlocal told
        told = doctor(kubectl)
        return "can't be pulled" in told

    eventually(said, within=180.0, interval=2.0)
    assert f"image {registry}/absent" in told
    assert "try: `make push REGISTRY=" in told
    helm(kubectl, "uninstall", "scanplan", "-n", NAMESPACE, "--wait")


def test_the_readmes_three_commands_lead_from_a_clone_to_findings(
    kubectl: Kubectl, registry: str, inside: list[str], tmp_path: Path
) -> None:
    push, install, apply = commands()
    values = tmp_path / "values.yaml"
    pushes = shlex.split(push.replace("registry.example.com/scanplan", registry))
    arguments = f"PUSH_ARGS=--stand-in --values {values}"
    pushed = subprocess.run([*inside, *pushes, arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert not pushed.returncode, pushed.stderr
    written = json.loads(values.read_text())
    for name, part in (("operator", written["image"]), ("scanner", written["scanner"]["image"])):
        assert part["repository"] == f"{registry}/{name}"
        assert f"{part['repository']}@{part['digest']}" in pushed.stdout.splitlines()

    program, *installs = shlex.split(install.replace("build/values.yaml", str(values)))
    assert program == "helm"
    helm(kubectl, *(str(CHART) if each == "charts/scanplan-operator" else each for each in installs))
    ours = kubectl.in_namespace(NAMESPACE)
    ours("rollout", "status", "deployment/scanplan-operator", "--timeout=180s")
    program, *applies = shlex.split(apply)
    assert program == "kubectl"
    kubectl(*(str(ROOT / each) if each.startswith("examples/") else each for each in applies))
    status: dict[str, Any] = {}

    def ended() -> bool:
        status.update(ours.get("scanplan", "first-scan").get("status", {}))
        return status.get("phase") in {"Completed", "Failed"}

    eventually(ended, within=300.0, interval=1.0)
    assert status["phase"] == "Completed", status
    assert status["findings"]["total"] > 0
