"""Plans whose Jobs wait for Kueue: what their status says, and what is asked of Kueue."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scanplan.core.observed.jobs import JobCondition, JobView
from scanplan.core.observed.workloads import NOT_FOUND, WorkloadView, workload_view
from scanplan.core.planning.task import Plan
from scanplan.core.reconcile.decision import Act, DeleteJob, NeedWorkload, SetAdmission, Write
from tests.unit.core.objects import ago, condition, job, plan, running_status
from tests.unit.core.reconcile.test_reconcile import actions_of, decide, rest, written

QUEUE = "security"


def queued(of: Plan | None = None, **changes: Any) -> JobView:
    """A Job that Kueue has not admitted yet."""
    waiting: dict[str, Any] = {"suspended": True, "active": 0, "ready": 0, "start_time": None, "queue_name": QUEUE}
    made = job(of, **{**waiting, "is_suspended": JobCondition("JobSuspended", "", ago(60)), **changes})
    return replace(made, recorded=replace(made.asked, suspend=None))


def message(*, workload: WorkloadView | None, **changes: Any) -> str:
    status = written(decide(plan(queueName=QUEUE), queued(**changes), workload=workload))
    assert status["phase"] == "Queued"
    return str(status["conditions"][0]["message"])


@pytest.mark.parametrize(
    ("workload", "said"),
    [
        (WorkloadView(waits_for="LocalQueue security doesn't exist"), "Kueue says: LocalQueue security doesn't exist"),
        (WorkloadView(waits_for="insufficient unused quota for cpu"), "insufficient unused quota for cpu"),
        (WorkloadView(active=False), "deactivated"),
        (NOT_FOUND, "Kueue has no Workload for it"),
        (WorkloadView(), "waiting for Kueue to admit the Job (LocalQueue security)"),
    ],
)
def test_a_queued_plan_says_what_kueue_waits_for(workload: WorkloadView, said: str) -> None:
    """Lost otherwise: hours, for a queue that does not exist."""
    assert said in message(workload=workload)


def test_kueue_is_asked_only_about_a_job_that_waits_for_some_seconds() -> None:
    """Lost otherwise: a request more for each Job that is admitted at once."""
    assert isinstance(decide(plan(queueName=QUEUE), queued(created=ago(1))), Write)
    assert decide(plan(queueName=QUEUE), queued()) == NeedWorkload(queued())


def test_and_less_and_less_often() -> None:
    decision = rest(decide(plan(queueName=QUEUE), queued(), workload=WorkloadView()))
    assert (decision.requeue_after, decision.requeue_max) == (10, 300)


@pytest.mark.parametrize(
    ("workload", "view"),
    [
        (None, NOT_FOUND),
        ({}, WorkloadView()),
        ({"spec": {"active": False}}, WorkloadView(active=False)),
        ({"status": {"conditions": [{"type": "QuotaReserved", "status": "True", "message": "m"}]}}, WorkloadView()),
        (
            {"status": {"conditions": [{"type": "QuotaReserved", "status": "False", "message": "x" * 9999}]}},
            WorkloadView(waits_for="x" * 512),
        ),
        ({"status": {"conditions": [{"type": "QuotaReserved", "status": "False"}]}}, WorkloadView()),
    ],
)
def test_what_is_read_of_a_workload(workload: dict[str, Any] | None, view: WorkloadView) -> None:
    assert workload_view(workload) == view


def test_a_plan_that_is_suspended_while_it_is_queued_is_not_admitted() -> None:
    """Lost otherwise: the owner's word, since Kueue scans what it has not been told about."""
    status = running_status(at=queued())
    first = actions_of(decide(plan(status, suspend=True, queueName=QUEUE), queued()))
    assert SetAdmission(queued(), active=False) in first
    held = replace(queued(), recorded=replace(queued().asked, deactivated=True))
    decision = decide(plan(status, suspend=True, queueName=QUEUE), held, admissions={held.uid: False})
    assert written(decision)["phase"] == "Suspended"


def test_a_queued_plan_that_is_cancelled_starts_no_collector_and_keeps_no_findings() -> None:
    """Lost otherwise: a pod's time, and the truth about findings that nobody can have found."""
    status = written(decide(plan(queueName=QUEUE), queued(), workload=WorkloadView()))
    cancelled = plan(status, cancel=True, queueName=QUEUE)
    decision = decide(cancelled, queued())
    assert isinstance(decision, Act)
    assert decision.actions == (DeleteJob(queued(), unchanged=True),)
    assert written(decide(cancelled, queued(deleting=True, deleting_since=ago(1))))["phase"] == "Pending"
    after = written(decide(cancelled))
    assert (after["phase"], after["conditions"][0]["message"]) == (
        "Cancelled",
        "cancelled on request before it started",
    )


@pytest.mark.parametrize(
    "admitted",
    [
        {"start_time": None, "is_suspended": JobCondition("JobSuspended", "", ago(60))},
        {"start_time": ago(1), "is_suspended": None},
    ],
    ids=["resumed a moment ago", "started a moment ago"],
)
def test_an_admission_after_a_long_wait_costs_no_write_before_the_pods_start(admitted: dict[str, Any]) -> None:
    """Lost otherwise: a write for each admission, which says Pending for a moment."""
    status = written(decide(plan(queueName=QUEUE), queued(created=ago(600)), workload=WorkloadView()))
    job_then = queued(suspended=False, created=ago(600), **admitted)
    decision = rest(decide(plan(status, queueName=QUEUE), job_then))
    assert decision.status is None
    assert decision.requeue_after


@pytest.mark.parametrize("stopping", [{"active": 1, "ready": 1}, {"terminating": 1}])
def test_a_preempted_plan_whose_pod_still_runs_is_not_queued(stopping: dict[str, Any]) -> None:
    """Lost otherwise: the word that nothing is sent any more, while it is."""
    status = written(decide(plan(running_status(), queueName=QUEUE), queued(**stopping)))
    assert (status["phase"], status["conditions"][0]["message"]) == ("Running", "stopping 1 pods")


@pytest.mark.parametrize(
    ("asked", "told"), [(1, True), (2, False), (9, False)], ids=["fewer", "as it is", "more than shards"]
)
def test_parallelism_of_a_queued_job_is_for_the_next_run(asked: int, told: bool) -> None:
    """Lost otherwise: an edit that the page calls live, and that nothing comes of."""
    spec = {"maxEndpointsPerShard": 1}
    edited = plan(queueName=QUEUE, deadlineSeconds=3600, sharding={**spec, "parallelism": asked})
    made = queued(edited)
    made = replace(made, recorded=replace(made.asked, deadline_seconds=3600))
    status = written(decide(edited, made, workload=WorkloadView()))
    assert ("AppliesNextRun" in {each["type"] for each in status["conditions"]}) is told
    if told:
        assert condition(status, "AppliesNextRun") == ("True", "SpecEdited")
