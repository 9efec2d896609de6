"""What the operator costs the API server: three writes a plan, and nothing at rest."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from scanplan.api.exit_codes import ExitCode
from scanplan.core.reconcile.running import PROGRESS_SECONDS
from tests.fixtures.operators import StartOperator
from tests.integration import metrics, reports
from tests.integration.kubelet import document_of, index_of
from tests.integration.scene import Scene, hosts, shards
from tests.integration.test_leadership import elect
from tests.kubectl import Kubectl
from tests.ports import free_port

pytestmark = pytest.mark.integration

A_LIFE = ["create jobs", "patch scanplans/status", "patch scanplans/status"]
"""The Job, Running, and how it ended."""
STATES = ("Pending", "Running", "Completed")
"""Of a plan's life."""


BEFORE_THE_JOB = ["list pods", "get scanplans"]
"""That no pod of the same key is alive, and that the plan is as it was decided upon: what two operators at once need."""
AT_THE_END = ["list pods"]
"""For the reports of the last attempts."""
READS = BEFORE_THE_JOB + AT_THE_END
ONCE = ["get persistentvolumeclaims"]
"""For the claim's access modes, which one namespace's plans share."""
ALL_THAT_LIVE = "fieldSelector="
"""One list of all pods alive goes with each list of all Jobs and plans."""
OF_EVERY_START = {
    f"{verb} {kind}"
    for verb in ("list", "watch")
    for kind in ("jobs", "scanplans", "scanschedules", "scanexceptions", "scannotifiers")
}


def reads(scene: Scene) -> list[str]:
    """Requests that read for a plan's sake, in their order."""
    asked = (request for request in scene.requests() if not request.is_write and ALL_THAT_LIVE not in request.uri)
    seen = [f"{request.verb} {request.resource}" for request in asked]
    return [request for request in seen if request not in OF_EVERY_START]


def test_a_plan_of_one_shard_takes_three_writes_and_three_reads(scene: Scene) -> None:
    """Lost otherwise: an API server that has time for others while thousands of plans run."""
    scene.apply()
    scene.complete()
    assert scene.writes() == A_LIFE
    assert reads(scene) == ONCE + READS


def test_events_of_the_normal_course_are_two_more_writes(alone: Scene, start_operator: Callable[..., Any]) -> None:
    """Lost otherwise: what an owner pays for them, and that they come once."""
    start_operator(SCANPLAN_LIFECYCLE_EVENTS="true")
    alone.apply()
    alone.complete()
    events = f"/apis/events.k8s.io/v1/namespaces/{alone.namespace}/events"

    def told() -> list[str]:
        """Of the plan; the last event is written after the status that it is about."""
        return sorted(each["reason"] for each in alone.api.list(events, fieldSelector="regarding.kind=ScanPlan"))

    alone.eventually(lambda: "Completed" in told())
    assert told() == ["Completed", "Started"]
    assert len(alone.writes()) == len(A_LIFE) + 2


