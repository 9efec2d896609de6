"""Plans are folded away, and nobody who asks for one can tell; those that are too long are not kept."""

from __future__ import annotations

import random
import sys
from typing import Any

import pytest

from scanplan.api import labels
from scanplan.controller.cache.plans import RECENT, Plans
from scanplan.controller.engine.workqueue import ObjectName
from scanplan.core.planning.task import Plan

A = ObjectName("team", "alpha")
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


def put(plans: Plans, body: dict[str, Any]) -> Plan:
    return plans.put(ObjectName(body["metadata"]["namespace"], body["metadata"]["name"]), body)


@pytest.mark.parametrize("status", [RUNNING, COMPLETED])
@pytest.mark.parametrize("spec", [{"endpoints": ["https://a.example"], "templates": ["http/"]}, UNREADABLE])
def test_a_plan_is_what_was_put_in(status: dict[str, Any], spec: dict[str, Any]) -> None:
    plans = Plans()
    known = put(plans, body(status, spec=spec))
    assert plans[A] == known
    assert bool(known.problem) == (spec is UNREADABLE)
    assert plans.version(A) == ("uid-1", "1")


@pytest.mark.parametrize("field", ["labels", "annotations", "ownerReferences"])
def test_no_metadata_stops_the_view_of_a_plan(field: str) -> None:
    """Lost otherwise: a plan that is never looked at."""
    owner = {"apiVersion": labels.API_VERSION, "kind": labels.SCHEDULE_KIND, "controller": True}
    odd = body(RUNNING)
    odd["metadata"] |= {"ownerReferences": [owner], field: None}
    assert put(Plans(), odd).name == A.name


@pytest.mark.parametrize("field", ["spec", "status"])
@pytest.mark.parametrize("other", ["text", 7, [None], ["text"], None, [], {}], ids=repr)
def test_no_spec_or_status_stops_the_view_of_a_plan(field: str, other: Any) -> None:
    """Lost otherwise: a plan that is never looked at, and never told why."""
    plan = put(Plans(), {**body(RUNNING), field: other})
    assert bool(plan.problem if field == "spec" else plan.unreadable) == bool(other)


def test_a_plan_that_runs_again_comes_back_whole() -> None:
    plans = Plans()
    put(plans, body(COMPLETED))
    again = body(RUNNING, version=2, generation=2, spec={"endpoints": ["https://b.example"], "templates": ["http/"]})
    assert put(plans, again) == plans[A]
    assert plans[A].spec.endpoints == ["https://b.example"]


@pytest.mark.parametrize(("status", "unfinished"), [(RUNNING, [A]), ({}, [A]), (COMPLETED, [])])
def test_those_that_have_not_ended_are_told_from_the_others(
    status: dict[str, Any], unfinished: list[ObjectName]
) -> None:
    plans = Plans()
    put(plans, body(status))
    assert plans.unfinished() == unfinished


def test_the_spec_of_the_same_generation_is_read_once() -> None:
    plans = Plans()
    first = put(plans, body(RUNNING))
    assert put(plans, body({**RUNNING, "attempts": 2}, version=2)).spec is first.spec


def test_phases_are_counted_through_every_change() -> None:
    plans = Plans()
    put(plans, body({}))
    put(plans, body(RUNNING, version=2))
    put(plans, body(COMPLETED, version=3))
    assert {phase: count for phase, count in plans.phases.items() if count} == {"Completed": 1}
    plans.drop(A)
    plans.drop(A)
    assert not any(plans.phases.values())
    assert A not in plans
    assert plans.version(A) is None


def test_a_status_of_a_newer_version_stops_one_plan_and_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """Lost otherwise: after a downgrade one plan with an unknown phase would end the operator, or be scanned again."""
    plans = Plans()
    plan = put(plans, body({**RUNNING, "phase": "Dreaming"}))
    assert (plan.problem, plan.unreadable) == ("", "status.phase: not known to this version")
    assert plan.status.phase is None
    assert plans[A].unreadable
    assert caplog.text.count("status.phase: not known to this version") == 1


def test_what_an_older_version_knows_of_a_status_is_read() -> None:
    """Lost otherwise: after a downgrade a schedule waits for a run that has ended."""
    exports = [{"name": "bucket", "digest": "d", "at": "", "reason": "Later", "state": "Deferred"}]
    plan = put(Plans(), body({**COMPLETED, "exports": exports}))
    assert "status.exports.0.state: not known to this version" in plan.unreadable
    assert plan.status.ended
    assert plan.status.findings
    assert not plan.status.exports


CHANCE = random.Random(7)  # noqa: S311 - no secret depends on it
NOISE = ["".join(CHANCE.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=1_200)) for _ in range(1_000)]
"""Endpoints that no compression makes shorter than three quarters."""
WISHES = {
    "priority": 9,
    "suspend": True,
    "ttlSecondsAfterFinished": 300,
    "deadlineSeconds": 7_200,
    "sharding": {"parallelism": 7},
    "retry": {"temporary": 5},
    "timeoutSeconds": 60,
    "queueName": "team",
    "windows": [
        {"days": ["Mon-Tue", "Wed", "Thu-Fri"], "from": "22:00", "to": f"06:{minute}"} for minute in range(10, 26)
    ],
}


