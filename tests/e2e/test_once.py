"""The first promise, on real pods: the same scan never runs twice. The witness is the scanned application's own count."""

from __future__ import annotations

import pytest

from tests.e2e.stage import EXPOSED, Stage, condition, templates

pytestmark = pytest.mark.e2e


def test_two_plans_that_ask_for_the_same_share_one_scan(stage: Stage) -> None:
    stage.web_application("shared")
    stage.apply(
        stage.plan("one", "shared", projectId="acme", runId="nightly"),
        stage.plan("other", "shared", projectId="acme", runId="nightly"),
    )
    statuses = [stage.ends(name, "Completed") for name in ("one", "other")]
    assert len(stage.jobs("one")) == 1
    assert statuses[0]["jobRef"] == statuses[1]["jobRef"]
    assert statuses[0]["artifacts"] == statuses[1]["artifacts"]
    assert set(stage.requests("shared").values()) == {1}
    assert sorted(condition(status, "Succeeded")["reason"] for status in statuses) == ["Completed", "ResultReused"]
    stage.kubectl("delete", "scanplan", "one")
    assert len(stage.jobs("other")) == 1


def test_a_plan_applied_again_starts_nothing(stage: Stage) -> None:
    stage.web_application("again")
    stage.apply(stage.plan("again", "again"))
    before = stage.ends("again", "Completed")
    stage.apply(stage.plan("again", "again", priority=9))
    after = stage.ends("again", "Completed")
    assert after["observedGeneration"] == before["observedGeneration"] + 1
    assert after["jobRef"] == before["jobRef"]
    assert set(stage.requests("again").values()) == {1}


def test_a_plan_deleted_and_made_again_takes_its_result_from_the_claim(stage: Stage) -> None:
    stage.web_application("remade")
    stage.apply(stage.plan("remade", "remade"))
    first = stage.ends("remade", "Completed")
    stage.delete("remade")
    stage.apply(stage.plan("remade", "remade"))
    second = stage.ends("remade", "Completed")
    assert second["jobRef"]["uid"] != first["jobRef"]["uid"]
    assert second["taskKey"] == first["taskKey"]
    assert second["artifacts"] == first["artifacts"]
    assert condition(second, "Succeeded")["reason"] == "ResultReused"
    assert templates(stage.findings(second)) == sorted(EXPOSED)
    assert set(stage.requests("remade").values()) == {1}


def test_a_rerun_scans_again_on_purpose_and_keeps_the_former_result(stage: Stage) -> None:
    stage.web_application("rerun")
    stage.apply(stage.plan("rerun", "rerun"))
    first = stage.ends("rerun", "Completed")
    stage.patch("rerun", rerun="second")
    second = stage.ends("rerun", "Completed")
    assert second["taskKey"] != first["taskKey"]
    assert templates(stage.findings(second)) == templates(stage.findings(first)) == sorted(EXPOSED)
    assert set(stage.requests("rerun").values()) == {2}


def test_a_finished_job_that_is_cleaned_up_is_not_made_again(stage: Stage) -> None:
    stage.web_application("tidied")
    stage.apply(stage.plan("tidied", "tidied"))
    before = stage.ends("tidied", "Completed")
    stage.kubectl("delete", "job", before["jobRef"]["name"], "--cascade=foreground")
    stage.patch("tidied", priority=9)
    stage.until(lambda: stage.status("tidied")["observedGeneration"] > before["observedGeneration"])
    after = stage.ends("tidied", "Completed")
    assert not stage.jobs("tidied")
    assert after["artifacts"] == before["artifacts"]
    assert set(stage.requests("tidied").values()) == {1}


def test_an_edited_plan_gives_up_the_scan_that_nobody_wants_any_more(stage: Stage) -> None:
    stage.gate("unwanted")
    stage.apply(stage.gated("edited", "unwanted"))
    stage.until(lambda: stage.asked("unwanted"))
    former = stage.reaches("edited", "Running")["jobRef"]
    stage.patch("edited", endpoints=[stage.endpoint("app")])
    status = stage.ends("edited", "Completed")
    assert templates(stage.findings(status)) == sorted(EXPOSED)
    assert former["uid"] not in {job["metadata"]["uid"] for job in stage.jobs()}
    stage.until(lambda: not stage.kubectl.get("pods", "-l", f"scanplan.dev/task={former['name']}")["items"])
