"""The way of a plan from `kubectl apply` to Completed, as a user watches it."""

from __future__ import annotations

import pytest

from tests.fixtures.operators import StartOperator
from tests.integration import reports
from tests.integration.scene import Scene, condition, condition_types, shards

pytestmark = pytest.mark.integration


def test_a_plan_runs_from_apply_to_completed(scene: Scene) -> None:
    """Lost otherwise: everything."""
    scene.apply(severityLevels=["critical", "high"])
    status = scene.phase("Running")
    assert status["progress"] == "0/1"
    assert status["endpointCount"] == 1
    assert condition(status, "Reconciling")["status"] == "True"
    assert condition(status, "Succeeded")["status"] == "Unknown"

    status = scene.complete()
    assert status["observedGeneration"] == 1
    assert status["progress"] == "1/1"
    assert status["shards"] == {"total": 1, "active": 0, "succeeded": 1, "failed": 0}
    assert status["attempts"] == 1
    assert status["findings"] == {
        "total": 7, "critical": 1, "high": 2, "medium": 0, "low": 0, "info": 4, "unknown": 0,
        "new": 1, "newBySeverity": {"high": 1}, "resolved": 1, "resolvedBySeverity": {"low": 1}, "reopened": 0,
        "open": 7, "openBySeverity": {"critical": 1, "high": 2, "info": 4},
        "openByAge": {"30-90d": {"critical": 1, "high": 2, "info": 4}},
    }  # fmt: skip
    assert status["artifacts"]["claimName"] == "scanplan-artifacts"
    assert status["artifacts"]["path"].startswith("ui_projects/plan/tasks/")
    assert status["artifacts"]["complete"] is True
    assert [file["name"] for file in status["artifacts"]["files"]] == ["nuclei_output.ndjson"]
    assert status["scanner"]["nucleiVersion"] == reports.VERSION.nuclei_version
    assert status["durationMs"] >= 0
    assert {kind: condition(status, kind)["status"] for kind in condition_types(status)} == {
        "Ready": "True", "Succeeded": "True", "FindingsPresent": "True", "EndpointsReachable": "True",
    }  # fmt: skip
    assert all(entry["observedGeneration"] == 1 for entry in status["conditions"])


def test_the_job_is_indexed_and_restricted(scene: Scene) -> None:
    """Lost otherwise: sharding, retries by class, and a cluster that a scan pod can't be used against."""
    scene.apply(**shards(3))
    scene.phase("Running")
    job = scene.job_of()
    assert job["spec"]["completionMode"] == "Indexed"
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (3, 3)
    assert job["spec"]["podReplacementPolicy"] == "Failed"
    pods = scene.kubelet.pending(job["metadata"]["name"], 3)  # the namespace enforces the restricted standard
    assert all(pod["spec"]["automountServiceAccountToken"] is False for pod in pods)
    assert all(pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] for pod in pods)


def test_what_the_operator_writes_bears_its_name(scene: Scene) -> None:
    """Lost otherwise: who did it, in an audit log and with `kubectl get --show-managed-fields`."""
    scene.apply()
    scene.phase("Running")
    for written in (scene.plan(), scene.job_of()):
        managers = {entry["manager"] for entry in written["metadata"]["managedFields"]}
        assert "scanplan-operator" in managers
        assert "OpenAPI-Generator" not in managers


def test_kubectl_wait_ends_when_the_scan_has(scene: Scene) -> None:
    """Lost otherwise: a pipeline's one-line way to wait for a scan."""
    scene.apply()
    scene.phase("Running")
    scene.complete()
    scene.kubectl("wait", "--for=condition=Succeeded", "scanplan/plan", "--timeout=120s")


def test_kubectl_get_shows_what_people_ask_first(scene: Scene) -> None:
    """Lost otherwise: the state of all scans at one glance."""
    scene.apply(runId="nightly", projectId="acme")
    scene.phase("Running")
    scene.complete()
    header, row = (line.split() for line in scene.kubectl("get", "sp").splitlines())
    assert header == [
        "NAME",
        "PHASE",
        "REASON",
        "PROGRESS",
        "ENDPOINTS",
        "FINDINGS",
        "CRITICAL",
        "HIGH",
        "NEW",
        "DURATION",
        "AGE",
    ]
    assert row[:8] == ["plan", "Completed", "1/1", "1", "7", "1", "2", "1"]
    wide = scene.kubectl("get", "sp", "-o", "wide").splitlines()
    assert wide[0].split()[11:] == ["PROJECT", "RUN", "RESOLVED", "JOB", "KEY", "SUPPRESSED", "ERROR"]
    assert wide[1].split()[10:14] == ["acme", "nightly", "1", scene.plan()["status"]["taskId"]]


def test_kubectl_get_says_why_a_plan_is_not_well(scene: Scene) -> None:
    """Lost otherwise: a second command for each plan that failed or waits; and whose run it is, where the plan names none."""
    scene.apply(endpoints=["http://169.254.169.254"])
    scene.phase("Failed")
    row = scene.kubectl("get", "sp", "--no-headers").split()
    assert row[:3] == ["plan", "Failed", "TargetDenied"]
    wide = scene.kubectl(
        "get", "sp", "--no-headers", "-o", "custom-columns=P:.status.projectId,R:.status.runId"
    ).split()
    assert wide == [scene.namespace, "plan"]


def test_a_clean_scan_has_no_findings_and_succeeds(scene: Scene) -> None:
    """Lost otherwise: telling "nothing found" from "nothing scanned"."""
    scene.apply()
    status = scene.complete(findings=reports.NO_FINDINGS)
    assert status["findings"]["total"] == 0
    assert condition(status, "FindingsPresent")["status"] == "False"
    assert condition(status, "Succeeded")["status"] == "True"


def test_every_address_of_a_range_is_scanned_and_counted(scene: Scene) -> None:
    """Lost otherwise: the hosts of a range, or the count of what was scanned."""
    scene.apply(endpoints=["198.51.100.0/29", "2001:db8::/127"], sharding={"maxEndpointsPerShard": 5, "parallelism": 2})
    pods = scene.kubelet.pending(scene.started(), 2)
    assert len(scene.kubelet.document(pods[0]).endpoints) == 10
    assert scene.plan()["status"]["endpointCount"] == 10


def test_endpoints_that_did_not_answer_are_counted(scene: Scene) -> None:
    """Lost otherwise: a scan that looks whole while half of its targets were down."""
    scene.apply(endpoints=["https://a.example.com", "https://b.example.com"])
    status = scene.complete(unreachable=1)
    assert (status["endpointsScanned"], status["endpointsUnreachable"]) == (1, 1)
    assert condition(status, "EndpointsReachable")["status"] == "Unknown"


def test_watches_of_many_namespaces_leave_room_for_requests(alone: Scene, start_operator: StartOperator) -> None:
    """Lost otherwise: everything, from the fiftieth namespace on. Each watch holds a connection."""
    start_operator(SCANPLAN_NAMESPACES=",".join([alone.namespace, *(f"team-{number}" for number in range(150))]))
    alone.apply()
    alone.complete()
