"""Two replicas: one works, the other stands by and takes over, and no scan is run twice on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.deploy import SYSTEM_NAMESPACE
from tests.integration.scene import Scene
from tests.kubectl import Kubectl

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parent.parent.parent


ELECTION = {"SCANPLAN_LEADER_ELECTION": "true", "SCANPLAN_LEASE_NAMESPACE": SYSTEM_NAMESPACE}


def elect(administrator: Kubectl, start_operator: Callable[..., Any]) -> Any:
    """Start an operator that may have the lease, and works once nobody else does; returns its process."""
    administrator("apply", "--server-side", "-f", str(ROOT / "examples/install/leader-election.yaml"))
    return start_operator(**ELECTION)


def test_a_standby_takes_over_from_a_killed_leader(
    administrator: Kubectl, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    leader = elect(administrator, start_operator)
    alone.eventually(lambda: "leading" in leader.text())
    alone.apply()
    alone.phase("Running")
    job = alone.job_of()
    standby = elect(administrator, start_operator)
    alone.eventually(lambda: "standing by" in standby.text())
    assert "leading" not in standby.text()
    leader.kill()
    alone.eventually(lambda: "leading" in standby.text())
    assert alone.complete()["jobRef"]["uid"] == job["metadata"]["uid"], "the scan was started again"


def test_a_leader_that_was_stopped_for_too_long_makes_no_job(
    administrator: Kubectl, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    """Lost otherwise: one scan, one run. Whoever leads looks at nothing before a Job's POST, so it has to know that it leads."""
    leader = elect(administrator, start_operator)
    alone.eventually(lambda: "leading" in leader.text())
    alone.apply()
    alone.complete()
    leader.freeze()
    standby = elect(administrator, start_operator)
    alone.eventually(lambda: "leading" in standby.text())
    standby.kill()
    alone.apply("late", runId="late")
    leader.thaw()
    alone.eventually(lambda: not leader.alive)
    assert len(alone.jobs()) == 1
    assert "another operator" in leader.text()
    elect(administrator, start_operator)
    alone.complete("late")
