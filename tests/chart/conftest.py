"""A cluster for installations by Helm, with the images, the namespaces and a site to scan, but without the operator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import deploy, images
from tests.chart.installation import NAMESPACES, TARGETS, Installer, image, sweep
from tests.cluster import Cluster
from tests.e2e.conftest import archives
from tests.kubectl import Kubectl

__all__ = ["archives"]


@pytest.fixture(scope="package")
def running(request: pytest.FixtureRequest) -> Iterator[Cluster]:
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
