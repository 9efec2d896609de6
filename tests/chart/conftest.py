"""A cluster for installations by Helm, with the images, the namespaces and a site to scan, but without the operator."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests import deploy, images
from tests.chart.installation import NAMESPACES, PATIENCE, TARGETS, Installer, image, sweep
from tests.cluster import Cluster
from tests.cluster.local import control, isolation
from tests.kubectl import Kubectl, eventually


@pytest.fixture(scope="package")
def running(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A node of these tests' own: they install and remove the operator, which other tests have on theirs."""
    with deploy.node("chart", request.session) as made:
        yield made


@pytest.fixture(scope="package")
def installer(running: Cluster, archives: dict[str, images.Archive]) -> Installer:
    """Helm, on a cluster with the images, the release's namespace and a target to scan."""
    running.load_image(*(archive.path for archive in archives.values()))
    kubectl = Kubectl(running.kubeconfig)
    for name in (*NAMESPACES, TARGETS):
        kubectl.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": deploy.RESTRICTED}}
        )
    kubectl.apply(*deploy.vulnerable_app("vulnerable-app", TARGETS, archives["webapp"].reference))
    kubectl.in_namespace(TARGETS)("wait", "--for=condition=Ready", "pod/vulnerable-app", "--timeout=120s")
    return Installer(
        kubectl,
        {
            "image": image(archives["operator"].reference),
            "scanner": {"image": image(archives["scanner"].reference)},
        },
    )


@pytest.fixture
def clean(installer: Installer) -> Iterator[Installer]:
    """Helm on a cluster that has nothing of ours, before and after."""
    yield installer
    installer.uninstall()
    sweep(installer.kubectl)


@pytest.fixture
def results(running: Cluster, tmp_path: Path) -> Iterator[redis.Redis]:
    """A Redis on the node, where pods reach it, and so does the host."""
    assert running.record.slot is not None
    node = isolation.node_address(running.record.slot)
    inside = ["nsenter", f"--net=/proc/{control.first_pid(running.folder)}/ns/net"]
    options = ["--port", "6379", "--bind", node, "--protected-mode", "no", "--save", "", "--dir", str(tmp_path)]
    server = subprocess.Popen([*inside, "redis-server", *options], stdout=subprocess.DEVNULL)
    client = redis.Redis(host=node)

    def answers() -> bool:
        with contextlib.suppress(redis.RedisError):
            return bool(client.ping())
        return False

    try:
        eventually(answers, within=PATIENCE)
        yield client
    finally:
        client.close()
        server.terminate()
        server.wait()
