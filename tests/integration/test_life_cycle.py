"""Suspend, resume and cancel: the levers that stop a scan, and what stays of it."""

from __future__ import annotations

import pytest

from scanplan.api.documents.report import ShardReport
from scanplan.api.exit_codes import ExitCode
from tests.integration import reports
from tests.integration.apiserver import Object
from tests.integration.kubelet import document_of, index_of
from tests.integration.scene import Scene, condition, shards

pytestmark = pytest.mark.integration


def stopped(pod: Object) -> ShardReport:
    return reports.partial(index_of(pod))


def collect(scene: Scene, task: str, *, complete: bool) -> None:
    """The collector's pod merges what the task's pods have left."""
    (pod,) = scene.kubelet.pending(f"{task}-collect")
    assert pod["spec"]["containers"][0]["args"] == ["collect"]
    scene.kubelet.run(pod)
    scene.kubelet.end(pod, ExitCode.OK, reports.collected(reports.merged(document_of(pod), complete=complete)))


def test_a_plan_suspended_before_its_start_has_no_job(scene: Scene) -> None:
    """Lost otherwise: plans that wait in Git for a maintenance window."""
    scene.apply(suspend=True)
    status = scene.phase("Suspended")
    assert condition(status, "Ready")["status"] == "True"
    assert scene.jobs() == []
    scene.edit(suspend=False)
    assert scene.complete()["observedGeneration"] == 2


def test_a_running_plan_is_suspended_and_goes_on(scene: Scene) -> None:
    """Lost otherwise: a target that needs a rest; stopped pods must not count as failures, whatever the retries left."""
    scene.apply(retry={"temporary": 0}, **shards(2))
    scene.phase("Running")
    scene.run(pods=2)
    job = scene.job_of()
    name = job["metadata"]["name"]
    scene.edit(suspend=True)
    status = scene.phase("Running", reason="Suspended")
    assert "stopping" in condition(status, "Ready")["message"]
    scene.kubelet.stop_deleted(name, stopped, count=2)
    status = scene.phase("Suspended")
    assert status["shards"]["failed"] == 0
    scene.edit(suspend=False)
    scene.phase("Running", reason="Running")
    status = scene.complete()
    assert status["jobRef"]["uid"] == job["metadata"]["uid"]
    assert status["shards"] == {"total": 2, "active": 0, "succeeded": 2, "failed": 0}


def test_a_shared_task_is_suspended_when_all_ask_for_it(scene: Scene) -> None:
    """Lost otherwise: a colleague's scan, by one's own pause."""
    scene.apply("mine", runId="nightly")
    scene.phase("Running", "mine")
    scene.apply("theirs", runId="nightly")
    scene.phase("Running", "theirs")
    scene.edit("mine", suspend=True)
    scene.phase("Running", "mine")
    assert not scene.job_of("mine")["spec"]["suspend"]
    scene.edit("theirs", suspend=True)
    scene.phase("Suspended", "mine")
    scene.phase("Suspended", "theirs")
    assert scene.job_of("mine")["spec"]["suspend"]
    scene.edit("theirs", suspend=False)
    scene.complete("theirs")
    scene.phase("Completed", "mine")


def test_a_plan_cancelled_before_its_start_never_starts(scene: Scene) -> None:
    """Lost otherwise: the last chance to stop a mistake; and a plan that is over is not in anybody's way."""
    scene.apply(suspend=True)
    scene.phase("Suspended")
    scene.edit(cancel=True, suspend=False)
    status = scene.phase("Cancelled")
    assert condition(status, "Succeeded")["status"] == "False"
    assert condition(status, "Ready")["status"] == "True"
    assert [request for request in scene.writes() if "jobs" in request] == []


def test_a_cancelled_scan_keeps_what_it_found(scene: Scene) -> None:
    """Lost otherwise: the findings of a scan that somebody stops after hours."""
    scene.apply()
    scene.phase("Running")
    scene.run()
    job = scene.job_of()["metadata"]["name"]
    scene.edit(cancel=True)
    scene.kubelet.stop_deleted(job, stopped)
    collect(scene, job, complete=False)
    status = scene.phase("Cancelled")
    assert status["findings"]["total"] == reports.FINDINGS.total
    assert status["artifacts"]["complete"] is False
    assert condition(status, "Succeeded")["status"] == "False"
    assert "the findings until then are in" in condition(status, "Ready")["message"]
    assert scene.job(job) is None


def test_cancelling_a_shared_task_leaves_it_to_the_others(scene: Scene) -> None:
    """Lost otherwise: a colleague's scan, by cancelling one's own."""
    scene.apply("mine", runId="nightly")
    scene.phase("Running", "mine")
    scene.apply("theirs", runId="nightly")
    shared = scene.phase("Running", "theirs")["jobRef"]
    scene.edit("mine", cancel=True)
    scene.phase("Cancelled", "mine")
    status = scene.complete("theirs")
    assert status["jobRef"] == shared
    scene.phase("Cancelled", "mine")


def test_cancelling_what_is_over_changes_nothing(scene: Scene) -> None:
    """Lost otherwise: a result, by a late click."""
    scene.apply()
    before = scene.complete()
    scene.edit(cancel=True)
    after = scene.phase("Completed")
    assert after["findings"] == before["findings"]
    assert after["observedGeneration"] == 2


def test_a_cancelled_plan_runs_again_when_asked(scene: Scene) -> None:
    """Lost otherwise: a plan in Git that can be cancelled only once."""
    scene.apply(cancel=True)
    scene.phase("Cancelled")
    scene.edit(cancel=False, rerun="again")
    assert scene.complete()["observedGeneration"] == 2
