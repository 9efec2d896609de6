"""One suite for all queues: a program that changes TASK_QUEUE_TYPE changes nothing else."""

from __future__ import annotations

import hashlib

import pytest

from scanplan.api.documents.words import ErrorClass, Severity
from scanplan.api.errors import InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.client import findings, models
from scanplan.client.errors import InvalidPayload, UnknownTask, UnknownTaskType
from scanplan.client.models import SeverityCounts, TaskStatus
from tests.client.laboratory import Laboratory, at_once


def test_a_scan_gives_the_same_result_and_artifacts_everywhere(bench: Laboratory) -> None:
    plan = bench.plan()
    task_id = bench.submit(plan)
    result = bench.result(task_id)
    assert bench.queue.get_task_status(task_id) is TaskStatus.COMPLETED
    assert result.success
    assert (result.run_id, result.task_id, result.status, result.error) == (
        "nightly",
        task_id,
        TaskStatus.COMPLETED,
        None,
    )
    assert (result.endpoint_count, result.endpoints_scanned, result.endpoints_unreachable) == (1, 1, 0)
    assert result.finding_count == 14
    assert result.findings == SeverityCounts(critical=3, high=1, medium=3, low=3, info=4)
    assert result.complete
    names = {"nuclei_output.ndjson", "history.ndjson", "report.html", "scan_metadata.json"}
    assert {file.name for file in result.artifacts} == names
    assert result.artifact_path
    for file in result.artifacts:
        content = (bench.data / result.artifact_path / file.name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.bytes, file.sha256)
    first_version = bench.data / "ui_projects/nightly/artifacts/nuclei_output.ndjson"
    assert first_version.samefile(bench.data / result.artifact_path / "nuclei_output.ndjson")


def test_findings_are_in_the_projects_store(bench: Laboratory) -> None:
    bench.result(bench.submit(bench.plan()))
    stored = list(findings.stored_findings("acme"))
    assert len(stored) == 14
    assert {entry.first_run for entry in stored} == {"nightly"}


def test_the_same_plan_is_one_task_and_one_scan(bench: Laboratory) -> None:
    plan = bench.plan()
    task_id = bench.submit(plan)
    result = bench.result(task_id)
    before = bench.webapp.requests()
    respelled = bench.plan(endpoints=[bench.webapp.url + "/", bench.webapp.url], templates=["http/", "http/"])
    assert bench.submit(respelled) == task_id
    assert bench.result(task_id) == result
    assert bench.webapp.requests() == before


def test_many_submitters_at_once_start_one_scan(bench: Laboratory) -> None:
    plan = bench.plan(templates=[bench.template("one", path="/robots.txt")])
    before = bench.webapp.requests("/robots.txt")
    ids = at_once(100, lambda: bench.submit(plan))
    assert len(set(ids)) == 1
    assert bench.result(ids[0]).success
    assert bench.webapp.requests("/robots.txt") - before == 1  # the runner's own checks ask for other paths


def test_what_differs_in_severities_alone_is_another_task_of_the_run(bench: Laboratory) -> None:
    first = bench.submit(bench.plan(severity_levels=["critical"]))
    assert bench.result(first).finding_count == 3
    second = bench.submit(bench.plan(severity_levels=["high"]))
    assert second != first
    assert bench.result(second).finding_count == 1
    assert bench.result(first).finding_count == 3
    assert bench.queue.find_task("nightly") == second
    assert bench.queue.find_task("never") is None


@pytest.mark.parametrize("task_id", ["scan-00000000000000000000", "nightly", "", "../../etc/passwd", "a:b*"])
def test_a_task_that_nobody_knows_has_no_status(bench: Laboratory, task_id: str) -> None:
    with pytest.raises(UnknownTask):
        bench.queue.get_task_status(task_id)
    with pytest.raises(UnknownTask):
        bench.queue.get_task_result(task_id)
    with pytest.raises(UnknownTask):
        bench.queue.cancel_task(task_id)


def test_a_wrong_template_fails_at_once_with_words(bench: Laboratory) -> None:
    task_id = bench.submit(bench.plan(templates=["no-such-template.yaml"]))
    result = bench.result(task_id)
    assert bench.queue.get_task_status(task_id) is TaskStatus.FAILED
    assert not result.success
    assert (result.status, result.error_class, result.reason) == (
        TaskStatus.FAILED,
        ErrorClass.FATAL,
        Reason.TEMPLATES_NOT_FOUND,
    )
    assert result.error
    assert "no-such-template.yaml" in result.error
    assert result.artifact_path is None


def test_a_failed_task_runs_again_when_it_is_submitted_again(bench: Laboratory) -> None:
    plan = bench.plan(templates=["later.yaml"])
    task_id = bench.submit(plan)
    assert bench.result(task_id).status is TaskStatus.FAILED
    bench.template("later")
    assert bench.submit(plan) == task_id
    bench.until(task_id, TaskStatus.COMPLETED)
    assert bench.result(task_id).finding_count == 1


def test_a_running_scan_is_cancelled_and_keeps_what_it_has_found(bench: Laboratory) -> None:
    plan = bench.slow_plan()
    task_id = models.task_id_of(plan)
    submitted = bench.in_background(lambda: bench.submit(plan))
    bench.until(task_id, TaskStatus.RUNNING)
    bench.until_something_is_found()
    assert bench.queue.get_task_result(task_id) is None
    assert bench.queue.cancel_task(task_id)
    result = bench.result(task_id)
    assert submitted.result() == task_id
    assert (result.status, result.success, result.reason) == (TaskStatus.CANCELLED, False, Reason.CANCELLED)
    assert bench.queue.get_task_status(task_id) is TaskStatus.CANCELLED
    assert [finding["template-id"] for finding in bench.findings(result)] == ["first"]
    assert not result.complete
    assert not bench.queue.cancel_task(task_id)


def test_a_run_belongs_to_one_project(bench: Laboratory) -> None:
    bench.result(bench.submit(bench.plan()))
    result = bench.result(bench.submit(bench.plan(project_id="other")))
    assert (result.success, result.reason) == (False, Reason.RUN_ID_CONFLICT)


@pytest.mark.parametrize(
    "change",
    [
        {"run_id": "a/b"},
        {"endpoints": []},
        {"endpoints": "http://a.example"},
        {"templates": ["../x"]},
        {"severity_levels": ["grave"]},
        {"priority": 11},
        {"task_key": "scan:other"},
    ],
)
def test_what_is_no_plan_is_refused(bench: Laboratory, change: dict[str, object]) -> None:
    with pytest.raises(InvalidPayload):
        bench.queue.submit_task("scan", {**models.payload_of(bench.plan()), **change})


def test_what_may_not_be_scanned_is_refused_before_anything_runs(bench: Laboratory) -> None:
    for endpoint in ("http://denied.example/", "10.0.0.0/8"):
        with pytest.raises(InvalidPlan):
            bench.queue.submit_task("scan", {**models.dump(bench.plan()), "endpoints": [endpoint]})


def test_there_are_only_scans(bench: Laboratory) -> None:
    with pytest.raises(UnknownTaskType):
        bench.queue.submit_task("report", models.payload_of(bench.plan()))


def test_health_counts_what_has_failed(bench: Laboratory) -> None:
    bench.result(bench.submit(bench.plan(templates=["no-such-template.yaml"])))
    bench.result(bench.submit(bench.plan(severity_levels=[Severity.HIGH])))
    health = bench.queue.health()
    assert (health.queue_size, health.failed_jobs) == (0, 1)
