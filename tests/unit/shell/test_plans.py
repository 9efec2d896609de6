"""Plans that have ended are folded away, and nobody who asks for one can tell."""

from __future__ import annotations

from typing import Any

import pytest

from scanplan.controller.cache.plans import Plans
from scanplan.controller.engine.workqueue import PlanName

A = PlanName("team", "alpha")
RUNNING = {"phase": "Running", "taskId": "scan-1"}
COMPLETED = {
    "phase": "Completed",
    "taskId": "scan-1",
    "completionTime": "2026-11-24T06:10:00Z",
    "findings": {"high": 2},
}
UNREADABLE = {"endpoints": 7}


def body(
    status: dict[str, Any], version: int = 1, generation: int = 1, spec: dict[str, Any] | None = None
) -> dict[str, Any]:
    metadata = {
        "namespace": A.namespace,
        "name": A.name,
        "uid": "uid-1",
        "generation": generation,
        "resourceVersion": str(version),
        "creationTimestamp": "2026-11-24T06:00:00Z",
        "managedFields": [{"manager": "kubectl"}],
    }
    return {
        "metadata": metadata,
        "spec": {"endpoints": ["https://a.example"], "templates": ["http/"]} if spec is None else spec,
        "status": status,
    }


@pytest.mark.parametrize("status", [RUNNING, COMPLETED])
@pytest.mark.parametrize("spec", [{"endpoints": ["https://a.example"], "templates": ["http/"]}, UNREADABLE])
def test_a_plan_is_what_was_put_in(status: dict[str, Any], spec: dict[str, Any]) -> None:
    plans = Plans()
    put = plans.put(body(status, spec=spec))
    assert plans[A] == put
    assert bool(put.problem) == (spec is UNREADABLE)
    assert plans.version(A) == ("uid-1", "1")


def test_a_plan_that_runs_again_comes_back_whole() -> None:
    plans = Plans()
    plans.put(body(COMPLETED))
    again = body(RUNNING, version=2, generation=2, spec={"endpoints": ["https://b.example"], "templates": ["http/"]})
    assert plans.put(again) == plans[A]
    assert plans[A].spec.endpoints == ["https://b.example"]


@pytest.mark.parametrize(("status", "unfinished"), [(RUNNING, [A]), ({}, [A]), (COMPLETED, [])])
def test_those_that_have_not_ended_are_told_from_the_others(status: dict[str, Any], unfinished: list[PlanName]) -> None:
    plans = Plans()
    plans.put(body(status))
    assert plans.unfinished() == unfinished


def test_the_spec_of_the_same_generation_is_read_once() -> None:
    plans = Plans()
    first = plans.put(body(RUNNING))
    assert plans.put(body({**RUNNING, "attempts": 2}, version=2)).spec is first.spec


def test_phases_are_counted_through_every_change() -> None:
    plans = Plans()
    plans.put(body({}))
    plans.put(body(RUNNING, version=2))
    plans.put(body(COMPLETED, version=3))
    assert {phase: count for phase, count in plans.phases.items() if count} == {"Completed": 1}
    plans.drop(A)
    plans.drop(A)
    assert not any(plans.phases.values())
    assert A not in plans
    assert plans.version(A) is None


def test_a_status_of_a_newer_version_stops_one_plan_and_is_said() -> None:
    """Lost otherwise: after a downgrade one plan with an unknown phase would end the operator, or be scanned again."""
    plans = Plans()
    plan = plans.put(body({**RUNNING, "phase": "Dreaming"}))
    assert plan.problem == "status.phase: not known to this version"
    assert plan.status.phase is None
