"""What only the Kubernetes queue does on a cluster: long lists in ConfigMaps, other people's objects, priorities, rights."""

from __future__ import annotations

import pytest

from scanplan.client import models, settings
from scanplan.client.errors import ClientError, QueueUnavailable
from scanplan.client.queues.kubernetes import KubernetesTaskQueue
from tests.client.cluster import ControlPlane
from tests.client.laboratory import Laboratory
from tests.kubectl import Kubectl, eventually
from tests.unit.client.queues.test_kubernetes import ENDPOINTS, plan


@pytest.mark.integration
class TestOnACluster:
    """With the operator at work."""

    @pytest.fixture
    def kubectl(self, queue_namespace: str, plane: ControlPlane, kubernetes_queue: KubernetesTaskQueue) -> Kubectl:
        assert kubernetes_queue
        return plane.kubectl.in_namespace(queue_namespace)

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
        queue = KubernetesTaskQueue(settings.load_settings())
        with pytest.raises(QueueUnavailable, match="cannot create resource"):
            queue.submit_task("scan", models.dump(laboratory.plan()))
