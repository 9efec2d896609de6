"""Scans that fail, each for another reason: the status must say which, what to do, and keep what was found until then.

Most plans are applied at once, since most of their time is waiting; each test waits for its own.
"""

from __future__ import annotations

import pytest

from tests.e2e.stage import EXPOSED, EXPOSURES, ONCE, Stage, attempts, condition, templates
from tests.fixtures.node import ABSENT

pytestmark = pytest.mark.e2e

SOUND = ["sound-1.yaml", "sound-2.yaml"]


@pytest.fixture(scope="module", autouse=True)
def plans(stage: Stage) -> None:
    stage.nobody("nobody")
    stage.gate("gate")
    stage.picky("picky")
    faults = stage.faults()

    def faulty(name: str, fault: str, **spec: object) -> dict[str, object]:
        """A plan with the fault beside sound templates of the same source, which Nuclei runs at the same time."""
        return stage.plan(name, templates=[*SOUND, f"{fault}.yaml"], templatesFrom=faults, **spec)

    stage.apply(
        faulty("panic", "panic"),
        faulty("crash", "crash-after-two", retry=ONCE),
        faulty("memory", "out-of-memory", retry=ONCE, podTemplate={"resources": {"limits": {"memory": "128Mi"}}}),
        faulty("hang", "hang", retry=ONCE, timeoutSeconds=90),
        faulty("torn", "torn", retry=ONCE),
        stage.plan("tiny", retry=ONCE, podTemplate={"resources": {"limits": {"memory": "8Mi"}}}),
        stage.plan("no-template", templates=[EXPOSURES, "http/no-such-folder/"]),
        stage.plan("patchy", "picky"),
        stage.plan("half", "app", "nobody", retry=ONCE, sharding={"maxEndpointsPerShard": 1}),
        stage.gated("deadline", timeoutSeconds=90, deadlineSeconds=3600),
        stage.plan("nowhere", podTemplate={"nodeSelector": {"kubernetes.io/hostname": "nowhere"}}),
        stage.plan("no-image", scanner={"image": f"{ABSENT}:1"}),
    )
    stage.standing("deadline")
    stage.patch("deadline", deadlineSeconds=90)


def test_a_missing_template_fails_at_once_and_is_named(stage: Stage) -> None:
    status = stage.ends("no-template", "Failed")
    assert status["error"]["class"] == "Fatal"
    assert status["error"]["reason"] == "TemplatesNotFound"
    assert "http/no-such-folder" in status["error"]["message"]
    assert status["attempts"] == 1
    assert condition(status, "Stalled")["status"] == "True"


def test_a_target_that_is_down_is_tried_again_and_scanned_once_it_is_back(stage: Stage) -> None:
    stage.nobody("late")
    stage.apply(stage.plan("comes-back", "late", templates=[f"{EXPOSURES}git-config.yaml"]))
    status = stage.reaches("comes-back", "Retrying")
    assert status["attempts"] >= 1
    assert status["error"]["class"] == "Temporary"
    assert status["error"]["reason"] == "EndpointsUnreachable"
    stage.until(lambda: not [found for found in stage.pods("comes-back") if found["status"]["phase"] != "Failed"])
    stage.reroute("late", "app")
    status = stage.ends("comes-back", "Completed")
    assert status["attempts"] > 1
    assert "error" not in status
    assert templates(stage.findings(status)) == ["git-config"]


def test_requests_that_failed_at_a_target_that_answers_are_told(stage: Stage) -> None:
    status = stage.ends("patchy", "Completed")
    assert "Requests failed at 1 of 1 endpoints that do answer" in condition(status, "Succeeded")["message"]


def test_a_crash_is_tried_once_more_and_then_given_up(stage: Stage) -> None:
    status = stage.ends("panic", "Failed")
    assert status["error"]["class"] == "Unknown"
    assert status["error"]["reason"] == "RetriesExhausted"
    assert "panic" in status["error"]["message"]
    assert status["attempts"] == 2


def test_what_a_crashed_scan_had_found_is_published_as_partial(stage: Stage) -> None:
    status = stage.ends("crash", "Failed")
    assert not status["artifacts"]["complete"]
    assert status["findings"]["total"] >= 2
    assert {*templates(stage.findings(status))} <= {"sound-1", "sound-2", "crash-after-two"}


def test_a_scanner_without_memory_says_that_the_limit_must_be_raised(stage: Stage) -> None:
    status = stage.ends("memory", "Failed")
    assert status["error"]["class"] == "Temporary"
    assert status["error"]["reason"] == "OutOfMemory"
    assert "raise" in status["error"]["message"].lower()
    assert "limit" in status["error"]["message"]


def test_a_pod_killed_for_memory_as_a_whole_says_the_same(stage: Stage) -> None:
    status = stage.ends("tiny", "Failed")
    assert status["error"]["reason"] == "OutOfMemory"
    assert "raise podTemplate.resources.limits.memory" in status["error"]["message"]


def test_a_scanner_that_hangs_is_stopped_and_its_findings_are_kept(stage: Stage) -> None:
    status = stage.ends("hang", "Failed")
    assert status["error"]["reason"] == "AttemptTimeout"
    assert not status["artifacts"]["complete"]
    assert templates(stage.findings(status)) == ["sound-1", "sound-2"]


def test_half_a_finding_of_a_killed_scanner_is_never_published(stage: Stage) -> None:
    status = stage.ends("torn", "Failed")
    assert status["error"]["reason"] == "ScannerKilled"
    if "files" in status["artifacts"]:
        assert {*templates(stage.findings(status))} <= {"sound-1", "sound-2"}


def test_a_shard_that_fails_for_good_does_not_sink_the_others(stage: Stage) -> None:
    status = stage.ends("half", "Failed")
    assert status["shards"] == {"total": 2, "active": 0, "succeeded": 1, "failed": 1}
    assert status["error"]["reason"] == "EndpointsUnreachable"
    assert not status["artifacts"]["complete"]
    assert templates(stage.findings(status)) == sorted(EXPOSED)
    assert condition(status, "FindingsPresent")["status"] == "True"


def test_a_scan_past_its_deadline_ends_with_what_it_has_found(stage: Stage) -> None:
    status = stage.ends("deadline", "Failed")
    assert status["error"]["reason"] == "DeadlineExceeded"
    assert "deadlineSeconds" in status["error"]["message"]
    assert not status["artifacts"]["complete"]
    found = templates(stage.findings(status))
    assert found == sorted(EXPOSED)
    assert "AllReachable" not in {found["reason"] for found in status["conditions"]}
    (attempt,) = attempts(stage.metadata(status))
    assert attempt["error"]["reason"] == "Interrupted"


def test_an_image_that_nobody_has_is_shown_with_its_reason(stage: Stage) -> None:
    message = waits_for(stage, "no-image", "ImagePullFailed")
    assert ABSENT in message
    assert "imagePullSecrets" in message


def test_a_pod_that_no_node_takes_is_shown_with_the_schedulers_words(stage: Stage) -> None:
    assert "node" in waits_for(stage, "nowhere", "Unschedulable")


def waits_for(stage: Stage, plan: str, reason: str) -> str:
    """The message with which a plan waits for that reason."""

    def waiting() -> str | None:
        status = stage.status(plan)
        reconciling = condition(status, "Reconciling") if status.get("phase") == "Pending" else {}
        return reconciling["message"] if reconciling.get("reason") == reason else None

    return stage.until(waiting)
