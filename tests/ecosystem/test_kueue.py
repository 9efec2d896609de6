"""Plans and the real Kueue: its manager, built from its own module, admits Jobs of the test's own control plane.

The manager runs on this machine, as the operator does. Its CRDs and webhooks come from the module's `config` folder; the
webhooks of kinds that no test has are left out. Nodes are played, as in all tests of the control plane.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scanplan.api.exit_codes import ExitCode
from tests.cluster import LocalCluster, programs
from tests.cluster.local import binaries, isolation
from tests.ecosystem import programs as ecosystem
from tests.integration import reports
from tests.integration.apiserver import Object
from tests.integration.scene import Scene
from tests.kubectl import Kubectl, Manifest, eventually
from tests.ports import free_port

pytestmark = pytest.mark.ecosystem

ROOT = Path(__file__).parents[2]
MODULE = "sigs.k8s.io/kueue@v0.17.0"
GROUP = "kueue.x-k8s.io"
QUEUE = "security"


_WITH_CERTIFICATES = """
mount -t tmpfs tmpfs /etc
mkdir -p /etc/kueue/metrics/certs
cp "$0"/tls.* /etc/kueue/metrics/certs/
exec "$@"
"""
"""Without a certificate manager, Kueue reads those of its metrics from a fixed path, even where it serves none."""


class Kueue:
    """The manager as a process, with the rights of an administrator."""

    def __init__(self, cluster: LocalCluster, kubectl: Kubectl, folder: Path) -> None:
        self._program = ecosystem.path(binaries.TOOLS / "kueue", "kueue")
        self._kubeconfig = cluster.kubeconfig
        self._kubectl = kubectl
        self._folder = folder
        self._host = isolation.host_address(cluster.record.slot or 0)
        self._port, self._probes = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._certify()

    @property
    def log(self) -> Path:
        return self._folder / "kueue.log"

    def _certify(self) -> None:
        """A certificate of its own for the webhooks' server, which is its own authority."""
        programs.run(
            *(
                "openssl",
                "req",
                "-x509",
                "-nodes",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-days",
                "2",
            ),
            *(
                "-keyout",
                "tls.key",
                "-out",
                "tls.crt",
                "-subj",
                "/CN=kueue",
                "-addext",
                f"subjectAltName=IP:{self._host}",
            ),
            cwd=self._folder,
        )

    def install(self) -> None:
        """Apply the module's CRDs and webhooks, whose service is this machine."""
        config = ecosystem.sources(MODULE) / "config/components"
        definitions = list(yaml.safe_load_all(self._kubectl("kustomize", str(config / "crd"))))
        self._kubectl.apply(*map(self._redirected, definitions))
        for definition in definitions:
            self._kubectl.wait_until_served(definition["metadata"]["name"])
        self._kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kueue-system"}})

    def webhooks(self) -> list[Manifest]:
        """Those of Jobs and of Kueue's own kinds."""
        text = (ecosystem.sources(MODULE) / "config/components/webhook/manifests.yaml").read_text()
        found = [self._redirected(each) for each in yaml.safe_load_all(text)]
        for each in found:
            each["metadata"]["name"] = f"kueue-{each['metadata']['name']}"
            each["webhooks"] = [
                hook for hook in each["webhooks"] if _groups(hook) <= {GROUP} or _resources(hook) == {"jobs"}
            ]
        return found

    def _redirected(self, value: Any) -> Any:
        """The same, with an address of this machine in the place of each Service of a webhook."""
        if isinstance(value, list):
            return [self._redirected(each) for each in value]
        if not isinstance(value, dict):
            return value
        if "service" in value and "path" in value["service"]:
            authority = programs.run("base64", "-w0", str(self._folder / "tls.crt"))
            return {"url": f"https://{self._host}:{self._port}{value['service']['path']}", "caBundle": authority}
        return {name: self._redirected(each) for name, each in value.items()}

    def start(self, **settings: Any) -> None:
        """Start it, and return when it is ready; settings are fields of its Configuration."""
        configuration = {
            "apiVersion": "config.kueue.x-k8s.io/v1beta2",
            "kind": "Configuration",
            "namespace": "kueue-system",
            "health": {"healthProbeBindAddress": f"127.0.0.1:{self._probes}"},
            "metrics": {"bindAddress": "0"},
            "webhook": {"host": self._host, "port": self._port, "certDir": str(self._folder)},
            "leaderElection": {"leaderElect": False},
            "internalCertManagement": {"enable": False},
            "integrations": {"frameworks": ["batch/job"]},
            **settings,
        }
        file = self._folder / "config.yaml"
        file.write_text(yaml.safe_dump(configuration))
        arguments = [f"--config={file}", "--feature-gates=VisibilityOnDemand=false"]
        command = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            _WITH_CERTIFICATES,
            str(self._folder),
            str(self._program),
            *arguments,
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env={**os.environ, "KUBECONFIG": str(self._kubeconfig)}, stdout=log, stderr=subprocess.STDOUT
            )
        eventually(self._ready, within=120)

    def _ready(self) -> bool:
        assert self._process
        assert self._process.poll() is None, self.log.read_text()[-3000:]
        asked = ["curl", "--silent", "--fail", "--max-time", "2", f"http://127.0.0.1:{self._probes}/readyz"]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0

    def stop(self) -> None:
        """Kill it."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


def _groups(hook: Manifest) -> set[str]:
    return {group for rule in hook["rules"] for group in rule["apiGroups"]}


def _resources(hook: Manifest) -> set[str]:
    return {resource for rule in hook["rules"] for resource in rule["resources"]}


@pytest.fixture(scope="module")
def installed(
    cluster: LocalCluster, administrator: Kubectl, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kueue]:
    made = Kueue(cluster, administrator, tmp_path_factory.mktemp("kueue"))
    made.install()
    rights = str(ROOT / "examples/install/kueue.yaml")
    administrator("apply", "--server-side", "-f", rights)
    yield made
    made.stop()
    administrator("delete", "-f", rights)


@pytest.fixture
def kueue(installed: Kueue, administrator: Kubectl) -> Iterator[Kueue]:
    """Kueue at work; its webhooks hold as long as the test."""
    installed.start()
    administrator.apply(*installed.webhooks())
    yield installed
    installed.stop()
    for kind in ("mutating", "validating"):
        administrator("delete", f"{kind}webhookconfiguration", f"kueue-{kind}-webhook-configuration")


class Queues:
    """A test's own ClusterQueue, with a LocalQueue in its namespace."""

    def __init__(self, scene: Scene, kubectl: Kubectl) -> None:
        self._scene = scene
        self._kubectl = kubectl
        kubectl.apply(_kind("ResourceFlavor", "default", {}))

    def cluster_queue(self, pods: int, **spec: Any) -> None:
        """Make the queue, or give it another quota of pods."""
        quotas = [("cpu", "100"), ("memory", "100Gi"), ("pods", str(pods))]
        flavor = {"name": "default", "resources": [{"name": name, "nominalQuota": quota} for name, quota in quotas]}
        group = {"coveredResources": [name for name, _ in quotas], "flavors": [flavor]}
        body = {"namespaceSelector": {}, "resourceGroups": [group], **spec}
        self._kubectl.apply(_kind("ClusterQueue", self._scene.namespace, body))

    def local_queue(self) -> None:
        self._scene.kubectl.apply(_kind("LocalQueue", QUEUE, {"clusterQueue": self._scene.namespace}))

    def priorities(self, **values: int) -> None:
        for name, value in values.items():
            made = {**_kind("WorkloadPriorityClass", name, {}), "value": value}
            made.pop("spec")
            self._kubectl.apply(made)


