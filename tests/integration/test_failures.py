"""How scans fail: the runner's exit codes as the Job's podFailurePolicy takes them, and pods that die without a word."""

from __future__ import annotations

import pytest

from scanplan.api.documents.words import ErrorClass
from scanplan.api.exit_codes import ExitCode
from scanplan.api.v1alpha1.conditions import Reason
from tests.integration import reports
from tests.integration.apiserver import Object
from tests.integration.kubelet import document_of, index_of
from tests.integration.scene import Scene, condition, shards
from tests.integration.test_life_cycle import collect

pytestmark = pytest.mark.integration

NETWORK = reports.failed(ErrorClass.TEMPORARY, Reason.NETWORK_UNAVAILABLE, "no route to the targets")
BINARY = reports.failed(ErrorClass.FATAL, Reason.TEMPLATES_NOT_FOUND, "no template http/cves/ in the image")


def pods_of(scene: Scene) -> int:
    return len(scene.kubelet.pods(scene.plan()["status"]["taskId"]))


def failed(scene: Scene, reason: str) -> Object:
    status = scene.phase("Failed", reason=reason)
    assert condition(status, "Stalled")["status"] == "True"
    assert condition(status, "Succeeded")["status"] == "False"
    return status


def test_a_fatal_error_fails_the_job_at_once(scene: Scene) -> None:
    """Lost otherwise: an hour of retries of what can't succeed, on every shard."""
    scene.apply(**shards(2))
    scene.phase("Running")
    first, _ = scene.run(pods=2)
    scene.kubelet.end(first, ExitCode.FATAL, BINARY)
    task = scene.plan()["status"]["taskId"]
    scene.kubelet.stop_deleted(task, lambda pod: reports.partial(index_of(pod)))
    collect(scene, task, complete=False)
    status = failed(scene, "TemplatesNotFound")
    assert status["error"]["class"] == "Fatal"
    assert "no template http/cves/ in the image" in status["error"]["message"]
    assert status["artifacts"]["complete"] is False


def test_a_scan_that_published_nothing_needs_no_collector(scene: Scene) -> None:
    """Lost otherwise: a pod for nothing with each mistyped template."""
    scene.apply()
    scene.phase("Running")
    (pod,) = scene.run()
    scene.kubelet.end(pod, ExitCode.FATAL, BINARY)
    status = failed(scene, "TemplatesNotFound")
    assert status["attempts"] == 1
    assert len(scene.jobs()) == 1
    assert scene.writes().count("create jobs") == 1


def test_what_an_earlier_attempt_published_is_kept(scene: Scene) -> None:
    """Lost otherwise: an hour's findings, where the next attempt finds the network down."""
    scene.apply(retry={"temporary": 1})
    scene.phase("Running")
    (pod,) = scene.run()
    scene.kubelet.end(pod, ExitCode.TEMPORARY, reports.partial(0, Reason.ATTEMPT_TIMEOUT))
    (pod,) = scene.run()
    scene.kubelet.end(pod, ExitCode.TEMPORARY, NETWORK)
    collect(scene, scene.plan()["status"]["taskId"], complete=False)
    assert failed(scene, "NetworkUnavailable")["findings"]["total"] == reports.FINDINGS.total


def test_kills_after_saved_steps_use_up_no_retries(scene: Scene) -> None:
    """Lost otherwise: a scan of hours, where each attempt went on and was killed for memory in the end."""
    scene.apply(retry={"temporary": 0})
    scene.phase("Running")
    begun = scene.plan()["status"]["startTime"]
    name, uids = scene.started(), set()

    def made_again() -> bool:
        job = scene.job(name)
        return job is not None and job["metadata"]["uid"] not in uids

    for _ in range(2):
        (pod,) = scene.run()
        assert (document_of(pod).replay_not_before or "") < begun
        uids.add(scene.job_of()["metadata"]["uid"])
        scene.kubelet.end(pod, 137, reports.saved(), "OOMKilled")
        scene.eventually(made_again)
    status = scene.complete()
    assert status["artifacts"]["complete"] is True
    assert len(uids) == 2


def test_a_kill_without_saved_steps_uses_up_a_retry(scene: Scene) -> None:
    """Lost otherwise: an end. A pod with too little memory would be killed for ever."""
    scene.apply(retry={"temporary": 0})
    scene.phase("Running")
    (pod,) = scene.run()
    scene.kubelet.end(pod, 137, None, "OOMKilled")
    collect(scene, scene.plan()["status"]["taskId"], complete=False)
    failed(scene, "OutOfMemory")


