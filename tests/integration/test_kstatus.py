"""What Argo CD, Flux and `kubectl` plug-ins make of a plan: the real kstatus library over every status that these tests have seen.

It comes after all other tests (see conftest), and makes the phases that it needs by itself when it runs alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scanplan.api.documents.words import ErrorClass
from scanplan.api.exit_codes import ExitCode
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scanplan import Phase
from tests.fixtures.operators import StartOperator
from tests.integration import kstatus, reports
from tests.integration.conftest import watched_events
from tests.integration.scene import Scene

pytestmark = pytest.mark.integration

EXPECTED = {
    Phase.PENDING: "InProgress",
    Phase.QUEUED: "InProgress",
    Phase.RUNNING: "InProgress",
    Phase.RETRYING: "InProgress",
    Phase.COMPLETED: "Current",
    Phase.SUSPENDED: "Current",
    Phase.CANCELLED: "Current",
    Phase.FAILED: "Failed",
}
"""The table of docs/design.md."""


def expected(plan: dict[str, Any]) -> str:
    """Of one state of a plan; one that the operator has not seen yet is in progress whatever it was before."""
    if "deletionTimestamp" in plan["metadata"]:
        return "Terminating"
    if plan["status"]["observedGeneration"] != plan["metadata"]["generation"]:
        return "InProgress"
    if Reason.OUTSIDE_WINDOW in {each["reason"] for each in plan["status"]["conditions"]}:
        return "InProgress"  # suspended by nobody: it goes on by itself
    return EXPECTED[Phase(plan["status"]["phase"])]


@pytest.fixture
def every_phase(alone: Scene, start_operator: StartOperator) -> None:
    """A plan in each phase, so that none is missing whatever other tests have run."""
    alone.apply("new")  # seen by no operator yet
    start_operator(WORKER_CONCURRENCY="2")
    alone.complete("new")
    alone.apply("suspended", suspend=True)
    alone.phase("Suspended", "suspended")
    alone.apply("cancelled", cancel=True)
    alone.phase("Cancelled", "cancelled")
    alone.apply("failed", endpoints=["http://127.0.0.1"])
    alone.phase("Failed", "failed")
    alone.apply("retrying", runId="retrying")
    alone.phase("Running", "retrying")
    error = reports.failed(ErrorClass.TEMPORARY, Reason.NETWORK_UNAVAILABLE, "no route")
    (pod,) = alone.run("retrying")
    alone.kubelet.end(pod, ExitCode.TEMPORARY, error)
    alone.phase("Retrying", "retrying")
    alone.apply("running", runId="running")
    alone.phase("Running", "running")
    alone.apply("queued", runId="queued")
    alone.phase("Queued", "queued")


def test_kstatus_agrees_on_every_status(every_phase: None, alone: Scene, statuses: Path) -> None:
    """Lost otherwise: health in Argo CD, `dependsOn` in Flux, and their waits that end when a scan has ended."""
    del every_phase
    version = int(alone.plan("queued")["metadata"]["resourceVersion"])

    def seen() -> list[dict[str, Any]]:
        plans = [event["object"] for event in watched_events(statuses) if event["type"] in {"ADDED", "MODIFIED"}]
        return plans if any(int(plan["metadata"]["resourceVersion"]) >= version for plan in plans) else []

    plans: list[dict[str, Any]] = alone.eventually(seen)
    assert not [plan for plan in plans if "status" not in plan]
    assert {Phase(plan["status"]["phase"]) for plan in plans} == set(Phase)
    wrong = {
        (computed, expected(plan), plan["metadata"]["namespace"], plan["metadata"]["name"], str(plan["status"]))
        for plan, computed in zip(plans, kstatus.compute(plans), strict=True)
        if computed != expected(plan)
    }
    assert not wrong