def _kind(kind: str, name: str, spec: Manifest) -> Manifest:
    return {"apiVersion": f"{GROUP}/v1beta2", "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def queues(kueue: Kueue, alone: Scene, administrator: Kubectl) -> Queues:
    assert kueue
    return Queues(alone, administrator)


@pytest.fixture
def one_pod(queues: Queues) -> Queues:
    """A quota of one pod."""
    queues.cluster_queue(pods=1)
    queues.local_queue()
    return queues


def says(scene: Scene, name: str, words: str) -> Object:
    """Wait until a condition of a plan has these words."""

    def said(plan: Object) -> bool:
        return any(words in each["message"] for each in plan["status"].get("conditions", ()))

    status: Object = scene.until(said, name)["status"]
    return status


def finish(scene: Scene, name: str) -> None:
    """End the pod of a plan that runs, and its plan."""
    (pod,) = scene.kubelet.pods(scene.job_of(name)["metadata"]["name"])
    merged = reports.merged(scene.kubelet.document(pod))
    scene.kubelet.end(pod, ExitCode.OK, reports.complete(0, merged))
    scene.phase("Completed", name)


Start = Callable[..., Any]


@pytest.mark.usefixtures("one_pod")
def test_admission_is_one_at_a_time(alone: Scene, start_operator: Start) -> None:
    """Lost otherwise: quota, or the second scan."""
    start_operator()
    alone.apply("first", queueName=QUEUE)
    alone.run("first")
    alone.phase("Running", "first")
    alone.apply("second", queueName=QUEUE, runId="second")
    status = says(alone, "second", "insufficient unused quota for pods")
    assert status["phase"] == "Queued"
    finish(alone, "first")
    assert alone.complete("second")["phase"] == "Completed"


@pytest.mark.usefixtures("one_pod")
def test_the_higher_priority_goes_first(alone: Scene, queues: Queues, start_operator: Start) -> None:
    queues.priorities(low=1, high=100)
    start_operator(SCANPLAN_ALLOWED_PRIORITY_CLASSES="*")
    alone.apply("first", queueName=QUEUE, queuePriorityClassName="low")
    alone.run("first")
    for name, priority in (("waits", "low"), ("urgent", "high")):
        alone.apply(name, queueName=QUEUE, queuePriorityClassName=priority, runId=name)
        alone.phase("Queued", name)
    finish(alone, "first")
    alone.run("urgent")
    assert alone.phase("Queued", "waits")
    finish(alone, "urgent")
    assert alone.complete("waits")["phase"] == "Completed"


def test_a_preempted_scan_is_not_queued_before_its_pod_has_ended(
    alone: Scene, queues: Queues, start_operator: Start
) -> None:
    """Lost otherwise: the word that nothing is sent any more, while it is; or the scan that was preempted."""
    queues.priorities(low=1, high=100)
    queues.cluster_queue(pods=1, preemption={"withinClusterQueue": "LowerPriority"})
    queues.local_queue()
    start_operator(SCANPLAN_ALLOWED_PRIORITY_CLASSES="*")
    alone.apply("low", queueName=QUEUE, queuePriorityClassName="low")
    alone.run("low")
    alone.phase("Running", "low")
    alone.apply("high", queueName=QUEUE, queuePriorityClassName="high", runId="high")
    says(alone, "low", "stopping 1 pods")
    assert alone.plan("low")["status"]["phase"] == "Running"
    alone.kubelet.stop_deleted(alone.started("low"))
    alone.phase("Queued", "low")
    assert alone.complete("high")["phase"] == "Completed"
    assert alone.complete("low")["phase"] == "Completed"


@pytest.mark.usefixtures("one_pod")
def test_a_plan_suspended_in_the_queue_is_not_scanned_before_it_may(alone: Scene, start_operator: Start) -> None:
    """Lost otherwise: the owner's word."""
    start_operator()
    alone.apply("first", queueName=QUEUE)
    alone.run("first")
    alone.apply("second", queueName=QUEUE, runId="second")
    alone.phase("Queued", "second")
    alone.edit("second", suspend=True)
    alone.phase("Suspended", "second")
    finish(alone, "first")
    job = alone.job_of("second")["metadata"]["name"]
    alone.apply("third", queueName=QUEUE, runId="third")
    assert alone.complete("third")["phase"] == "Completed", "the quota is free, and the suspended plan leaves it alone"
    assert not alone.kubelet.pods(job)
    alone.edit("second", suspend=False)
    assert alone.complete("second")["phase"] == "Completed"


@pytest.mark.usefixtures("one_pod")
def test_a_running_plan_is_suspended_and_goes_on(alone: Scene, start_operator: Start) -> None:
    start_operator()
    alone.apply(queueName=QUEUE)
    alone.run()
    alone.phase("Running")
    alone.edit(suspend=True)
    alone.kubelet.stop_deleted(alone.started())
    alone.phase("Suspended")
    alone.edit(suspend=False)
    assert alone.complete()["phase"] == "Completed"


@pytest.mark.usefixtures("one_pod")
def test_a_queued_plan_that_is_cancelled_has_found_nothing(alone: Scene, start_operator: Start) -> None:
    """Lost otherwise: a collector's pod in the quota of others."""
    start_operator()
    alone.apply("first", queueName=QUEUE)
    alone.run("first")
    alone.apply("second", queueName=QUEUE, runId="second")
    alone.phase("Queued", "second")
    job = alone.job_of("second")["metadata"]["name"]
    alone.edit("second", cancel=True)
    status = alone.phase("Cancelled", "second")
    assert status["conditions"][0]["message"] == "cancelled on request before it started"
    alone.gone(job)
    assert [each["metadata"]["name"] for each in alone.jobs()] == [alone.job_of("first")["metadata"]["name"]]


@pytest.mark.usefixtures("one_pod")
def test_a_raised_quota_lets_the_next_one_in(alone: Scene, queues: Queues, start_operator: Start) -> None:
    start_operator()
    alone.apply("first", queueName=QUEUE)
    alone.run("first")
    alone.apply("second", queueName=QUEUE, runId="second")
    alone.phase("Queued", "second")
    queues.cluster_queue(pods=2)
    alone.run("second")
    alone.phase("Running", "second")
    for name in ("first", "second"):
        finish(alone, name)


def test_a_restart_of_both_in_the_middle_loses_nothing(
    alone: Scene, kueue: Kueue, one_pod: Queues, start_operator: Start
) -> None:
    assert one_pod
    operator = start_operator()
    alone.apply("first", queueName=QUEUE)
    alone.run("first")
    alone.apply("second", queueName=QUEUE, runId="second")
    alone.phase("Queued", "second")
    alone.edit("second", suspend=True)
    alone.phase("Suspended", "second")
    operator.kill()
    kueue.stop()
    alone.edit("second", suspend=False)
    kueue.start()
    start_operator()
    finish(alone, "first")
    assert alone.complete("second")["phase"] == "Completed"


def test_a_queue_that_does_not_exist_is_named(alone: Scene, queues: Queues, start_operator: Start) -> None:
    """Lost otherwise: hours of waiting for a typing error."""
    start_operator()
    queues.cluster_queue(pods=1)
    alone.apply(queueName=QUEUE)
    assert says(alone, "plan", f"LocalQueue {QUEUE} doesn't exist")["phase"] == "Queued"
    queues.local_queue()
    assert alone.complete()["phase"] == "Completed"


def test_where_kueue_manages_all_jobs_nobody_fights_over_suspend(
    alone: Scene, kueue: Kueue, queues: Queues, start_operator: Start
) -> None:
    """Lost otherwise: the API server's time, and the scan."""
    queues.cluster_queue(pods=1)
    queues.local_queue()
    kueue.stop()
    selector = {"matchLabels": {"kubernetes.io/metadata.name": alone.namespace}}
    kueue.start(manageJobsWithoutQueueName=True, managedJobsNamespaceSelector=selector)
    start_operator()
    alone.apply()
    says(alone, "plan", "the Job is suspended, and not by this operator")
    job = alone.job_of()["metadata"]["name"]
    alone.kubectl("label", "job", job, f"kueue.x-k8s.io/queue-name={QUEUE}")
    assert alone.complete()["phase"] == "Completed"
    assert len([each for each in alone.writes() if each == "patch jobs"]) <= 2