def named(name: str, spec: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    made = body(status, spec=spec)
    made["metadata"] |= {"name": name, "uid": f"uid-{name}"}
    return made


def kept_bytes(plans: Plans) -> int:
    """What the folded plans take."""
    return sum(sys.getsizeof(part) for folded in plans._plans.values() for part in folded)


@pytest.mark.parametrize("status", [{}, {"phase": "Suspended"}, {"phase": "Queued"}, {"phase": "Failed"}, COMPLETED])
@pytest.mark.parametrize(
    ("spec", "much"),
    [
        ({"endpoints": NOISE, "templates": ["t"]}, {}),
        ({"endpoints": ["a.example"], "templates": ["t"], "podTemplate": {"affinity": {"a": [{}] * 300_000}}}, {}),
        ({"endpoints": ["a.example"], "templates": ["t"]}, {"scanner": {"image": "x" * 1_000_000}}),
        ({"endpoints": ["a.example"], "templates": ["t"]}, {"phase": "x" * 1_000_000}),
    ],
    ids=["endpoints", "affinity", "status", "phase"],
)
def test_a_plan_that_is_very_long_takes_next_to_nothing(
    status: dict[str, Any], spec: dict[str, Any], much: dict[str, Any]
) -> None:
    """Lost otherwise: two hundred such plans, and the operator of all teams with them."""
    plans = Plans()
    for number in range(20):
        put(plans, named(f"plan-{number}", {**spec, **WISHES}, {**status, **much}))
    assert kept_bytes(plans) / len(plans) < 4_096
    assert not plans._recent
    assert plans.left_out(ObjectName("team", "plan-0")) > 900_000


def test_others_see_the_wishes_of_a_plan_that_is_not_kept() -> None:
    """Lost otherwise: a shared Job that is resumed or cut short against the wish of its other owner."""
    plans = Plans()
    short = put(plans, named("short", {"endpoints": ["a.example"], "templates": ["t"], **WISHES}, RUNNING))
    put(plans, named("long", {"endpoints": NOISE, "templates": ["t"], **WISHES}, RUNNING))
    brief = plans.brief(ObjectName("team", "long"))
    assert not brief.problem
    fields = ("priority", "suspend", "ttl_seconds_after_finished", "deadline_seconds", "sharding", "retry")
    for field in (*fields, "timeout_seconds", "queue_name", "cancel", "windows"):
        assert getattr(brief.spec, field) == getattr(short.spec, field), field
    assert brief.status.phase == "Running"


def test_only_some_plans_are_kept_as_objects_however_many_there_are() -> None:
    """Lost otherwise: a third of the memory limit to ten thousand plans that wait."""
    plans = Plans()
    for number in range(RECENT + 50):
        put(plans, named(f"plan-{number}", {"endpoints": ["a.example"], "templates": ["t"]}, RUNNING))
    assert len(plans._recent) == RECENT
    assert plans[ObjectName("team", "plan-0")].status.phase == "Running"
    assert len(plans.unfinished()) == RECENT + 50


def test_plans_with_windows_are_known_until_they_end() -> None:
    """Lost otherwise: a scan through the day, where a clock was set while the operator waited for an evening."""
    plans = Plans()
    windows = {"endpoints": ["a.example"], "templates": ["t"], "windows": [{"from": "22:00", "to": "06:00"}]}
    put(plans, named("windows", windows, RUNNING))
    put(plans, named("none", {**windows, "windows": []}, RUNNING))
    assert plans.with_windows() == [ObjectName("team", "windows")]
    ended = {**RUNNING, "phase": "Completed", "completionTime": "2026-11-27T02:00:00Z"}
    put(plans, named("windows", windows, ended))
    assert plans.with_windows() == []


@pytest.mark.parametrize("endpoints", [1, 900])
def test_a_run_keeps_the_digest_of_its_templates(endpoints: int) -> None:
    """Else each restart takes its templates for changed ones, and a schedule scans again."""
    spec = {"endpoints": [f"https://h{n}.example/{'x' * 100}" for n in range(endpoints)], "templates": ["http/"]}
    run = body(RUNNING, spec=spec)
    owner = {"apiVersion": "scanplan.dev/v1alpha1", "kind": "ScanSchedule", "name": "nightly", "uid": "s"}
    run["metadata"]["ownerReferences"] = [owner | {"controller": True}]
    run["metadata"]["annotations"] = {"scanplan.dev/templates-digest": "abc", "other": "x" * 1000}
    plans = Plans()
    put(plans, run)
    for found in (plans[A], plans.brief(A)):
        assert found.schedule
        assert found.schedule.templates == "abc"