def test_with_the_lease_one_read_a_plan_is_left(
    administrator: Kubectl, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    """Lost otherwise: what leader election is for besides taking over; nothing stands between a plan and its Job."""
    elect(administrator, start_operator)
    for name in ("plan", "other"):
        alone.apply(name, runId=name)
        alone.complete(name)
    assert alone.writes() == A_LIFE * 2
    assert reads(alone) == ONCE + AT_THE_END * 2


def test_with_the_lease_a_plan_made_again_is_looked_at_as_before(
    administrator: Kubectl, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    """Lost otherwise: one scan beside the pods of the same scan, which a plan of the same content has left behind."""
    elect(administrator, start_operator)
    alone.apply()
    alone.run()
    job = alone.job_of()["metadata"]["name"]
    alone.delete()
    alone.gone(job)
    alone.apply()
    alone.phase("Pending", reason="WaitingForPods")
    alone.kubelet.stop_deleted(job)
    alone.complete()


def test_a_plan_of_many_shards_takes_three_writes_too(scene: Scene) -> None:
    """Lost otherwise: large scans that cost more the more pods they have."""
    scene.apply(**shards(12))
    scene.phase("Running")
    pods = scene.run(pods=12)
    for pod in pods:
        last = reports.merged(document_of(pod)) if pod is pods[-1] else None
        scene.kubelet.end(pod, ExitCode.OK, reports.complete(index_of(pod), last))
    assert scene.phase("Completed")["progress"] == "12/12"
    assert scene.writes() == A_LIFE
    assert reads(scene) == ONCE + READS


def test_a_task_that_is_too_large_for_an_annotation_takes_one_write_more(scene: Scene) -> None:
    """Lost otherwise: the same, where lists of endpoints are long."""
    scene.apply(endpoints=hosts(1000, "a-host-of-the-long-list"), sharding={"maxEndpointsPerShard": 1000})
    scene.complete()
    assert scene.writes() == ["create jobs", "create configmaps", *A_LIFE[1:]]


def test_a_million_endpoints_of_a_file_take_no_more_than_one_does(scene: Scene) -> None:
    """Lost otherwise: an operator that reads, keeps and sends lists of any length."""
    file = {"path": "hosts.txt", "sha256": "ab" * 32, "endpoints": 1_000_000}
    scene.apply(endpoints=[], endpointsFrom=[{"claimFile": file}], sharding={"maxEndpointsPerShard": 10_000})
    assert scene.phase("Running")["endpointCount"] == 1_000_000
    assert scene.job_of()["spec"]["completions"] == 100
    assert scene.writes() == A_LIFE[:2]
    assert reads(scene) == ONCE + BEFORE_THE_JOB


def test_a_plan_that_has_to_wait_takes_one_write_more(alone: Scene, start_operator: StartOperator) -> None:
    """Lost otherwise: an API server that has time for others while thousands of plans wait."""
    start_operator(WORKER_CONCURRENCY="1")
    alone.apply("first", runId="first")
    alone.phase("Running", "first")
    alone.apply()
    alone.phase("Queued")
    alone.complete("first")
    alone.complete()
    names = {"plan", alone.job_of()["metadata"]["name"]}
    own = [request for request in alone.requests() if request.is_write and request.name in names]
    assert [f"{request.verb} {request.resource}" for request in own] == [A_LIFE[1], *A_LIFE]


def test_progress_is_written_for_many_shards_together(scene: Scene) -> None:
    """Lost otherwise: scans that cost more the longer they take. One write each ten seconds is enough to see them go on."""
    began = time.monotonic()
    scene.apply(**shards(12))
    pods = scene.run(pods=12)
    for pod in pods[:6]:
        scene.kubelet.end(pod, ExitCode.OK, reports.complete(index_of(pod)))
    scene.until(lambda plan: plan["status"].get("progress") == "6/12")
    for pod in pods[6:]:
        last = reports.merged(document_of(pod)) if pod is pods[-1] else None
        scene.kubelet.end(pod, ExitCode.OK, reports.complete(index_of(pod), last))
    scene.phase("Completed")
    assert len(scene.writes()) <= len(A_LIFE) + (time.monotonic() - began) / PROGRESS_SECONDS


def test_a_finished_plan_is_left_alone(scene: Scene) -> None:
    """Lost otherwise: quiet clusters. Edits of labels, and re-applies of the same manifest, bring events but no writes."""
    scene.apply()
    scene.complete()
    version = scene.plan()["metadata"]["resourceVersion"]
    scene.apply()
    assert scene.plan()["metadata"]["resourceVersion"] == version
    scene.kubectl("label", "scanplan/plan", "team=red")
    scene.kubectl("annotate", "scanplan/plan", "note=seen")
    scene.kubectl("label", f"job/{scene.plan()['status']['taskId']}", "team=red")
    # A second plan's whole life passes through the same queue: whatever the first had been due would have been done by then.
    scene.apply("other", runId="other")
    scene.complete("other")
    assert scene.writes() == A_LIFE * 2
    assert reads(scene) == ONCE + READS * 2


def test_a_plan_is_reconciled_at_most_twice_for_each_of_its_states(alone: Scene, start_operator: StartOperator) -> None:
    """Lost otherwise: an operator that is still awake where everything has been done."""
    port = free_port()
    start_operator(**metrics.serving(port))
    names = [f"plan-{number}" for number in range(5)]
    for name in names:
        alone.apply(name, runId=name)
        (pod,) = alone.run(name)
        alone.eventually(partial(is_ready, alone, name))
        alone.kubelet.end(pod, ExitCode.OK, reports.complete(0, reports.merged(document_of(pod))))
        alone.phase("Completed", name)
    assert 0 < metrics.reconciles(port) <= 2 * len(STATES) * len(names)


def is_ready(scene: Scene, name: str) -> bool:
    """Whether the Job controller has counted the plan's pod as ready."""
    return bool(scene.job_of(name)["status"].get("ready"))
