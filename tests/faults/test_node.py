"""Rows 9 to 11 and 17 need real pods: what is not in tests/e2e already, where their other halves are, is here.

9    evicted                                      e2e/test_interruptions
     preempted, node not ready                    here
10   out of memory (both ways), exit codes,
     image pull, deadline, hang                   e2e/test_failures
11   volume full, read-only                       e2e/test_storage
17   Job gone, plan made again, replayed          e2e/test_once, and on the control plane (rows_users)
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.cluster import Cluster, LocalCluster
from tests.e2e.stage import EXPOSED, Stage, attempts, pod, templates
from tests.faults.oracle import Verdict
from tests.faults.table import Line, Table

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

WITHIN = 30.0


def judged(stage: Stage, table: Table, row: str, fault: str, plan: str, fault_ended: float) -> dict[str, Any]:
    """The oracle's questions, of a plan on a real node: one Job, all findings in an artifact that the status names."""
    line = Line(row, fault, WITHIN, failed=True)
    table.lines.append(line)
    status = stage.ends(plan, "Completed")
    seconds = time.monotonic() - fault_ended
    (job,) = stage.jobs(plan)
    assert job["metadata"]["uid"] == status["jobRef"]["uid"]
    found = stage.findings(status)  # has checked the SHA-256
    assert templates(found) == sorted(EXPOSED)
    version = stage.get(plan)["metadata"]["resourceVersion"]
    time.sleep(10)
    assert stage.get(plan)["metadata"]["resourceVersion"] == version
    line.verdicts, line.met, line.failed = [Verdict(1, 0, round(seconds, 1), 0)], "real node", False
    return status


def test_a_preempted_scan_goes_on_when_there_is_room_again(stage: Stage, table: Table) -> None:
    """Lost otherwise: scans with low priority, on a cluster that is full."""
    (node,) = stage.kubectl.get("nodes")["items"]
    millicores = int(float(node["status"]["allocatable"]["cpu"]) * 1000 * 0.6)
    requests = {"requests": {"cpu": f"{millicores}m"}}
    stage.gate("preempting")
    stage.apply(stage.gated("preempted", "app", "preempting", podTemplate={"resources": requests}))
    victim = stage.standing("preempted")["metadata"]["name"]
    urgent = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "urgent"},
        "value": 1000,
    }
    other = pod("urgent", stage.namespace, stage.images.scanner, ["python3", "-c", "import signal; signal.pause()"])
    del other["spec"]["containers"][0]["readinessProbe"]
    other["spec"]["priorityClassName"] = "urgent"
    other["spec"]["containers"][0]["resources"] = requests
    stage.kubectl.apply(urgent)
    stage.kubectl.apply(other)
    stage.until(
        lambda: victim not in {each["metadata"]["name"] for each in stage.pods("preempted")} or _ended(stage, victim)
    )
    stage.wait_for_pod("urgent")
    stage.open("preempting")
    stage.kubectl("delete", "pod", "urgent", "--grace-period=1")
    ended = time.monotonic()
    status = judged(stage, table, "9 preempted", "pod preempted", "preempted", ended)
    assert status["attempts"] == 1
    first, *_ = attempts(stage.metadata(status))
    assert (first["outcome"], first["error"]["reason"]) == ("partial", "Interrupted")


def _ended(stage: Stage, name: str) -> bool:
    return any(
        each["status"]["phase"] == "Failed" for each in stage.pods("preempted") if each["metadata"]["name"] == name
    )


def test_a_scan_outlives_its_nodes_absence(stage: Stage, running: Cluster, table: Table) -> None:
    """Lost otherwise: a scan, because its node's kubelet was away for a minute."""
    if not isinstance(running, LocalCluster):
        pytest.skip("stopping a kubelet takes a local cluster")
    stage.gate("away")
    stage.apply(stage.gated("unready", "app", "away"))
    stage.standing("unready")
    running.kill("kubelet")
    stage.until(lambda: not _ready(stage))
    assert stage.status("unready")["phase"] == "Running"
    running.restart("kubelet")
    stage.until(lambda: _ready(stage))
    stage.open("away")
    status = judged(stage, table, "9 not ready", "node not ready (kubelet stopped)", "unready", time.monotonic())
    assert status["attempts"] == 1


def _ready(stage: Stage) -> bool:
    (node,) = stage.kubectl.get("nodes")["items"]
    return any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"]["conditions"])
