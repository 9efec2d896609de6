"""Why a scan failed, or doesn't start, in words that say what to do.

Whoever reads the status has nothing else: pods go with their Job.
"""

from __future__ import annotations

from typing import Any

import pytest

from scanplan.api.documents.words import ErrorClass, Outcome
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.observed.jobs import JobCondition
from scanplan.core.observed.pods import PodView
from scanplan.core.status import failure
from tests.unit.core.objects import ago, broken, failed, job, pod, report, succeeded

FATAL, TEMPORARY, UNKNOWN = ErrorClass.FATAL, ErrorClass.TEMPORARY, ErrorClass.UNKNOWN

PODS: dict[str, tuple[PodView, tuple[ErrorClass, Reason, str]]] = {
    "the runner's own word": (
        broken(3, Reason.DISK_FULL),
        (TEMPORARY, Reason.DISK_FULL, "DiskFull in shard 3"),
    ),
    "its word even where the container was killed afterwards": (
        broken(3, Reason.SCANNER_HUNG, exit_code=137, reason="OOMKilled"),
        (TEMPORARY, Reason.SCANNER_HUNG, "shard 3"),
    ),
    "out of memory": (
        pod(2, "Failed", exit_code=137, reason="OOMKilled"),
        (TEMPORARY, Reason.OUT_OF_MEMORY, "raise podTemplate.resources.limits.memory"),
    ),
    "out of memory after a report without an error": (
        pod(2, "Failed", exit_code=137, reason="OOMKilled", report=report(2, outcome=Outcome.PARTIAL)),
        (TEMPORARY, Reason.OUT_OF_MEMORY, "shard 2"),
    ),
    "killed": (pod(1, "Failed", exit_code=137, reason="Error"), (TEMPORARY, Reason.SCANNER_KILLED, "exit code 137")),
    "a runner that could not even report": (
        pod(1, "Failed", exit_code=1, reason="Error", message="ImportError: no module", name="scan-x-1-abc"),
        (
            UNKNOWN,
            Reason.POD_FAILED,
            "exit code 1 and no word of why: ImportError: no module; see kubectl logs scan-x-1-abc",
        ),
    ),
    "evicted for its use of disk": (
        pod(1, "Failed", reason="Evicted", message="Usage of EmptyDir volume exceeds the limit"),
        (TEMPORARY, Reason.EVICTED, "Usage of EmptyDir volume"),
    ),
    "refused by its node": (
        pod(1, "Failed", reason="OutOfcpu", message="Node didn't have enough resource"),
        (TEMPORARY, Reason.POD_FAILED, "OutOfcpu"),
    ),
}

HARMLESS: dict[str, PodView] = {
    "running": pod(),
    "done": succeeded(),
    "interrupted by a suspension": pod(0, "Failed", exit_code=143, reason="Error"),
    "interrupted, and said so": broken(0, Reason.INTERRUPTED, exit_code=143),
    "disrupted by a drain or a preemption": pod(0, "Failed", exit_code=137, disrupted=True),
}

BLOCKED: dict[str, tuple[dict[str, Any], Reason, str]] = {
    "no such image": (
        {"waiting_reason": "ErrImagePull", "waiting_message": "not found"},
        Reason.IMAGE_PULL_FAILED,
        "check scanner.image and podTemplate.imagePullSecrets",
    ),
    "still no such image": ({"waiting_reason": "ImagePullBackOff"}, Reason.IMAGE_PULL_FAILED, "ImagePullBackOff"),
    "no name of an image": ({"waiting_reason": "InvalidImageName"}, Reason.IMAGE_PULL_FAILED, "InvalidImageName"),
    "a missing Secret or a bad mount": (
        {"waiting_reason": "CreateContainerConfigError", "waiting_message": 'secret "x" not found'},
        Reason.POD_FAILED,
        'secret "x" not found',
    ),
    "a claim that can't be written": (
        {
            "waiting_reason": "CreateContainerConfigError",
            "waiting_message": 'failed to create subPath directory for volumeMount "claim" of container "scanner"',
        },
        Reason.CLAIM_NOT_WRITABLE,
        "artifacts.claimName",
    ),
    "no node": (
        {"unschedulable": "0/3 nodes are available: 3 Insufficient memory."},
        Reason.UNSCHEDULABLE,
        "3 Insufficient memory",
    ),
}


