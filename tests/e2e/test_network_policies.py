"""The chart's NetworkPolicies, enforced: what each kind of pod reaches, and what it doesn't.

On a cluster of its own, where kube-router enforces policies. Cloud metadata services are listeners on the node.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from scanplan.client.cluster import reader
from scanplan.client.cluster.cluster import connect
from tests import deploy, images
from tests.chart.chart import NAMESPACE
from tests.chart.installation import Installer, image
from tests.cluster import Cluster, LocalCluster
from tests.cluster.local import components, control, policies
from tests.e2e.stage import CLAIM, Images, Stage, pod
from tests.kubectl import Kubectl, Manifest

pytestmark = pytest.mark.e2e

METADATA = ("169.254.169.254", "100.100.100.200")
"""Of most clouds, and of one that uses an address of its own."""
API = f"{components.API_SERVICE}:443"
TARGET = "app.red:8080"
"""By name, so that whoever reaches it reaches the DNS too."""
CALLERS = "callers"
"""The namespace that may call the API."""

_REACHED = """
import json, socket, sys
def reached(address):
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
    except OSError:
        return False
    return True
print(json.dumps({address: reached(address) for address in sys.argv[1:]}))
"""
_SLEEP = ["python3", "-c", "import signal; signal.signal(signal.SIGTERM, lambda *_: exit()); signal.pause()"]


@pytest.fixture(scope="module")
def enforced(request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    with deploy.node("policies", request.session) as made:
        if not isinstance(made, LocalCluster):
            pytest.skip("kube-router is run on the node of a local cluster")
        policies.enforce(made)
        with metadata_services(made):
            yield made


@contextlib.contextmanager
def metadata_services(cluster: LocalCluster) -> Iterator[None]:
    """Have the node answer on the addresses of cloud metadata services."""
    inside = ["nsenter", f"--net=/proc/{control.first_pid(cluster.folder)}/ns/net"]
    servers = []
    try:
        for address in METADATA:
            subprocess.run([*inside, "ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
            serve = [sys.executable, "-m", "http.server", "--bind", address, "80"]
            servers.append(subprocess.Popen([*inside, *serve], cwd=cluster.folder / "log", stderr=subprocess.DEVNULL))
        yield
    finally:
        for server in servers:
            server.terminate()
            server.wait()


@pytest.fixture(scope="module")
def stage(enforced: LocalCluster, archives: dict[str, images.Archive]) -> Stage:
    """A namespace with a target, and the operator that the chart installs with policies, its API and retention."""
    enforced.load_image(*(archive.path for archive in archives.values()))
    kubectl = Kubectl(enforced.kubeconfig)
    for name in (NAMESPACE, CALLERS):
        metadata = {"name": name, "labels": deploy.RESTRICTED}
        kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    references = Images(*(archives[name].reference for name in ("scanner", "webapp")))
    made = Stage(kubectl.in_namespace("red"), references, "red")
    made.set_up()
    made.web_application("app")
    made.gate("gate")
    caller = pod("caller", CALLERS, references.scanner, _SLEEP)
    del caller["spec"]["containers"][0]["readinessProbe"]
    kubectl.apply(caller)
    built = {
        "image": image(archives["operator"].reference),
        "scanner": {"image": image(archives["scanner"].reference)},
    }
    node = {"ipBlock": {"cidr": f"{enforced.node.address}/32"}}
    Installer(kubectl, built)(
        "install",
        values={
            "watchNamespaces": ["red"],
            "retention": {"enabled": True, "keepRuns": 9},
            "api": {"enabled": True, "readerPods": True},
            "networkPolicy": {
                "enabled": True,
                "apiServer": [f"{components.API_SERVICE}/32", node["ipBlock"]["cidr"]],
                "dns": [node],  # a local cluster's DNS is a process of the node
                "api": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": CALLERS}}}],
            },
        },
    )
    return made


@pytest.fixture(scope="module")
def everything(enforced: LocalCluster) -> tuple[str, ...]:
    """What there is to reach: a target, the API server by its Service and by its address, and metadata services."""
    return (TARGET, API, f"{enforced.node.address}:6443", *(f"{address}:80" for address in METADATA))


def reaches(stage: Stage, name: str, expected: Mapping[str, bool], namespace: str = "red") -> None:
    """A pod reaches what it should and nothing else, once the rules for it are there."""
    kubectl = stage.kubectl.in_namespace(namespace)
    seen: dict[str, bool] = {}

    def as_expected() -> bool:
        seen.update(json.loads(kubectl("exec", name, "--", "python3", "-c", _REACHED, *expected)))
        return seen == expected

    with contextlib.suppress(AssertionError):
        stage.until(as_expected)
    assert seen == expected


def idle(stage: Stage, name: str, template: Manifest) -> str:
    """Start a pod of a Job's template that does nothing, so that there is time to look at it; returns its name."""
    given, spec = template["metadata"], template["spec"]
    of_the_job = ("job-name", "controller-uid")
    labels = {key: value for key, value in given["labels"].items() if not key.endswith(of_the_job)}
    metadata = {"name": name, "namespace": "red", "labels": labels, "annotations": given.get("annotations", {})}
    container = {**spec["containers"][0], "command": _SLEEP, "args": []}
    stage.kubectl.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**spec, "containers": [container]}}
    )
    stage.wait_for_pod(name)
    return name


