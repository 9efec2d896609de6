"""Plans whose Jobs Kueue admits.

The test plays Kueue's part, so that it needs no build: a Workload for each Job with a queue name, and `suspend` as admission
says. The real one admits in `tests/ecosystem/test_kueue.py`. What is tested is ours: Jobs are born suspended with Kueue's labels,
hold none of the operator's own slots, and are suspended and resumed through their Workload, never by fighting over
`spec.suspend`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.apiserver import JOBS, ApiServer, Object
from tests.integration.scene import Scene
from tests.kubectl import Kubectl

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parent.parent.parent
WORKLOADS = "/apis/kueue.x-k8s.io/v1beta2/namespaces/{}/workloads"
DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "workloads.kueue.x-k8s.io",
        "annotations": {"api-approved.kubernetes.io": "unapproved, a stand-in"},
    },
    "spec": {
        "group": "kueue.x-k8s.io",
        "scope": "Namespaced",
        "names": {"kind": "Workload", "plural": "workloads"},
        "versions": [
            {
                "name": "v1beta2",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


class Admitter:
    """What Kueue does to the Jobs of one namespace."""

    def __init__(self, scene: Scene, api: ApiServer) -> None:
        self.scene = scene
        self.api = api
        self.path = WORKLOADS.format(scene.namespace)

    def workload(self, job: Object) -> Object:
        """Make the Workload that stands for a Job."""
        manifest = {
            "apiVersion": "kueue.x-k8s.io/v1beta2",
            "kind": "Workload",
            "metadata": {
                "name": f"job-{job['metadata']['name']}",
                "labels": {"kueue.x-k8s.io/job-uid": job["metadata"]["uid"]},
            },
            "spec": {"active": True, "queueName": job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"]},
        }
        self.api.create(self.path, manifest)
        return manifest

    def says(self, workload: Object, words: str) -> None:
        """Keep a Workload waiting, for this reason."""
        waits = {"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": words}
        self.api.patch(f"{self.path}/{workload['metadata']['name']}", {"status": {"conditions": [waits]}})

    def active(self, workload: Object) -> bool:
        found = self.api.get(f"{self.path}/{workload['metadata']['name']}")
        assert found
        return bool(found["spec"]["active"])

    def suspend(self, job: Object, suspend: bool) -> None:
        """Admit a Job (suspend False) or stop it."""
        self.api.patch(f"{JOBS.format(self.scene.namespace)}/{job['metadata']['name']}", {"spec": {"suspend": suspend}})


@pytest.fixture
def kueue(administrator: Kubectl, api: ApiServer, alone: Scene) -> Iterator[Admitter]:
    administrator.apply(DEFINITION)
    administrator.wait_until_served("workloads.kueue.x-k8s.io")
    administrator("apply", "--server-side", "-f", str(ROOT / "examples/install/kueue.yaml"))
    yield Admitter(alone, api)
    administrator("delete", "-f", str(ROOT / "examples/install/kueue.yaml"))


def test_a_job_waits_for_kueue_and_runs_when_admitted(
    kueue: Admitter, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    start_operator(WORKER_CONCURRENCY="1", SCANPLAN_ALLOWED_PRIORITY_CLASSES="urgent")
    alone.apply("queued", queueName="security", queuePriorityClassName="urgent")
    status = alone.phase("Queued", "queued")
    job = alone.job_of("queued")
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "security"
    assert job["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "urgent"
    assert "LocalQueue security" in status["conditions"][0]["message"]
    alone.apply("other")  # the operator's only slot is free: Kueue's Jobs don't take it
    alone.phase("Running", "other")
    kueue.suspend(job, False)
    assert alone.complete("queued")["phase"] == "Completed"


def test_suspending_goes_through_the_workload_and_kueue_has_the_last_word(
    kueue: Admitter, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    start_operator()
    alone.apply(queueName="security")
    alone.phase("Queued")
    job = alone.job_of()
    workload = kueue.workload(job)
    kueue.suspend(job, False)
    alone.phase("Running")
    alone.edit(suspend=True)
    alone.eventually(lambda: not kueue.active(workload))
    assert alone.job_of()["spec"]["suspend"] is False, "only Kueue changes suspend"
    kueue.suspend(job, True)
    alone.phase("Suspended")
    alone.edit(suspend=False)
    alone.eventually(lambda: kueue.active(workload))
    alone.phase("Queued")
    assert alone.job_of()["spec"]["suspend"] is True
    kueue.suspend(job, False)
    alone.phase("Running")


def test_a_plan_suspended_while_it_is_queued_is_not_admitted(
    kueue: Admitter, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    """Lost otherwise: the owner's word. Kueue admits what is not deactivated."""
    start_operator()
    alone.apply(queueName="security")
    alone.phase("Queued")
    workload = kueue.workload(alone.job_of())
    alone.edit(suspend=True)
    alone.eventually(lambda: not kueue.active(workload))
    alone.phase("Suspended")
    assert alone.job_of()["spec"]["suspend"] is True


