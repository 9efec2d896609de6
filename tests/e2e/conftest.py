"""One whole cluster for all end-to-end tests, with the operator in it; a stage of its own for whoever asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import deploy, images
from tests.cluster import Cluster
from tests.e2e.stage import Images, Stage
from tests.kubectl import Kubectl

ABSENT = "localhost/scanplan/absent"
"""A scanner image that may be used, and that nobody has."""


@pytest.fixture(scope="session")
def archives() -> dict[str, images.Archive]:
    return images.build(["operator", "scanner", "webapp"])


@pytest.fixture(scope="session")
def running(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with deploy.node("e2e", request.session) as made:
        yield made


@pytest.fixture(scope="session")
def installed(running: Cluster, archives: dict[str, images.Archive]) -> Kubectl:
    """kubectl for a cluster where the operator runs, for more plans at a time than a test needs."""
    settings = {
        "WORKER_CONCURRENCY": "20",
        "SCANPLAN_ALLOWED_IMAGES": f"{ABSENT}:*",
    }
    return deploy.install(running, archives, settings)


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, installed: Kubectl, archives: dict[str, images.Archive]) -> Iterator[Stage]:
    """The module's namespace, with the vulnerable application as `app`."""
    references = Images(*(archives[name].reference for name in ("scanner", "webapp")))
    namespace = request.module.__name__.rpartition("test_")[2].replace("_", "-")
    made = Stage(installed.in_namespace(namespace), references, namespace)
    made.set_up()
    made.web_application("app")
    yield made
    made.tear_down()