def nothing(everything: tuple[str, ...]) -> dict[str, bool]:
    return dict.fromkeys(everything, False)


def test_a_pod_without_a_policy_reaches_everything(stage: Stage, everything: tuple[str, ...]) -> None:
    """Else the other tests would see unreachable addresses rather than policies."""
    reaches(stage, "shelf", dict.fromkeys(everything, True))


def test_a_scan_reaches_its_target_and_neither_the_api_server_nor_metadata(
    stage: Stage, everything: tuple[str, ...]
) -> None:
    """A scan pod handles hostile input: one that was taken over must not reach what the cluster trusts."""
    stage.apply(stage.gated("scan"))
    standing = stage.standing("scan")
    reaches(stage, standing["metadata"]["name"], {**nothing(everything), TARGET: True})
    stage.open()
    status = stage.ends("scan", "Completed")
    assert status["findings"]["total"]


@pytest.mark.parametrize("component", ["operator", "api"])
def test_the_operator_and_the_api_reach_the_api_server_and_nothing_else(
    stage: Stage, everything: tuple[str, ...], component: str
) -> None:
    server = {address: True for address in everything if address.endswith("443")}
    named = {"kubernetes.default.svc:443": True}  # so it reaches the DNS
    reaches(stage, pod_of(stage, component), {**nothing(everything), **server, **named}, NAMESPACE)


def test_the_api_is_reached_from_where_it_may_be_called_and_from_nowhere_else(stage: Stage) -> None:
    kubectl = stage.kubectl.in_namespace(NAMESPACE)
    api, probes = (kubectl.get("pod", pod_of(stage, name))["status"]["podIP"] for name in ("api", "operator"))
    reaches(stage, "caller", {f"{api}:8081": True, f"{probes}:8080": False}, CALLERS)
    reaches(stage, "shelf", {f"{api}:8081": False, f"{probes}:8080": False})


def test_a_collector_reaches_nothing(stage: Stage, everything: tuple[str, ...]) -> None:
    stage.gate("second-gate")
    stage.apply(stage.gated("cut", "app", "second-gate"))
    stage.standing("cut")
    stage.patch("cut", cancel=True)
    (job,) = stage.until(lambda: stage.kubectl.get("jobs", "-l", "app.kubernetes.io/component=collector")["items"])
    reaches(stage, idle(stage, "collector", job["spec"]["template"]), nothing(everything))


def test_a_reader_of_artifacts_reaches_nothing(stage: Stage, enforced: Cluster, everything: tuple[str, ...]) -> None:
    stage.apply(stage.plan("read"))
    stage.ends("read", "Completed")
    with reader.opened(connect("red", kubeconfig=enforced.kubeconfig), stage.get("read"), CLAIM, stage.images.scanner):
        (found,) = stage.kubectl.get("pods", "-l", "app.kubernetes.io/component=reader")["items"]
        reaches(stage, found["metadata"]["name"], nothing(everything))


def test_retention_reaches_nothing(stage: Stage, everything: tuple[str, ...]) -> None:
    job: dict[str, Any] = stage.kubectl.get("cronjob", "scanplan-operator-retention")["spec"]["jobTemplate"]
    reaches(stage, idle(stage, "retention", job["spec"]["template"]), nothing(everything))


def pod_of(stage: Stage, component: str) -> str:
    """The name of the operator's or the API's pod."""
    selector = f"app.kubernetes.io/component={component}"
    (found,) = stage.kubectl.in_namespace(NAMESPACE).get("pods", "-l", selector)["items"]
    return str(found["metadata"]["name"])
