"""ScanExceptions on a real API server: what the definition refuses, what pods get, and conditions that stay true."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scanplan.api import labels
from scanplan.api.documents.report import AppliedExceptions, ExceptionUse, FindingCounts
from scanplan.findings.exceptions import Handed, read_handed
from tests.fixtures.operators import StartOperator
from tests.integration.scene import Scene, condition, condition_types
from tests.kubectl import KubectlError, Manifest

EXCEPTIONS = "/apis/scanplan.dev/v1alpha1/namespaces/{}/scanexceptions"


def ahead(**parts: float) -> str:
    """A time from now on."""
    return (datetime.now(UTC) + timedelta(**parts)).strftime("%Y-%m-%dT%H:%M:%SZ")


def manifest(name: str = "known", **spec: Any) -> Manifest:
    return {
        "apiVersion": "scanplan.dev/v1alpha1",
        "kind": "ScanException",
        "metadata": {"name": name},
        "spec": {"match": {"templates": ["git-config"]}, "reason": "a test", "expiresAt": ahead(days=30), **spec},
    }


def get(scene: Scene, name: str = "known") -> dict[str, Any]:
    found = scene.api.get(f"{EXCEPTIONS.format(scene.namespace)}/{name}")
    assert found
    return found


def state(scene: Scene, expected: str, name: str = "known") -> dict[str, Any]:
    """Wait for the reason of Ready; returns the status."""
    seen: dict[str, Any] = {}

    def reached() -> bool:
        seen.update(get(scene, name))
        conditions = {each["type"]: each for each in seen["status"].get("conditions", ())}
        current = seen["status"]["observedGeneration"] == seen["metadata"]["generation"]
        return bool(current and conditions["Ready"]["reason"] == expected)

    try:
        scene.eventually(reached)
    except AssertionError:
        raise AssertionError(f"{name} is still {seen['status']}") from None
    status: dict[str, Any] = seen["status"]
    return status


def handed(scene: Scene, job: str) -> Handed | None:
    """The exceptions that the pods of a Job get."""
    found = scene.job(job)
    assert found
    text = found["spec"]["template"]["metadata"]["annotations"].get(labels.EXCEPTIONS)
    return read_handed(text.encode()) if text else None


def scan(scene: Scene, name: str, used: dict[str, int], findings: FindingCounts) -> dict[str, Any]:
    """A scan in whose result exceptions match so many findings; the plan's status."""
    scene.apply(name, runId=name)
    given = handed(scene, scene.started(name))
    assert given
    suppressed = FindingCounts(high=max(used.values(), default=0))
    uses = tuple(ExceptionUse(name=each, findings=count) for each, count in used.items())
    applied = AppliedExceptions(time=given.time.isoformat(), suppressed=suppressed, used=uses)
    return scene.complete(name, findings=findings, exceptions=applied)


@pytest.mark.parametrize(
    "wrong",
    [
        manifest(match={}),
        manifest(match={"templates": [], "hosts": []}),
        manifest(match={"templates": ["x"] * 51}),
        manifest(match={"templates": ["(a|b)"]}),
        manifest(match={"hosts": ["^example$"]}),
        manifest(match={"paths": ["no-slash"]}),
        manifest(match={"fingerprints": ["not hex"]}),
        manifest(match={"templates": [""]}),
        manifest(reason=""),
        manifest(reason=" \n "),
        manifest(status="Whatever"),
        manifest(expiresAt="tomorrow"),
        manifest(expiresAt="2026-12-24"),
        manifest("x" * 64),
        {**manifest(), "spec": {"match": {"hosts": ["a"]}, "expiresAt": ahead(days=1)}},
        {**manifest(), "spec": {"match": {"hosts": ["a"]}, "reason": "no end"}},
    ],
    ids=lambda wrong: json.dumps(wrong["spec"])[:70],
)
def test_what_the_definition_refuses(alone: Scene, wrong: Manifest) -> None:
    """Lost otherwise: decisions without a reason or an end, or patterns that match nothing and look as if they did."""
    with pytest.raises(KubectlError):
        alone.kubectl.apply(wrong)


def test_a_namespace_without_exceptions_costs_its_pods_nothing(scene: Scene) -> None:
    scene.apply()
    assert handed(scene, scene.started()) is None
    assert "exceptions" not in scene.complete()


