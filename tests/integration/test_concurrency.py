"""The slots of a namespace: WORKER_CONCURRENCY Jobs at once, and who comes next."""

from __future__ import annotations

import pytest

from scanplan.api.documents.words import ErrorClass
from scanplan.api.exit_codes import ExitCode
from scanplan.api.v1alpha1.conditions import Reason
from tests.fixtures.operators import StartOperator
from tests.integration import reports
from tests.integration.scene import Scene, condition

pytestmark = pytest.mark.integration


def fill(scene: Scene, *names: str) -> None:
    """Plans that take all the slots."""
    for name in names:
        scene.apply(name, runId=name)
        scene.phase("Running", name)


def queue(scene: Scene, **priorities: int) -> None:
    """Plans that find no slot, oldest first; by names in that order too, because ages are whole seconds."""
    for name, priority in priorities.items():
        scene.apply(name, runId=name, priority=priority)
        scene.phase("Queued", name)


def jobs_of(scene: Scene) -> set[str]:
    """The plans that have Jobs at work."""
    return {
        job["metadata"]["ownerReferences"][0]["name"] for job in scene.jobs() if not job["status"].get("conditions")
    }


def test_five_plans_take_turns_on_two_slots(alone: Scene, start_operator: StartOperator) -> None:
    """Lost otherwise: a network that stands the load, and the urgent scan that goes before the nightly ones."""
    start_operator(WORKER_CONCURRENCY="2")
    fill(alone, "first", "second")
    queue(alone, a=5, b=5, urgent=9)
    status = alone.plan("a")["status"]
    assert "2 slots" in condition(status, "Ready")["message"]
    assert condition(status, "Reconciling")["reason"] == "Queued"
    assert len(alone.jobs()) == 2

    alone.complete("first")
    alone.phase("Running", "urgent")
    assert alone.plan("a")["status"]["phase"] == alone.plan("b")["status"]["phase"] == "Queued"

    (pod,) = alone.run("second")  # a scan that fails frees its slot, as one that completes
    error = reports.failed(ErrorClass.FATAL, Reason.TEMPLATES_NOT_FOUND, "none")
    alone.kubelet.end(pod, ExitCode.FATAL, error)
    alone.phase("Failed", "second")
    alone.phase("Running", "a")
    assert alone.plan("b")["status"]["phase"] == "Queued"

    for name in ("urgent", "a", "b"):
        alone.complete(name)
    assert alone.writes().count("create jobs") == 5
    assert alone.writes().count("patch scanplans/status") == 2 * 5 + 3  # running and end; the wait of three


def test_a_raised_priority_goes_before(alone: Scene, start_operator: StartOperator) -> None:
    """Lost otherwise: a word with the queue after a plan has been applied."""
    start_operator(WORKER_CONCURRENCY="1")
    fill(alone, "first")
    queue(alone, a=5, b=5)
    alone.edit("b", priority=8)
    alone.phase("Queued", "b")
    alone.complete("first")
    alone.phase("Running", "b")
    assert alone.plan("a")["status"]["phase"] == "Queued"


def test_the_queue_outlives_the_operator(alone: Scene, start_operator: StartOperator) -> None:
    """Lost otherwise: limits and order, at every restart."""
    operator = start_operator(WORKER_CONCURRENCY="1")
    fill(alone, "first")
    queue(alone, a=1, b=2)
    operator.kill()
    start_operator(WORKER_CONCURRENCY="1")
    alone.complete("first")
    alone.phase("Running", "b")
    assert jobs_of(alone) == {"b"}


def test_suspended_cancelled_and_deleted_plans_hold_no_slot(alone: Scene, start_operator: StartOperator) -> None:
    """Lost otherwise: everybody's scans, by one plan that is paused for a week."""
    start_operator(WORKER_CONCURRENCY="1")
    fill(alone, "a")
    queue(alone, b=5, c=5, d=5)
    alone.edit("a", suspend=True)
    alone.phase("Running", "b")
    alone.phase("Suspended", "a")
    alone.edit("a", suspend=False)  # it has to wait for its turn again
    alone.phase("Queued", "a")
    alone.edit("c", cancel=True)
    alone.phase("Cancelled", "c")
    alone.delete("b")
    alone.phase("Running", "a")  # it is the oldest
    assert alone.plan("d")["status"]["phase"] == "Queued"
    alone.complete("a")
    alone.complete("d")
