"""One key, one Job, one result: through re-applies, crashes, races, deletions, and plans that ask for the same."""

from __future__ import annotations

from typing import Any

import pytest

from scanplan.api import labels
from scanplan.api.exit_codes import ExitCode
from tests.fixtures.operators import StartOperator
from tests.integration import reports
from tests.integration.apiserver import JOBS, Object
from tests.integration.kubelet import document_of
from tests.integration.scene import Scene, condition
from tests.integration.test_life_cycle import collect

pytestmark = pytest.mark.integration

SAME = {"runId": "nightly"}
"""Plans of any name with this run have the same key."""


def created(scene: Scene) -> list[str]:
    """The names of Jobs that the operator has created, one for each that the API server took."""
    return [
        request.name
        for request in scene.requests()
        if request.right == ("batch", "jobs", "create") and request.code == 201
    ]


def owners(job: Object) -> set[str]:
    return {reference["name"] for reference in job["metadata"].get("ownerReferences", [])}


def test_applying_again_changes_nothing(scene: Scene) -> None:
    """Lost otherwise: GitOps tools, which apply every few minutes."""
    scene.apply()
    scene.phase("Running")
    uid = scene.job_of()["metadata"]["uid"]
    for spec in (
        {},
        {"endpoints": ["https://APP.example.com:443/", "https://app.example.com"]},
        {"projectId": scene.namespace},
    ):
        scene.apply(**spec)
        assert scene.phase("Running")["jobRef"]["uid"] == uid
    scene.complete()
    scene.apply(templates=["http/cves/", "http/cves/"])
    assert scene.phase("Completed")["jobRef"]["uid"] == uid
    assert len(created(scene)) == 1


def test_an_operator_killed_after_creating_the_job_finds_it_again(alone: Scene, start_operator: StartOperator) -> None:
    """Lost otherwise: the promise that a crash never scans twice."""
    operator = start_operator()
    alone.apply()
    job = alone.eventually(alone.jobs)[0]
    operator.kill()
    start_operator()
    assert alone.phase("Running")["jobRef"]["uid"] == job["metadata"]["uid"]
    alone.complete()
    assert [job["metadata"]["name"]] == created(alone)


def test_a_scan_that_ended_while_the_operator_was_down_is_not_repeated(
    alone: Scene, start_operator: StartOperator
) -> None:
    """Lost otherwise: results of everything that ends during an upgrade of the operator."""
    operator = start_operator()
    alone.apply()
    alone.phase("Running")
    operator.kill()
    alone.complete_job(alone.plan()["status"]["taskId"])
    start_operator(SCANPLAN_SCANNER_IMAGE="registry.example/scanner:2")
    status = alone.phase("Completed")
    assert status["scanner"]["image"] == "registry.example/scanner:1"
    assert len(created(alone)) == 1


def test_an_upgrade_does_not_scan_settled_plans_again(alone: Scene, start_operator: StartOperator) -> None:
    """Lost otherwise: a quiet upgrade. Another default image is another scan, but only for plans that come later."""
    operator = start_operator()
    alone.apply("old", runId="old")
    alone.complete("old")
    assert operator.stop() == 0
    start_operator(SCANPLAN_SCANNER_IMAGE="registry.example/scanner:2")
    alone.apply("new", runId="new")
    assert alone.complete("new")["scanner"]["image"] == "registry.example/scanner:2"
    assert alone.plan("old")["status"]["scanner"]["image"] == "registry.example/scanner:1"
    assert len(created(alone)) == 2


def test_two_operators_make_one_job(alone: Scene, start_operator: StartOperator) -> None:
    """Lost otherwise: the key as the only lock, when a node comes back from the dead or somebody sets two replicas."""
    operators = [start_operator(WORKER_CONCURRENCY="5"), start_operator(WORKER_CONCURRENCY="5")]
    names = [f"plan-{number}" for number in range(5)]
    for name in names:
        alone.apply(name)
    for name in names:
        alone.phase("Running", name)
    for name in names:
        alone.complete_job(alone.plan(name)["status"]["taskId"])
    for name in names:
        alone.phase("Completed", name)
    assert len(created(alone)) == len(names)
    assert len({job["metadata"]["uid"] for job in alone.jobs()}) == len(names)
    assert all(operator.alive for operator in operators)


def test_a_deleted_plan_takes_its_job_along(scene: Scene) -> None:
    """Lost otherwise: `kubectl delete` as the way to stop a scan; scans that nobody owns would run on."""
    scene.apply()
    scene.phase("Running")
    job = scene.job_of()["metadata"]["name"]
    scene.kubelet.pending(job)
    scene.delete()
    scene.gone(job)
    scene.eventually(lambda: not scene.kubelet.pods(job))


def test_a_plan_deleted_and_made_again_takes_what_is_there(scene: Scene) -> None:
    """Lost otherwise: a re-created Git environment would scan all again, though a second plan still holds the result."""
    scene.apply("keeper", **SAME)
    scene.apply("plan", **SAME)
    scene.phase("Running")
    scene.phase("Running", "keeper")
    uid = scene.job_of()["metadata"]["uid"]
    scene.delete()
    scene.apply("plan", **SAME)
    assert scene.phase("Running")["jobRef"]["uid"] == uid
    assert len(created(scene)) == 1


