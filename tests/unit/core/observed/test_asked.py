"""What was asked of a Job: the record that keeps the operator from writing a field twice, and survives a restart."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from scanplan.core.observed.asked import Asked
from scanplan.core.observed.jobs import JobCondition
from scanplan.core.observed.workloads import NOT_FOUND
from scanplan.core.reconcile.decision import Act, Action, PatchJob, SetAdmission, Write
from tests.unit.core.objects import ago, job, plan, running_status
from tests.unit.core.reconcile.test_reconcile import decide

RECORD = replace(job().asked, suspend=False)


def actions(decision: object) -> list[Action]:
    return list(decision.actions) if isinstance(decision, Act) else []


def test_a_record_is_read_as_it_was_written() -> None:
    for record in (RECORD, replace(RECORD, suspend=None, deactivated=True), Asked()):
        assert Asked.read(record.annotation()) == record


@pytest.mark.parametrize(
    "text", [None, "", "x", "[]", "3", "{" * 500, "[" * 5000, json.dumps({"x": "y" * 2000})], ids=range(8)
)
def test_what_anybody_may_have_written_is_no_record(text: str | None) -> None:
    assert Asked.read(text) is None


@pytest.mark.parametrize("value", [-1, True, 1.5, "7", None, 2**40])
def test_values_of_another_kind_count_for_nothing(value: Any) -> None:
    assert Asked.read(json.dumps({"parallelism": value})) == Asked()


@pytest.mark.parametrize(
    "found",
    [{"ttl_seconds": 5}, {"deadline_seconds": 7}, {"parallelism": 1}, {"suspended": True, "active": 0, "ready": 0}],
)
def test_what_others_have_changed_is_not_written_back_but_told(found: dict[str, Any]) -> None:
    """Lost otherwise: the API server's time, for a fight without end."""
    decision = decide(plan(running_status()), job(recorded=RECORD, **found), workload=NOT_FOUND)
    assert isinstance(decision, Write)
    assert decision.status
    assert decision.status.condition("AdmissionChanged")


@pytest.mark.parametrize(
    "altered",
    [
        (),
        ("spec.template.spec.priorityClassName (added)",),
        tuple(f"spec.a[x, {n}; y]" for n in range(25)),
        tuple(f"metadata.annotations[{'a' * 300}{n}]" for n in range(25)),
    ],
    ids=["nothing else", "a field", "many fields", "more than a message holds"],
)
def test_what_is_told_of_changes_is_told_alike_until_it_is_over(altered: tuple[str, ...]) -> None:
    """Lost otherwise: a write for each look at the plan, and a condition that never goes."""
    found: dict[str, Any] = {"ttl_seconds": 5, "parallelism": 1}
    decision = decide(plan(running_status()), job(recorded=RECORD, altered=altered, **found), workload=NOT_FOUND)
    assert isinstance(decision, Write)
    assert decision.status
    told = decision.status.document()
    later = decide(plan(told), job(recorded=RECORD, **found), workload=NOT_FOUND)  # by another process
    assert isinstance(later, Write)
    assert later.status is None
    over = decide(plan(told), job(recorded=RECORD), workload=NOT_FOUND)
    assert isinstance(over, Write)
    assert over.status
    left = over.status.condition("AdmissionChanged")
    assert (left is not None) == bool(altered)
    assert left is None or "was asked" not in left.message


def test_a_suspended_plan_of_kueues_is_recorded_before_its_workload_is_deactivated() -> None:
    """Lost otherwise: the scan, which after a crash in between nobody would resume."""
    queued = job(queue_name="q", recorded=replace(RECORD, suspend=None), suspended=True, active=0, ready=0)
    record, admission = actions(decide(plan(running_status(), suspend=True, queueName="q"), queued))
    assert isinstance(record, PatchJob)
    assert json.loads(record.patch["metadata"]["annotations"]["scanplan.dev/asked"])["deactivated"] is True
    assert admission == SetAdmission(queued, active=False)


def test_a_new_operator_resumes_what_an_earlier_one_has_deactivated() -> None:
    queued = job(
        queue_name="q", recorded=replace(RECORD, suspend=None, deactivated=True), suspended=True, active=0, ready=0
    )
    admission, record = actions(decide(plan(running_status(), queueName="q"), queued))
    assert admission == SetAdmission(queued, active=True)
    assert isinstance(record, PatchJob)
    assert "deactivated" not in record.patch["metadata"]["annotations"]["scanplan.dev/asked"]


def test_a_job_without_a_queue_that_somebody_resumes_is_held_through_its_workload() -> None:
    resumed = job(recorded=replace(RECORD, suspend=True))
    assert SetAdmission(resumed, active=False) in actions(decide(plan(running_status(), suspend=True), resumed))


@pytest.mark.parametrize(
    ("changes", "never"),
    [
        ({"start_time": None, "active": 0, "ready": 0, "suspended": True}, True),
        ({"start_time": None, "active": 0, "ready": 0}, False),
        ({"active": 0, "ready": 0}, False),
        ({"start_time": None, "active": 1}, False),
        ({"start_time": None, "active": 0, "terminating": 1}, False),
        (
            {
                "start_time": None,
                "active": 0,
                "suspended": True,
                "is_suspended": JobCondition("JobSuspended", "", ago(10)),
            },
            False,
        ),
        (
            {
                "start_time": None,
                "active": 0,
                "suspended": True,
                "is_suspended": JobCondition("JobSuspended", "", ago(60)),
            },
            True,
        ),
    ],
)
def test_whether_a_job_can_have_published_anything(changes: dict[str, Any], never: bool) -> None:
    """Lost otherwise: findings of a Job that had run before it was suspended and cancelled."""
    assert job(**changes).never_ran is never
