"""Platforms that people have: their admission, their sidecars and their policies, on a node of these tests' own.

Each platform is stood for by policies of the API server with the same rules (tests/e2e/admission.py).
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest

from scanplan.client.cluster import reader
from scanplan.client.cluster.cluster import connect
from tests import deploy, images
from tests.cluster import Cluster
from tests.e2e import admission
from tests.e2e.stage import CLAIM, EXPOSED, Images, Stage, pod, templates
from tests.kubectl import Kubectl, KubectlError

pytestmark = pytest.mark.e2e

OPENSHIFT = "openshift"
_USER = "import json, os; print(json.dumps([os.getuid(), os.getgid(), sorted(os.getgroups())]))"


@pytest.fixture(scope="module")
def node(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with deploy.node("platforms", request.session) as made:
        yield made


@pytest.fixture(scope="module")
def installed(node: Cluster, archives: dict[str, images.Archive]) -> Kubectl:
    """The operator, on a cluster that looks like OpenShift to it."""
    kubectl = Kubectl(node.kubeconfig)
    kubectl.apply(*admission.openshift(OPENSHIFT, deploy.SYSTEM_NAMESPACE))
    kubectl.wait_until_served("securitycontextconstraints.security.openshift.io")
    return deploy.install(node, archives, {"WORKER_CONCURRENCY": "20"})


def staged(kubectl: Kubectl, archives: dict[str, images.Archive], namespace: str) -> Stage:
    references = Images(*(archives[name].reference for name in ("scanner", "webapp")))
    made = Stage(kubectl.in_namespace(namespace), references, namespace)
    made.set_up()
    return made


@pytest.fixture(scope="module")
def openshift(installed: Kubectl, archives: dict[str, images.Archive]) -> Stage:
    """A namespace whose pods get their user from the platform, with an application and a gate."""
    made = staged(installed, archives, OPENSHIFT)
    made.web_application("app")
    made.gate("gate", "second-gate")
    return made


def test_openshift_refuses_pods_that_name_a_user(openshift: Stage) -> None:
    """Else the tests below would show nothing."""
    for field, value in (("runAsUser", 65532), ("runAsGroup", 65532), ("fsGroup", 65532)):
        fixed = pod("fixed", OPENSHIFT, openshift.images.scanner)
        fixed["spec"]["securityContext"][field] = value
        with pytest.raises(KubectlError, match="denied request"):
            openshift.kubectl.apply(fixed)


def the_only_running(stage: Stage, plan: str) -> str:
    """The one scan pod that is left, by name; empty while there are more."""
    running = [each["metadata"]["name"] for each in stage.pods(plan) if each["status"]["phase"] == "Running"]
    return str(running[0]) if len(running) == 1 else ""


def test_openshift_a_pod_with_any_user_in_group_0_scans_and_merges(openshift: Stage) -> None:
    sharding = {"maxEndpointsPerShard": 1}
    openshift.apply(openshift.gated("any-user", sharding=sharding))
    gated = openshift.until(lambda: the_only_running(openshift, "any-user") if openshift.asked() else "")
    user, group, groups = json.loads(openshift.inside(gated, _USER))
    assert (user, group) == (admission.ASSIGNED, 0)
    assert admission.ASSIGNED in groups
    openshift.open()
    status = openshift.ends("any-user", "Completed")
    assert templates(openshift.findings(status)) == sorted(EXPOSED)


def test_openshift_a_collector_saves_what_another_pod_has_found(openshift: Stage) -> None:
    openshift.apply(openshift.gated("collected", "app", "second-gate"))
    openshift.standing("collected")
    openshift.patch("collected", cancel=True)
    status = openshift.ends("collected", "Cancelled")
    assert templates(openshift.findings(status)) == sorted(EXPOSED)


def test_openshift_a_reader_reads_what_scan_pods_have_written(openshift: Stage, node: Cluster) -> None:
    openshift.apply(openshift.plan("read"))
    status = openshift.ends("read", "Completed")
    cluster = connect(OPENSHIFT, kubeconfig=node.kubeconfig)
    content = io.BytesIO()
    with reader.opened(cluster, openshift.get("read"), CLAIM, openshift.images.scanner) as opened:
        opened.copy(f"{status['artifacts']['path']}/nuclei_output.ndjson", content)
    assert len(content.getvalue().splitlines()) == len(EXPOSED)


def is_injected(stage: Stage) -> bool:
    """Whether the sidecar's policy is at work, a moment after it was made: asked without making a pod."""
    probe = pod("probe", stage.namespace, stage.images.scanner)
    probe["metadata"]["labels"]["scanplan.dev/task"] = "probe"
    made = stage.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(probe))
    return '"proxy"' in made


@pytest.fixture(params=["native", "ordinary"])
def mesh(request: pytest.FixtureRequest, installed: Kubectl, archives: dict[str, images.Archive]) -> Stage:
    """A namespace whose scan pods get a sidecar."""
    namespace = f"mesh-{request.param}"
    made = staged(installed, archives, namespace)
    made.web_application("app")
    installed.apply(*admission.sidecar(namespace, [namespace], made.images.scanner, request.param == "native"))
    made.until(lambda: is_injected(made))
    return made


def test_istio_linkerd_a_native_sidecar_ends_with_the_scan_and_an_ordinary_one_at_the_deadline(mesh: Stage) -> None:
    """The page promises both. What was found is kept either way."""
    native = mesh.namespace.endswith("native")

    mesh.apply(mesh.plan("meshed", deadlineSeconds=3600, timeoutSeconds=90))
    if not native:
        mesh.until(lambda: mesh.shard_findings(mesh.run("meshed")))
        mesh.patch("meshed", deadlineSeconds=90)
    status = mesh.ends("meshed", "Completed" if native else "Failed")
    if not native:
        assert status["error"]["reason"] == "DeadlineExceeded"
    assert templates(mesh.findings(status)) == sorted(EXPOSED)