def test_a_temporary_error_is_tried_again(scene: Scene) -> None:
    """Lost otherwise: scans that fail by one lost packet, and the word that they are being tried again, and why."""
    scene.apply(retry={"temporary": 1})
    scene.phase("Running")
    (pod,) = scene.run()
    scene.kubelet.end(pod, ExitCode.TEMPORARY, NETWORK)
    status = scene.phase("Retrying")
    assert status["error"] == {
        "class": "Temporary", "reason": "NetworkUnavailable", "message": "no route to the targets",
    }  # fmt: skip
    assert condition(status, "Succeeded")["status"] == "Unknown"
    status = scene.complete()
    assert status["attempts"] == 2
    assert "error" not in status


def test_temporary_errors_end_when_the_retries_do(scene: Scene) -> None:
    """Lost otherwise: an end. The plan says what the trouble was, not just that the Job failed."""
    scene.apply(retry={"temporary": 1})
    scene.phase("Running")
    for _ in range(2):
        (pod,) = scene.run()
        scene.kubelet.end(pod, ExitCode.TEMPORARY, NETWORK)
    status = failed(scene, "NetworkUnavailable")
    assert status["attempts"] == 2
    assert "no route to the targets" in status["error"]["message"]


def test_a_shard_that_gives_up_does_not_sink_the_others(scene: Scene) -> None:
    """Lost otherwise: the findings of 99 shards, by the trouble of one; and the mark that they are not all."""
    scene.apply(**shards(2))
    scene.phase("Running")
    first, second = scene.run(pods=2)
    given_up = reports.failed(ErrorClass.UNKNOWN, Reason.UNKNOWN_ERROR, "Nuclei ended with exit code 2, twice")
    scene.kubelet.end(first, ExitCode.SHARD_FATAL, given_up)
    scene.eventually(lambda: scene.job_of()["status"].get("failedIndexes"))
    scene.kubelet.end(second, ExitCode.OK, reports.complete(1))
    collect(scene, scene.plan()["status"]["taskId"], complete=False)
    status = failed(scene, "UnknownError")
    assert status["shards"] == {"total": 2, "active": 0, "succeeded": 1, "failed": 1}
    assert "1 of 2 shards failed" in status["error"]["message"]
    assert status["findings"]["total"] == reports.FINDINGS.total
    assert status["artifacts"]["complete"] is False
    assert condition(status, "FindingsPresent")["status"] == "True"


def test_an_interrupted_pod_does_not_count(scene: Scene) -> None:
    """Lost otherwise: retries, used up by a node's reboots."""
    scene.apply(retry={"temporary": 0})
    scene.phase("Running")
    (pod,) = scene.run()
    scene.kubelet.end(pod, ExitCode.INTERRUPTED, reports.partial())
    status = scene.complete()
    assert status["shards"]["failed"] == 0


def test_an_evicted_pod_does_not_count(scene: Scene) -> None:
    """Lost otherwise: the same, by a node that is drained, preempted for others, or short of memory."""
    scene.apply(retry={"temporary": 0})
    scene.phase("Running")
    (pod,) = scene.run()
    scene.kubelet.evict(pod)
    status = scene.complete()
    assert "error" not in status
    assert pods_of(scene) >= 1


def test_out_of_memory_is_told_without_a_report(scene: Scene) -> None:
    """Lost otherwise: what to do about it. The kernel's kill leaves the runner no time for a word."""
    scene.apply(retry={"temporary": 1})
    scene.phase("Running")
    (pod,) = scene.run()
    scene.kubelet.end(pod, 137, reason="OOMKilled")
    assert scene.phase("Retrying")["error"]["reason"] == "OutOfMemory"
    (pod,) = scene.run()
    scene.kubelet.end(pod, 137, reason="OOMKilled")
    collect(scene, scene.plan()["status"]["taskId"], complete=False)
    status = failed(scene, "OutOfMemory")
    assert "podTemplate.resources.limits.memory" in status["error"]["message"]
    assert status["artifacts"]["complete"] is False


def test_a_container_that_says_nothing_is_an_unknown_error(scene: Scene) -> None:
    """Lost otherwise: a lead to follow, where the image is broken or somebody else's."""
    scene.apply(retry={"temporary": 0})
    scene.phase("Running")
    (pod,) = scene.run()
    scene.kubelet.end(pod, 127)
    collect(scene, scene.plan()["status"]["taskId"], complete=False)
    status = failed(scene, "PodFailed")
    assert "exit code 127" in status["error"]["message"]
    assert f"kubectl logs {pod['metadata']['name']}" in status["error"]["message"]


