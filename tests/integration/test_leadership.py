"""Two replicas: one works, the other stands by and takes over, and no scan is run twice on the way."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import LocalCluster
from tests.deploy import SYSTEM_NAMESPACE
from tests.integration import audit
from tests.integration.scene import Scene
from tests.kubectl import Kubectl
from tests.ports import free_port

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parent.parent.parent


FOREIGN = "of-somebody-else"
"""A lease that the operator has no right to."""
ELECTION = {"SCANPLAN_LEADER_ELECTION": "true", "SCANPLAN_LEASE_NAMESPACE": SYSTEM_NAMESPACE}


def elect(administrator: Kubectl, start_operator: Callable[..., Any], **settings: str) -> Any:
    """Start an operator that may have the lease, and works once nobody else does; returns its process."""
    administrator("apply", "--server-side", "-f", str(ROOT / "examples/install/leader-election.yaml"))
    return start_operator(**ELECTION, **settings)


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


def test_a_leader_renews_by_one_request(
    cluster: LocalCluster, administrator: Kubectl, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    """Lost otherwise: forty needless requests a minute. Another's write is still noticed, since it has the renewal refused."""
    leader = elect(administrator, start_operator)
    alone.eventually(lambda: "leading" in leader.text())
    start = cluster.audit_log.stat().st_size

    def verbs() -> list[str]:
        return [each.verb for each in audit.requests(cluster.audit_log, start=start) if each.resource == "leases"]

    alone.eventually(lambda: verbs().count("update") >= 3)
    assert set(verbs()) == {"update"}
    administrator.in_namespace(SYSTEM_NAMESPACE)("annotate", "lease", "scanplan-operator", f"seen-by={alone.namespace}")
    alone.eventually(lambda: "get" in verbs())
    written = verbs().count("update")
    alone.eventually(lambda: verbs().count("update") >= written + 2)
    assert leader.alive


def lease(administrator: Kubectl) -> dict[str, Any]:
    found: dict[str, Any] = administrator.in_namespace(SYSTEM_NAMESPACE).get("lease", "scanplan-operator")["spec"]
    return found


def test_a_container_that_is_restarted_has_its_pods_lease_back(
    administrator: Kubectl, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    """Lost otherwise: the seconds until a lease runs out that nobody uses. A standby of another pod has to wait."""
    killed = elect(administrator, start_operator, SCANPLAN_POD_UID="the-pod")
    alone.eventually(lambda: "leading" in killed.text())
    before = lease(administrator)
    killed.kill()
    restarted = elect(administrator, start_operator, SCANPLAN_POD_UID="the-pod")
    standby = elect(administrator, start_operator, SCANPLAN_POD_UID="another-pod")
    alone.eventually(lambda: "leading" in restarted.text())
    after = lease(administrator)
    assert after["holderIdentity"].endswith("the-pod")
    assert (after["holderIdentity"], after["acquireTime"]) == (before["holderIdentity"], before["acquireTime"])
    assert "leading" not in standby.text()
    alone.apply()
    alone.complete()


def test_an_operator_that_is_told_to_stop_leaves_its_lease_to_the_next(
    administrator: Kubectl, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    """Lost otherwise: seconds of each rolling update. And a standby that did not hear would keep its pod for its whole grace."""
    leader, standby = elect(administrator, start_operator), elect(administrator, start_operator)
    alone.eventually(lambda: "leading" in leader.text() + standby.text())
    if "leading" in standby.text():
        leader, standby = standby, leader
    alone.eventually(lambda: "standing by" in standby.text())
    assert standby.stop() == 0
    assert lease(administrator)["holderIdentity"]
    assert leader.stop() == 0
    assert not lease(administrator)["holderIdentity"]
    following = elect(administrator, start_operator)
    alone.eventually(lambda: "leading" in following.text())


def test_an_operator_that_may_not_have_its_lease_says_so_and_is_not_ready(
    administrator: Kubectl, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    """Lost otherwise: an installation that seems to be complete, and runs no plan."""
    port = free_port()
    operator = elect(administrator, start_operator, SCANPLAN_LEASE_NAME=FOREIGN, SCANPLAN_PROBE_PORT=str(port))
    alone.eventually(lambda: "apply examples/install/leader-election.yaml" in operator.text())
    with pytest.raises(urllib.error.HTTPError, match="503"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=120)
    assert operator.stop() == 0


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