def test_a_plan_made_again_after_its_job_went_is_replayed_from_the_claim(scene: Scene) -> None:
    """Lost otherwise: the hour's window. The new Job lets its runner take over what the old one had published."""
    scene.apply()
    scene.complete()
    job = scene.job_of()
    scene.delete()
    scene.gone(job["metadata"]["name"])
    scene.apply()
    pod = scene.run()[0]
    assert pod["metadata"]["labels"][labels.TASK] == job["metadata"]["name"]
    document = document_of(pod)
    assert document.replay_not_before is not None
    assert document.replay_not_before < job["metadata"]["creationTimestamp"]
    report = reports.complete(0, reports.merged(document), published_at=document.replay_not_before)
    scene.kubelet.end(pod, ExitCode.OK, report)
    status = scene.phase("Completed", reason="ResultReused")
    assert "taken over from the claim" in condition(status, "Ready")["message"]


def test_plans_with_one_key_share_one_job(scene: Scene) -> None:
    """Lost otherwise: two teams that ask for the same scan would load the target twice, or delete each other's."""
    for name in ("a", "b", "c"):
        scene.apply(name, **SAME)
    for name in ("a", "b", "c"):
        scene.phase("Running", name)
    job = scene.job_of("a")
    name, uid = job["metadata"]["name"], job["metadata"]["uid"]
    assert owners(scene.eventually(lambda: scene.job(name))) == {"a", "b", "c"}
    assert len(created(scene)) == 1

    creator = scene.api.get(f"{JOBS.format(scene.namespace)}/{name}")
    assert creator
    scene.delete("a")
    scene.eventually(lambda: owners(scene.job_of("b")) == {"b", "c"})
    assert scene.job_of("c")["metadata"]["uid"] == uid

    scene.complete("b")
    scene.phase("Completed", "c")
    reused = {plan: condition(scene.plan(plan)["status"], "Ready")["reason"] for plan in ("b", "c")}
    assert "ResultReused" in reused.values()
    assert scene.plan("b")["status"]["findings"] == scene.plan("c")["status"]["findings"]
    scene.delete("b")
    scene.eventually(lambda: owners(scene.job_of("c")) == {"c"})
    scene.delete("c")
    scene.gone(name)


def test_a_finished_result_is_taken_over(scene: Scene) -> None:
    """Lost otherwise: the second asker's wait, and the target's second load."""
    scene.apply("first", **SAME)
    first = scene.complete("first")
    assert condition(first, "Ready")["reason"] == "Completed"
    scene.apply("second", **SAME)
    second = scene.phase("Completed", "second", "ResultReused")
    assert second["artifacts"] == first["artifacts"]
    assert len(created(scene)) == 1