def test_pods_get_the_exceptions_of_their_namespace_and_the_status_counts_them(scene: Scene) -> None:
    """The whole way: an exception, a scan that knows it, the plan's counts, and the exception's own conditions."""
    scene.kubectl.apply(manifest(owner="team", reason="not for the pods"))
    scene.kubectl.apply(manifest("other", match={"hosts": ["*.example.org"]}))
    scene.kubectl.apply(manifest("everything", match={"templates": ["*"]}))
    assert state(scene, "NoResultYet")["observedTime"]
    assert "TooWide" in condition_types(state(scene, "TooWide", "everything"))
    status = scan(scene, "first", {"known": 2}, FindingCounts(high=3, low=1))
    assert (status["findings"]["total"], status["findings"]["suppressed"]) == (4, 2)
    assert status["findings"]["suppressedBySeverity"] == {"high": 2}
    assert status["exceptions"]["used"] == [{"name": "known", "findings": 2}]
    given = handed(scene, scene.job_of("first")["metadata"]["name"])
    assert given
    assert {each.name for each in given.exceptions} == {"known", "other", "everything"}
    assert {each.reason for each in given.exceptions} == {""}
    found = state(scene, "InForce")
    assert (found["findings"], found["plans"]) == (2, 1)
    assert condition_types(found) == {"Ready"}
    assert "Unused" in condition_types(state(scene, "Unused", "other"))
    scan(scene, "second", {"known": 4, "other": 1}, FindingCounts(high=4))
    scene.eventually(lambda: get(scene)["status"]["findings"] == 6)
    assert state(scene, "InForce", "other")["findings"] == 1
    scene.delete("first")
    scene.eventually(lambda: get(scene)["status"]["findings"] == 4)
    assert "TooWide" in condition_types(state(scene, "TooWide"))


def test_an_end_that_comes_is_told_without_any_event(scene: Scene) -> None:
    """Lost otherwise: a condition that says in force for as long as nobody touches anything."""
    scene.kubectl.apply(manifest(expiresAt=ahead(seconds=6)))
    state(scene, "NoResultYet")
    found = state(scene, "Expired")
    assert condition(found, "Ready")["status"] == "True"
    scene.apply()
    assert handed(scene, scene.started()) is None
    scene.kubectl.apply(manifest(expiresAt=ahead(days=3)))
    assert condition_types(state(scene, "NoResultYet")) == {"Ready"}


def test_the_owner_bounds_how_long_a_risk_may_be_accepted(alone: Scene, start_operator: StartOperator) -> None:
    start_operator(SCANPLAN_EXCEPTION_MAX_DAYS="30")
    alone.kubectl.apply(manifest("long", expiresAt=ahead(days=31)))
    alone.kubectl.apply(manifest("short", expiresAt=ahead(days=29)))
    found = state(alone, "ExpiresTooLate", "long")
    assert condition(found, "Stalled")["status"] == "True"
    state(alone, "NoResultYet", "short")
    alone.apply()
    given = handed(alone, alone.started())
    assert given
    assert [each.name for each in given.exceptions] == ["short"]


def test_conditions_are_written_once_a_change_and_not_by_plans(scene: Scene) -> None:
    """Lost otherwise: an API server that is busy with bookkeeping while thousands of plans run."""
    scene.kubectl.apply(manifest())
    state(scene, "NoResultYet")
    for name in ("one", "two", "three"):
        scan(scene, name, {"known": 1}, FindingCounts(high=2))
    scene.eventually(lambda: get(scene)["status"]["findings"] == 3)
    writes = [each for each in scene.writes() if "scanexceptions" in each]
    assert 2 <= len(writes) <= 4
    assert set(writes) == {"patch scanexceptions/status"}


def test_a_restart_keeps_what_is_known(alone: Scene, start_operator: StartOperator) -> None:
    """Lost otherwise: an exception that is told as unused, or as new, after each update of the operator."""
    operator = start_operator()
    alone.kubectl.apply(manifest())
    before = state(alone, "NoResultYet")
    scan(alone, "first", {"known": 1}, FindingCounts(high=2))
    state(alone, "InForce")
    operator.stop()
    start_operator()
    alone.kubectl.apply(manifest("later", match={"hosts": ["x"]}))
    state(alone, "NoResultYet", "later")
    assert state(alone, "InForce")["observedTime"] == before["observedTime"]
