"""What only the Kubernetes queue has: long lists in ConfigMaps, other people's objects, clusters that are away."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.client import models, settings
from scanplan.client.errors import ClientError, QueueUnavailable
from scanplan.client.models import ScanPlan, TaskStatus
from scanplan.client.queues import kubernetes as kubernetes_queue
from scanplan.client.queues.kubernetes import KubernetesTaskQueue
from tests.client.cluster import ControlPlane
from tests.client.laboratory import Laboratory
from tests.kubectl import Kubectl, eventually

ENDPOINTS = [f"https://host-{number}.example.com/{'x' * 1_000}" for number in range(1_200)]


def plan(**fields: object) -> ScanPlan:
    return ScanPlan(**{"run_id": "r", "project_id": "p", "endpoints": ["a.example"], "templates": ["http/"], **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_is_a_status(phase: Phase) -> None:
    metadata = {"generation": 2}
    seen = {"metadata": metadata, "status": {"observedGeneration": 2, "phase": phase.value}}
    assert kubernetes_queue.status_of(seen).is_terminal == phase.is_terminal
    unseen = {"metadata": metadata, "status": {"observedGeneration": 1, "phase": phase.value}}
    assert kubernetes_queue.status_of(unseen) is TaskStatus.PENDING
    assert (
        kubernetes_queue.status_of({"metadata": metadata, "status": {"observedGeneration": -1}}) is TaskStatus.PENDING
    )


def test_long_lists_are_cut_into_config_maps_whole() -> None:
    long = plan(endpoints=ENDPOINTS)
    spec = kubernetes_queue.manifest(long, settings.load())["spec"]
    parts = kubernetes_queue.endpoint_parts(long, {"metadata": {"name": models.task_id_of(long), "uid": "u"}})
    assert "endpoints" not in spec
    names = [source["configMapKeyRef"]["name"] for source in spec["endpointsFrom"]]
    assert names == [part["metadata"]["name"] for part in parts]
    assert len(parts) > 1
    assert sorted("".join(part["data"]["endpoints"] for part in parts).split()) == sorted(ENDPOINTS)
    assert all(len(part["data"]["endpoints"]) <= kubernetes_queue.CONFIG_MAP_BYTES for part in parts)


@pytest.mark.integration
class TestOnACluster:
    """With the operator at work."""

    @pytest.fixture
    def kubectl(
        self, request: pytest.FixtureRequest, plane: ControlPlane, kubernetes_queue: KubernetesTaskQueue
    ) -> Kubectl:
        assert kubernetes_queue
        return plane.kubectl.in_namespace(f"c{request.session.items.index(request.node)}")

    def test_long_lists_reach_the_operator_and_go_with_the_plan(self, laboratory: Laboratory, kubectl: Kubectl) -> None:
        task_id = laboratory.submit(plan(endpoints=ENDPOINTS))
        found = eventually(lambda: kubectl.get("scanplan", task_id)["status"].get("endpointCount"))
        assert found == len(ENDPOINTS)
        assert laboratory.submit(plan(endpoints=ENDPOINTS)) == task_id
        kubectl("delete", "scanplan", task_id)
        eventually(
            lambda: not kubectl("get", "configmap", "-o", "name", "-l", "app.kubernetes.io/managed-by=scanplan-client")
        )

    def test_somebody_elses_plan_is_left_alone(self, laboratory: Laboratory, kubectl: Kubectl) -> None:
        wanted = laboratory.plan()
        spec = {"endpoints": ["https://other.example"], "templates": ["http/"], "suspend": True}
        foreign = {"apiVersion": "scanplan.dev/v1alpha1", "kind": "ScanPlan", "spec": spec}
        kubectl.apply({**foreign, "metadata": {"name": models.task_id_of(wanted)}})
        with pytest.raises(ClientError, match="left alone"):
            laboratory.submit(wanted)
        assert kubectl.get("scanplan", models.task_id_of(wanted))["spec"]["endpoints"] == ["https://other.example"]

    def test_a_priority_is_the_plans(self, laboratory: Laboratory, kubectl: Kubectl) -> None:
        task_id = laboratory.queue.submit_task("scan", models.dump(laboratory.plan()), priority=9)
        assert kubectl.get("scanplan", task_id)["spec"]["priority"] == 9

    def test_what_is_not_allowed_is_said(
        self, plane: ControlPlane, laboratory: Laboratory, kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert kubectl.namespace
        monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig_of(kubectl.namespace, "default")))
        queue = KubernetesTaskQueue(settings.load())
        with pytest.raises(QueueUnavailable, match="cannot create resource"):
            queue.submit_task("scan", models.dump(laboratory.plan()))


def test_a_cluster_that_is_away_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(QueueUnavailable, match="no cluster"):
        KubernetesTaskQueue(settings.load()).get_task_status("scan-0")
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}
    context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
    configuration = {
        "clusters": [cluster],
        "contexts": [context],
        "current-context": "x",
        "users": [{"name": "u", "user": {}}],
    }
    (tmp_path / "config").write_text(yaml.safe_dump(configuration))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    queue = KubernetesTaskQueue(settings.load())
    with pytest.raises(QueueUnavailable, match="can't be reached"):
        queue.submit_task("scan", models.dump(plan()))
