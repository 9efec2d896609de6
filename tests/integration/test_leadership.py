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


def test_a_standby_takes_over_from_a_killed_leader(
    administrator: Kubectl, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    administrator("apply", "--server-side", "-f", str(ROOT / "examples/install/leader-election.yaml"))
    election = {"SCANPLAN_LEADER_ELECTION": "true", "SCANPLAN_LEASE_NAMESPACE": SYSTEM_NAMESPACE}
    leader = start_operator(**election)
    alone.eventually(lambda: "leading" in leader.text())
    alone.apply()
    alone.phase("Running")
    job = alone.job_of()
    standby = start_operator(**election)
    alone.eventually(lambda: "standing by" in standby.text())
    assert "leading" not in standby.text()
    leader.kill()
    alone.eventually(lambda: "leading" in standby.text())
    assert alone.complete()["jobRef"]["uid"] == job["metadata"]["uid"], "the scan was started again"
