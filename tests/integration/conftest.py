"""One control plane for all tests, and an operator that most of them share.

Every test has a namespace of its own. Tests that only look on what the operator does ask for `scene`, and share one operator,
which watches just their namespaces; tests that kill it, or need other settings, ask for `start_operator`. All operators have the
rights of `examples/install/rbac.yaml` and no others, so a right that is missing there fails here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import cluster as clusters
from tests.cluster import LocalCluster
from tests.deploy import SYSTEM_NAMESPACE, scan_namespace
from tests.integration import hostile
from tests.integration.apiserver import ApiServer
from tests.integration.operator_process import OperatorProcess
from tests.integration.scene import Scene
from tests.kubectl import Kubectl, Manifest, eventually

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

StartOperator = Callable[..., OperatorProcess]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put these tests in their order, and leave all others where they are."""
    places = [place for place, item in enumerate(items) if HERE in item.path.parents]
    for place, item in zip(places, sorted((items[place] for place in places), key=turn), strict=True):
        items[place] = item


def turn(item: pytest.Item) -> int:
    """First what starts the plans that take half a minute; last what looks at every status that all the others have seen."""
    if item.path.name == "test_kstatus.py":
        return 2
    return 0 if item.name == "test_a_deadline_ends_the_scan_and_keeps_what_was_found" else 1


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    with control_plane("integration") as made:
        yield made


@contextmanager
def control_plane(name: str) -> Iterator[LocalCluster]:
    """A control plane of this process alone; other folders of tests have their own in the same session."""
    if os.geteuid() != 0:
        pytest.skip("a local cluster needs root")
    made = clusters.local.up(f"{name}-{os.getpid()}", control_plane_only=True)
    try:
        yield made
    finally:
        made.down()


@pytest.fixture(scope="session")
def api(cluster: LocalCluster) -> ApiServer:
    return ApiServer(cluster)


@pytest.fixture(scope="session")
def administrator(cluster: LocalCluster, api: ApiServer) -> Kubectl:
    return administrator_of(cluster, api)


def administrator_of(cluster: LocalCluster, api: ApiServer) -> Kubectl:
    """kubectl on the cluster, once the CRD is served, and the garbage collector knows of plans.

    A running one looks for new kinds twice a minute; one that starts finds them there.
    """
    kubectl = Kubectl(cluster.kubeconfig)
    kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
    eventually(
        lambda: is_served(api.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/scanplans.scanplan.dev"))
    )
    cluster.restart("kube-controller-manager")
    return kubectl


@pytest.fixture(scope="session")
def identity(cluster: LocalCluster, administrator: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return identity_of(cluster, administrator, tmp_path_factory.mktemp("identity"))


def identity_of(cluster: LocalCluster, administrator: Kubectl, folder: Path) -> Path:
    """A kubeconfig of the operator's service account, bound as examples/install binds it."""
    for manifest in ("namespace.yaml", "rbac.yaml", "api-server-addresses.yaml"):
        administrator("apply", "--server-side", "-f", str(ROOT / "examples/install" / manifest))
    kubectl = administrator.in_namespace(SYSTEM_NAMESPACE)
    token = kubectl("create", "token", "scanplan-operator", "--duration=24h").strip()
    configuration: Manifest = yaml.safe_load(cluster.kubeconfig.read_text())
    configuration["users"] = [{**user, "user": {"token": token}} for user in configuration["users"]]
    path = folder / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(configuration))
    return path


@pytest.fixture(scope="session")
def statuses(administrator: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file that every state of every plan is written to as it happens, as JSON objects one after the other.

    Plans of a megabyte are left out: the API server ends the watch of a client that can't keep up with them.
    """
    path = tmp_path_factory.mktemp("statuses") / "watch.json"
    command = administrator.command(
        *("get", "scanplans", "--all-namespaces", "--selector", f"size!={hostile.LARGE}"),
        *("--watch", "--output-watch-events", "-o", "json"),
    )
    with path.open("wb") as output:
        watch = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        try:
            yield path
        finally:
            watch.terminate()
            watch.wait()


@pytest.fixture(scope="session")
def shared_operator(
    request: pytest.FixtureRequest, identity: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """The operator of all tests that don't need one of their own."""
    watched = [namespace_of(item) for item in request.session.items if "scene" in getattr(item, "fixturenames", ())]
    log = tmp_path_factory.mktemp("operator") / "shared.log"
    operator = OperatorProcess(identity, watched, log, WORKER_CONCURRENCY="1000").start()
    yield operator
    print(operator.text())
    died = not operator.alive
    operator.kill()
    assert not died, f"the operator ended by itself:\n{operator.text()}"


@pytest.fixture
def namespace(request: pytest.FixtureRequest, api: ApiServer) -> str:
    """A namespace of the test's own, which enforces the restricted Pod Security Standard, with a claim for artifacts."""
    request.getfixturevalue("statuses")  # what becomes of its plans is written down from the start
    name = namespace_of(request.node)
    make_namespace(api, name)
    return name


@pytest.fixture
def alone(api: ApiServer, administrator: Kubectl, cluster: LocalCluster, namespace: str) -> Scene:
    """The test's namespace without an operator, until the test starts one."""
    return Scene(api, administrator, namespace, cluster.audit_log)


@pytest.fixture
def scene(alone: Scene, shared_operator: OperatorProcess) -> Scene:
    """The test's namespace, with the shared operator at work in it."""
    assert shared_operator.alive, f"the operator ended by itself:\n{shared_operator.text()}"
    return alone


@pytest.fixture
def start_operator(identity: Path, namespace: str, tmp_path: Path) -> Iterator[StartOperator]:
    """Start an operator of the test's own in its namespace; settings are environment variables."""
    started: list[OperatorProcess] = []

    def start(**settings: str) -> OperatorProcess:
        log = tmp_path / f"operator-{len(started)}.log"
        started.append(OperatorProcess(identity, [namespace], log, **settings).start())
        return started[-1]

    yield start
    for operator in started:
        if operator.alive:
            operator.kill()
        print(f"--- log of the operator\n{operator.text()}")


def is_served(definition: dict[str, Any] | None) -> bool:
    """Whether a CRD is established; kubectl's own `wait` fails where there are no conditions at all yet."""
    conditions = (definition or {}).get("status", {}).get("conditions") or ()
    return any(entry["type"] == "Established" and entry["status"] == "True" for entry in conditions)


def namespace_of(item: pytest.Item) -> str:
    """The name of a test's namespace: unique, and readable in an audit log."""
    position = item.session.items.index(item)
    readable = re.sub(r"[^a-z0-9]+", "-", item.name.removeprefix("test_").lower()).strip("-")
    return f"t{position}-{readable}"[:60].rstrip("-")


def make_namespace(api: ApiServer, name: str) -> None:
    namespace, claim = scan_namespace(name)
    api.create("/api/v1/namespaces", namespace)
    api.create(f"/api/v1/namespaces/{name}/persistentvolumeclaims", claim)


def watched_events(path: Path) -> list[dict[str, Any]]:
    """The watch events that kubectl has written so far."""
    decoder, text = json.JSONDecoder(), path.read_text()
    events, position = [], 0
    while position < len(text):
        try:
            event, position = decoder.raw_decode(text, position)
        except ValueError:
            break  # kubectl is in the middle of a write
        events.append(event)
        while position < len(text) and text[position].isspace():
            position += 1
    return events