def test_a_queued_plan_says_what_kueue_says(kueue: Admitter, alone: Scene, start_operator: Callable[..., Any]) -> None:
    """Lost otherwise: hours of waiting for a queue that does not exist."""
    start_operator()
    alone.apply(queueName="security")
    alone.phase("Queued")
    kueue.says(kueue.workload(alone.job_of()), "LocalQueue security doesn't exist")
    alone.until(lambda plan: "LocalQueue security doesn't exist" in plan["status"]["conditions"][0]["message"])


@pytest.mark.usefixtures("kueue")
def test_a_queued_plan_that_is_cancelled_starts_no_collector(alone: Scene, start_operator: Callable[..., Any]) -> None:
    """Lost otherwise: a pod's time, and the truth: nothing can have been found."""
    start_operator()
    alone.apply(queueName="security")
    alone.phase("Queued")
    job = alone.job_of()["metadata"]["name"]
    alone.edit(cancel=True)
    status = alone.phase("Cancelled")
    assert status["conditions"][0]["message"] == "cancelled on request before it started"
    alone.gone(job)
    assert not [each for each in alone.jobs() if each["metadata"]["name"].endswith("-collect")]


def test_who_deactivated_a_workload_is_known_after_a_kill(
    kueue: Admitter, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    """Lost otherwise: a plan that is Queued for ever, since nobody activates its Workload again."""
    operator = start_operator()
    alone.apply(queueName="security")
    alone.phase("Queued")
    workload = kueue.workload(alone.job_of())
    alone.edit(suspend=True)
    alone.eventually(lambda: not kueue.active(workload))
    alone.phase("Suspended")
    operator.kill()
    alone.edit(suspend=False)
    start_operator()
    alone.eventually(lambda: kueue.active(workload))
    alone.phase("Queued")


def test_a_collector_waits_in_the_queue_of_its_plan(
    kueue: Admitter, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    """Lost otherwise: what was found, where Kueue holds every Job that names no queue."""
    start_operator(SCANPLAN_ALLOWED_PRIORITY_CLASSES="urgent")
    alone.apply(queueName="security", queuePriorityClassName="urgent")
    alone.phase("Queued")
    job = alone.job_of()
    kueue.suspend(job, False)
    alone.run()
    alone.phase("Running")
    alone.edit(cancel=True)
    alone.kubelet.stop_deleted(job["metadata"]["name"])

    def collector() -> Object | None:
        return next((each for each in alone.jobs() if each["metadata"]["name"].endswith("-collect")), None)

    made = alone.eventually(collector)
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "security"
    assert made["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "urgent"


def test_a_missing_right_to_workloads_is_told_at_once(
    kueue: Admitter, administrator: Kubectl, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    """Lost otherwise: why a suspended plan is scanned; only the operator's log would tell."""
    administrator("delete", "-f", str(ROOT / "examples/install/kueue.yaml"))
    try:
        start_operator()
        alone.apply(queueName="security")
        alone.phase("Queued")
        kueue.workload(alone.job_of())
        alone.edit(suspend=True)
        status = alone.until(lambda plan: "workloads" in str(plan.get("status", {}).get("conditions")))["status"]
        told = next(each for each in status["conditions"] if "workloads" in each["message"])
        assert (told["type"], told["reason"]) in {("Ready", "ApiRequestFailed"), ("Reconciling", "ApiRequestFailed")}
        assert "cannot" in told["message"]
    finally:
        administrator("apply", "--server-side", "-f", str(ROOT / "examples/install/kueue.yaml"))
    alone.phase("Suspended")
