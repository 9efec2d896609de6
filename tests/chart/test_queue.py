"""The Redis queue in a cluster: programs submit, the chart's workers scan, on a real node."""

from __future__ import annotations

import dataclasses
import json

import pytest
import redis

from scanplan.api.v1alpha1.conditions import Reason
from scanplan.client import models
from scanplan.client.models import ScanPlan, ScanResult, TaskStatus
from scanplan.client.queues.redis import RQTaskQueue
from scanplan.client.settings import ClientSettings
from tests import deploy, images
from tests.chart.chart import NAMESPACE
from tests.chart.installation import CLAIM, PATIENCE, TARGET, Installer, image, remains, shell
from tests.cluster import Cluster
from tests.docs.blocks import blocks
from tests.kubectl import Kubectl, eventually

pytestmark = pytest.mark.e2e

WORKER = "deployment/scanplan-operator-worker"
PODS = "app.kubernetes.io/component=worker"
SLOW = """
id: slow
info:
  name: slow
  author: tests
  severity: info
  metadata:
    x-double-fault: slow:20000
http:
  - method: GET
    path: ["{{BaseURL}}/robots.txt"]
    matchers:
      - type: status
        status: [200]
"""


@pytest.fixture(scope="module")
def worker(running: Cluster) -> images.Archive:
    """The workers' image, on the node."""
    archive = images.build(["worker"])["worker"]
    running.load_image(archive.path)
    return archive


@pytest.fixture
def with_workers(clean: Installer, worker: images.Archive) -> Installer:
    """Helm that knows the workers' image, too."""
    return dataclasses.replace(clean, images={**clean.images, "worker": {"image": image(worker.reference)}})


@pytest.fixture
def address(results: redis.Redis) -> str:
    return f"redis://{results.get_connection_kwargs()['host']}:6379/0"


@dataclasses.dataclass(frozen=True)
class Queue:
    """A program of the library, and the cluster whose workers serve it."""

    kubectl: Kubectl
    tasks: RQTaskQueue
    scanner: str

    def submit(self, run_id: str, templates: list[str], endpoint: str = TARGET) -> str:
        plan = ScanPlan(run_id=run_id, project_id="acme", endpoints=[endpoint], templates=templates)
        return self.tasks.submit_task(models.TASK_TYPE, models.payload_of(plan))

    def result(self, task_id: str) -> ScanResult:
        found = eventually(lambda: self.tasks.get_task_result(task_id), within=PATIENCE)
        return models.load(ScanResult, found, "the result")

    def templates_of_findings(self, result: ScanResult) -> set[str]:
        """Read from the workers' claim."""
        path = f"{result.artifact_path}/nuclei_output.ndjson"
        self.kubectl.apply(deploy.reader("findings", NAMESPACE, self.scanner, "scanplan-artifacts", path))
        self.kubectl("wait", "pod/findings", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=120s")
        lines = self.kubectl("logs", "findings").splitlines()
        self.kubectl("delete", "pod/findings")
        return {json.loads(line)["template-id"] for line in lines}


@pytest.fixture
def queue(with_workers: Installer, address: str) -> Queue:
    """Workers that were just installed, with a template of their owner's."""
    kubectl = with_workers.kubectl.in_namespace(NAMESPACE)
    kubectl("create", "configmap", "templates", f"--from-literal=slow.yaml={SLOW}")
    own = {
        "enabled": True,
        "extraEnv": [{"name": "SCANPLAN_TEMPLATES_DIRECTORY", "value": "/templates:/opt/nuclei-templates"}],
        "extraVolumes": [{"name": "templates", "configMap": {"name": "templates"}}],
        "extraVolumeMounts": [{"name": "templates", "mountPath": "/templates", "readOnly": True}],
    }
    with_workers("install", values={**CLAIM, "redis": {"url": address}, "worker": own})
    kubectl("rollout", "status", WORKER, "--timeout=180s")
    scanner = with_workers.images["scanner"]["image"]
    return Queue(kubectl, RQTaskQueue(address, ClientSettings()), f"{scanner['repository']}:{scanner['tag']}")


def test_the_page_leads_from_nothing_to_findings(with_workers: Installer, address: str) -> None:
    mine = "::test_the_page_leads_from_nothing_to_findings"
    told = ""
    for command in [block.text for block in blocks("docs/how-to/redis-queue.md") if block.run_by.endswith(mine)]:
        ours = with_workers.of_these_images(command).replace("rediss://:PASSWORD@redis.data.svc:6379/0", address)
        ours = ours.replace(f"kubectl create namespace {NAMESPACE}\n", "").replace("https://app.example.com", TARGET)
        told = shell(ours, with_workers.kubectl)
    assert "completed: 14 findings" in told
    with_workers.kubectl.in_namespace(NAMESPACE)("delete", "secret/scan-queue")


def test_what_programs_submit_is_scanned_by_pods_and_comes_back_with_findings(clean: Installer, queue: Queue) -> None:
    assert queue.tasks.health().active_workers == 4
    result = queue.result(queue.submit("nightly", ["http/exposures/"]))
    assert result.status is TaskStatus.COMPLETED, result
    assert {"env-file", "git-config"} <= queue.templates_of_findings(result)

    api_server = queue.kubectl.in_namespace("default").get("service", "kubernetes")["spec"]["clusterIP"]
    refused = queue.result(queue.submit("curious", ["http/"], f"https://{api_server}"))
    assert (refused.status, refused.reason) == (TaskStatus.FAILED, Reason.TARGET_DENIED)

    queue.kubectl("delete", "configmap/templates")
    clean.uninstall()
    eventually(lambda: not remains(queue.kubectl), within=PATIENCE)


def test_a_scan_whose_pod_is_moved_is_taken_up_by_the_next_one(queue: Queue, results: redis.Redis) -> None:
    """It is given back within the pod's grace, and counts as no failed attempt."""
    task_id = queue.submit("nightly", ["http/exposures/", "slow.yaml"])
    eventually(lambda: queue.tasks.get_task_status(task_id) is TaskStatus.RUNNING, within=PATIENCE)
    (moved,) = queue.kubectl("get", "pods", "-l", PODS, "-o", "name").split()
    queue.kubectl("delete", moved, "--timeout=180s")
    queue.kubectl("rollout", "status", WORKER, "--timeout=180s")
    assert results.hgetall(f"scanplan:task_attempts:{task_id}").keys() == {b"running"}
    result = queue.result(task_id)
    assert result.status is TaskStatus.COMPLETED, result
    assert {"env-file", "git-config", "slow"} <= queue.templates_of_findings(result)
    queue.kubectl("delete", "configmap/templates")