@pytest.mark.parametrize(("dead", "expected"), PODS.values(), ids=PODS)
def test_why_a_pod_failed(dead: PodView, expected: tuple[ErrorClass, Reason, str]) -> None:
    error = failure.of_pod(dead)
    assert error is not None
    assert (error.error_class, error.reason) == expected[:2]
    assert expected[2] in error.message


@pytest.mark.parametrize("fine", HARMLESS.values(), ids=HARMLESS)
def test_what_is_no_failure(fine: PodView) -> None:
    """Evictions, preemptions and suspensions never count, and never explain anything."""
    assert failure.of_pod(fine) is None


@pytest.mark.parametrize(("state", "reason", "words"), BLOCKED.values(), ids=BLOCKED)
def test_what_keeps_a_pod_from_starting(state: dict[str, Any], reason: Reason, words: str) -> None:
    error = failure.blocked_by([pod(1), pod(0, "Pending", **state)])
    assert error is not None
    assert error.reason is reason
    assert words in error.message


@pytest.mark.parametrize(
    "starting",
    [
        pod(0, "Pending", waiting_reason="ContainerCreating"),
        pod(0, "Pending", waiting_reason="ImagePullBackOff", deleting=True),
        pod(0, "Running"),
    ],
)
def test_what_is_only_starting_or_going_is_not_blocked(starting: PodView) -> None:
    assert failure.blocked_by([starting]) is None


class TestOfJob:
    def test_one_fatal_shard_explains_more_than_many_others(self) -> None:
        pods = [broken(0), broken(1, Reason.NO_TEMPLATES_LOADED, FATAL), broken(2, Reason.UNKNOWN_ERROR, UNKNOWN)]
        error = failure.of_job(failed(), pods)
        assert (error.error_class, error.reason) == (FATAL, Reason.NO_TEMPLATES_LOADED)

    def test_of_equals_the_last_attempt_counts(self) -> None:
        first = broken(0, Reason.NETWORK_UNAVAILABLE, created=ago(300))
        last = broken(0, Reason.DISK_FULL, created=ago(20))
        assert failure.of_job(failed(), [first, last]).reason is Reason.DISK_FULL

    def test_what_a_shard_got_over_explains_nothing(self) -> None:
        """Shard 0 had a graver error, but succeeded in the end; shard 1 is why the scan failed."""
        pods = [broken(0, Reason.UNKNOWN_ERROR, UNKNOWN, created=ago(300)), succeeded(0), broken(1, Reason.DISK_FULL)]
        assert failure.of_job(failed(), pods).reason is Reason.DISK_FULL

    def test_says_how_much_failed(self) -> None:
        assert failure.of_job(failed(), [broken(1)]).message.startswith("1 of 2 shards failed: ")
        assert "shards failed" not in failure.of_job(failed(completions=1), [broken(1)]).message

    def test_a_deadline_says_what_to_raise_and_what_went_wrong_before(self) -> None:
        late = failed("DeadlineExceeded", deadline_seconds=7200)
        error = failure.of_job(late, [broken(1, Reason.DISK_FULL)])
        assert (error.error_class, error.reason) == (TEMPORARY, Reason.DEADLINE_EXCEEDED)
        assert "deadline of 7200 s: raise deadlineSeconds" in error.message
        assert "Last trouble: DiskFull in shard 1" in error.message

    def test_a_deadline_that_no_pod_lived_to_see_says_why(self) -> None:
        waiting = pod(0, "Pending", unschedulable="0/3 nodes are available")
        assert "no node takes the scan pod" in failure.of_job(failed("DeadlineExceeded"), [waiting]).message

    def test_a_job_on_a_dead_node_fails_by_its_target(self) -> None:
        doomed = job(failure_target=JobCondition("DeadlineExceeded", "", ago(300)))
        assert failure.of_job(doomed, []).reason is Reason.DEADLINE_EXCEEDED

    def test_without_pods_kubernetes_own_words_have_to_do(self) -> None:
        error = failure.of_job(failed("BackoffLimitExceeded"), [])
        assert (error.error_class, error.reason) == (UNKNOWN, Reason.POD_FAILED)
        assert "because of BackoffLimitExceeded" in error.message


def test_a_result_that_could_not_be_merged_names_the_collectors_trouble() -> None:
    collector = failed("DeadlineExceeded", collector=True)
    error = failure.result_missing(job(), collector)
    assert error.reason is Reason.RESULT_MISSING
    assert "the collector failed: because of DeadlineExceeded" in error.message