def test_a_job_that_ended_unmerged_is_collected(scene: Scene) -> None:
    """Lost otherwise: a complete scan whose last pod was killed between publishing and merging."""
    scene.apply()
    scene.phase("Running")
    (pod,) = scene.run()
    scene.kubelet.end(pod, ExitCode.OK, reports.complete())
    status = scene.phase("Running", reason="Collecting")
    assert condition(status, "Succeeded")["status"] == "Unknown"
    collect(scene, status["taskId"], complete=True)
    status = scene.phase("Completed")
    assert status["artifacts"]["complete"] is True


def test_a_merge_that_the_namespace_refuses_says_so_and_goes_on_when_it_may(scene: Scene) -> None:
    """Lost otherwise: an hour of "merging", where a LimitRange allows less memory than a merge may need."""
    ranges = f"/api/v1/namespaces/{scene.namespace}/limitranges"
    limits = [{"type": "Container", "max": {"memory": "128Mi"}}]
    scene.api.create(ranges, {"metadata": {"name": "small"}, "spec": {"limits": limits}})
    scene.apply(podTemplate={"resources": {"limits": {"memory": "64Mi"}}})
    scene.phase("Running")
    (pod,) = scene.run()
    scene.kubelet.end(pod, ExitCode.OK, reports.complete())
    task = scene.phase("Running", reason="Collecting")["taskId"]
    scene.eventually(lambda: "LimitRange" in condition(scene.plan()["status"], "Ready")["message"])
    scene.api.delete(f"{ranges}/small")
    collect(scene, task, complete=True)
    assert scene.phase("Completed")["artifacts"]["complete"] is True


def test_a_result_that_cannot_be_merged_is_no_success(scene: Scene) -> None:
    """Lost otherwise: a Completed plan with nothing behind it."""
    scene.apply()
    scene.phase("Running")
    (pod,) = scene.run()
    scene.kubelet.end(pod, ExitCode.OK, reports.complete())
    collector = f"{scene.phase('Running', reason='Collecting')['taskId']}-collect"
    disk = reports.failed(ErrorClass.TEMPORARY, Reason.DISK_FULL, "the claim is full", shard=-1)
    for _ in range(4):
        (pod,) = scene.kubelet.pending(collector)
        scene.kubelet.run(pod)
        scene.kubelet.end(pod, ExitCode.TEMPORARY, disk)
    status = failed(scene, "ResultMissing")
    assert "the collector failed" in status["error"]["message"]


def test_pods_that_went_before_they_were_read_are_collected(scene: Scene) -> None:
    """Lost otherwise: the result of a scan whose pods somebody cleans up at once; it is on the claim all the same."""
    scene.apply()
    scene.phase("Running")
    job = scene.job_of()["metadata"]["name"]
    (pod,) = scene.run()
    scene.kubelet.end(pod, ExitCode.OK)
    collect(scene, job, complete=True)
    assert scene.phase("Completed")["findings"]["total"] == reports.FINDINGS.total


def test_a_fatal_error_of_one_shard_explains_a_job_with_other_trouble(scene: Scene) -> None:
    """Lost otherwise: the cause, behind the noise of ten lost connections."""
    scene.apply(retry={"temporary": 0}, **shards(2))
    scene.phase("Running")
    first, second = scene.run(pods=2)
    scene.kubelet.end(first, ExitCode.TEMPORARY, NETWORK)
    scene.eventually(lambda: scene.job_of()["status"].get("failedIndexes"))
    scene.kubelet.end(second, ExitCode.FATAL, BINARY)
    assert document_of(first) == document_of(second)
    assert failed(scene, "TemplatesNotFound")["error"]["class"] == "Fatal"


def test_describe_tells_of_trouble_and_of_nothing_else(scene: Scene) -> None:
    """Lost otherwise: the story of a failure where people look first; or its one line among a hundred that say all is well."""
    scene.apply("good", runId="good")
    scene.complete("good")
    scene.apply("bad", runId="bad")
    (pod,) = scene.run("bad")
    scene.kubelet.end(pod, ExitCode.FATAL, BINARY)
    scene.phase("Failed", "bad")
    scene.eventually(lambda: "TemplatesNotFound" in scene.kubectl("events", "--for", "scanplan/bad"))
    described = scene.kubectl("describe", "scanplan", "bad").partition("Events:")[2]
    assert "Warning" in described
    assert "no template http/cves/ in the image" in described
    assert scene.kubectl("events", "--for", "scanplan/good") == ""