def foreign_job(name: str) -> dict[str, Any]:
    container = {
        "name": "other",
        "image": "registry.example/other:1",
        "securityContext": {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return {
        "metadata": {"name": name},
        "spec": {"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }


def test_a_foreign_job_of_our_name_is_left_alone(alone: Scene, start_operator: StartOperator) -> None:
    """Lost otherwise: somebody else's Job, or a status that shows somebody else's result."""
    operator = start_operator()
    alone.apply()
    alone.phase("Running")
    name = alone.job_of()["metadata"]["name"]
    alone.delete()
    alone.gone(name)
    alone.api.create(JOBS.format(alone.namespace), foreign_job(name))
    alone.apply()
    status = alone.phase("Failed", reason="NameConflict")
    assert name in status["error"]["message"]
    job = alone.job(name)
    assert job
    assert job["spec"]["template"]["spec"]["containers"][0]["name"] == "other"
    assert not owners(job)
    alone.api.delete(f"{JOBS.format(alone.namespace)}/{name}", propagationPolicy="Background")
    alone.edit(rerun="1")
    alone.complete()
    assert operator.alive


def test_a_job_deleted_by_hand_is_made_again_when_its_pods_are_gone(scene: Scene) -> None:
    """Lost otherwise: a scan, by one mistyped delete; or the promise of one live Job per key, by two sets of pods."""
    scene.apply()
    scene.phase("Running")
    scene.run()
    job = scene.job_of()
    name, uid = job["metadata"]["name"], job["metadata"]["uid"]
    scene.kubectl("delete", "job", name, "--cascade=orphan", "--wait=false")
    scene.phase("Pending", reason="WaitingForPods")
    scene.gone(name)
    (pod,) = scene.kubelet.pods(name)
    scene.api.delete(f"/api/v1/namespaces/{scene.namespace}/pods/{pod['metadata']['name']}")
    scene.kubelet.stop_deleted(name)
    again = scene.eventually(lambda: scene.job(name))
    assert again["metadata"]["uid"] != uid
    assert scene.complete()["jobRef"]["uid"] == again["metadata"]["uid"]


def test_a_job_deleted_in_the_foreground_is_waited_for(scene: Scene) -> None:
    """Lost otherwise: the same, where the Job itself stays until its pods have gone."""
    scene.apply()
    scene.phase("Running")
    scene.run()
    job = scene.job_of()
    name, uid = job["metadata"]["name"], job["metadata"]["uid"]
    scene.kubectl("delete", "job", name, "--cascade=foreground", "--wait=false")
    scene.phase("Pending", reason="WaitingForPods")
    scene.kubelet.stop_deleted(name)
    scene.eventually(lambda: (scene.job(name) or job)["metadata"]["uid"] != uid)
    scene.complete()


def test_a_job_that_went_after_its_end_stays_done(scene: Scene) -> None:
    """Lost otherwise: every result, once a day, when TTLs remove the Jobs: plans would scan again for ever."""
    scene.apply()
    scene.complete()
    version = scene.plan()["metadata"]["resourceVersion"]
    job = scene.job_of()["metadata"]["name"]
    scene.kubectl("delete", "job", job, "--cascade=background", "--wait=false")
    scene.gone(job)
    scene.apply("other", runId="other")
    scene.complete("other")
    assert scene.plan()["metadata"]["resourceVersion"] == version
    scene.edit(priority=9)
    assert scene.phase("Completed")["observedGeneration"] == 2
    assert len(created(scene)) == 2


def test_a_job_that_its_ttl_removed_while_the_operator_was_down_stays_done(
    alone: Scene, start_operator: StartOperator
) -> None:
    """Lost otherwise: the same after a weekend without the operator. The shortest TTL of a plan is shortened by hand."""
    operator = start_operator()
    alone.apply()
    alone.complete()
    operator.kill()
    job = alone.job_of()["metadata"]["name"]
    alone.api.patch(f"{JOBS.format(alone.namespace)}/{job}", {"spec": {"ttlSecondsAfterFinished": 0}})
    alone.gone(job)
    start_operator()
    alone.apply("other", runId="other")
    alone.complete("other")
    assert alone.plan()["status"]["phase"] == "Completed"
    assert len(created(alone)) == 2


def test_an_edited_config_map_changes_no_scan_that_has_started(scene: Scene) -> None:
    """Lost otherwise: the meaning of a key. A Job that has to be made again is not made of other endpoints under the old name."""
    path = f"/api/v1/namespaces/{scene.namespace}/configmaps"
    scene.api.create(path, {"metadata": {"name": "targets"}, "data": {"endpoints": "a.example.com\n"}})
    source = {"endpointsFrom": [{"configMapKeyRef": {"name": "targets", "key": "endpoints"}}]}
    scene.apply("done", runId="done", **source)
    done = scene.complete("done")
    scene.apply("begun", runId="begun", **source)
    begun = scene.phase("Running", "begun")
    scene.api.patch(f"{path}/targets", {"data": {"endpoints": "b.example.com\n"}})
    scene.kubectl("annotate", "scanplan/done", "scanplan/begun", "note=seen")
    scene.kubectl("delete", "job", begun["taskId"], "--cascade=background", "--wait=false")
    collect(scene, begun["taskId"], complete=False)
    status = scene.phase("Failed", "begun", "InputsChanged")
    assert "give spec.rerun a new value" in status["error"]["message"]
    assert status["findings"]["total"], "what it had found is kept"
    assert scene.plan("done")["status"] == done
    assert created(scene)[2:] == [f"{begun['taskId']}-collect"]
    scene.edit("begun", rerun="with what is there now")
    assert scene.complete("begun")["endpointCount"] == 2


def test_a_shared_job_lives_as_long_as_its_most_patient_owner_asks(scene: Scene) -> None:
    """Lost otherwise: a scan cut short, or a result removed, by what a colleague is content with."""
    scene.apply("hasty", **SAME, deadlineSeconds=3600, ttlSecondsAfterFinished=300)
    scene.phase("Running", "hasty")
    scene.apply("patient", **SAME, deadlineSeconds=7200, ttlSecondsAfterFinished=600)
    scene.phase("Running", "patient")

    def limits() -> tuple[int, int]:
        spec = scene.job_of("hasty")["spec"]
        return spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]

    scene.eventually(lambda: limits() == (7200, 600))
    scene.delete("patient")
    scene.edit("hasty", deadlineSeconds=3700)
    scene.eventually(lambda: limits() == (3700, 300))


def test_a_rerun_is_a_new_scan_of_the_same_content(scene: Scene) -> None:
    """Lost otherwise: the way to scan again on purpose."""
    scene.apply()
    first = scene.complete()
    scene.edit(rerun="again")
    scene.until(lambda plan: plan["status"].get("taskId") != first["taskId"])
    second = scene.complete()
    assert second["observedGeneration"] == 2
    assert second["taskKey"] != first["taskKey"]
    assert second["artifacts"]["path"] != first["artifacts"]["path"]
    scene.gone(first["taskId"])
