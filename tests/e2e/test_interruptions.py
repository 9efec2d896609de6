"""Scans that are interrupted in the middle: nothing that was found is lost, nothing that was done is done again."""

from __future__ import annotations

import json

import pytest

from tests import deploy
from tests.e2e.stage import EXPOSED, Stage, attempts, condition, pod, templates
from tests.kubectl import Kubectl, Manifest

pytestmark = pytest.mark.e2e

BY_HOST = {"maxEndpointsPerShard": 1, "parallelism": 2}

_KILL = """
import os, pathlib, signal, sys
for process in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        ours = any(uid in (process / "cgroup").read_text() for uid in (sys.argv[1], sys.argv[1].replace("-", "_")))
        if ours and b"scanplan" in (process / "cmdline").read_bytes():
            os.kill(int(process.name), signal.SIGKILL)
            print(process.name)
    except (FileNotFoundError, ProcessLookupError):
        pass
"""


@pytest.fixture(scope="module")
def kernel(installed: Kubectl, stage: Stage) -> Kubectl:
    """What may kill any process of the node, as the kernel does: `kernel("exec", …, UID of a pod)`."""
    name = f"{stage.namespace}-kernel"
    privileged = pod("kernel", name, stage.images.scanner, ["python3", "-c", "import signal; signal.pause()"])
    privileged["spec"]["hostPID"] = True
    del privileged["spec"]["securityContext"]
    del privileged["spec"]["containers"][0]["readinessProbe"]
    privileged["spec"]["containers"][0]["securityContext"] = {"privileged": True, "runAsUser": 0}
    kubectl = installed.in_namespace(name)
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, privileged)
    kubectl("wait", "--for=condition=Ready", "pod/kernel", "--timeout=120s")
    return kubectl


def kill(kernel: Kubectl, victim: Manifest) -> None:
    """Kill a pod's programs without any warning."""
    assert kernel("exec", "kernel", "--", "python3", "-c", _KILL, victim["metadata"]["uid"])


def operator(stage: Stage) -> Kubectl:
    return stage.kubectl.in_namespace(deploy.SYSTEM_NAMESPACE)


def test_an_evicted_pod_costs_no_attempt_and_no_finding(stage: Stage) -> None:
    stage.gate("evicting")
    stage.apply(stage.gated("evicted", "app", "evicting"))
    stage.standing("evicted")
    evict(stage, "evicted")
    stage.open("evicting")
    status = stage.ends("evicted", "Completed")
    assert status["attempts"] == 1
    assert templates(stage.findings(status)) == sorted(EXPOSED)
    first, second = attempts(stage.metadata(status))
    assert (first["outcome"], first["error"]["reason"], first["findings"]) == ("partial", "Interrupted", 3)
    assert (second["outcome"], second["findings"]) == ("complete", 3)


def evict(stage: Stage, plan: str) -> None:
    """Evict a plan's only pod as `kubectl drain` does, and return when another one is there in its place."""
    (victim,) = stage.pods(plan)
    name = victim["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    path = f"/api/v1/namespaces/{stage.namespace}/pods/{name}/eviction"
    stage.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    stage.until(lambda: [found for found in stage.pods(plan) if found["metadata"]["name"] != name])


def test_a_finding_stays_though_the_next_attempt_can_not_see_it_any_more(stage: Stage) -> None:
    stage.nobody("leaving")
    stage.reroute("leaving", "app")
    stage.gate("staying")
    stage.apply(stage.gated("gone", "leaving", "staying"))
    stage.standing("gone")
    stage.reroute("leaving", "nobody")
    evict(stage, "gone")
    stage.open("staying")
    status = stage.ends("gone", "Completed")
    assert templates(stage.findings(status)) == sorted(EXPOSED)
    assert status["endpointsUnreachable"] == 1
    assert condition(status, "EndpointsReachable")["status"] == "Unknown"


def test_an_attempt_that_is_killed_leaves_nothing_half_published(stage: Stage, kernel: Kubectl) -> None:
    stage.gate("killing")
    stage.apply(stage.gated("killed", "app", "killing"))
    victim = stage.standing("killed")
    kill(kernel, victim)
    status = stage.reaches("killed", "Retrying")
    assert status["error"]["reason"] == "ScannerKilled"
    assert "files" not in status["artifacts"]
    second = stage.until(lambda: [found for found in [stage.standing("killed")] if found != victim])
    assert second[0]["metadata"]["uid"] != victim["metadata"]["uid"]
    assert f"{status['artifacts']['path']}/nuclei_output.ndjson" not in stage.files()
    stage.open("killing")
    status = stage.ends("killed", "Completed")
    assert templates(stage.findings(status)) == sorted(EXPOSED)
    first, last = attempts(stage.metadata(status))
    assert (first["outcome"], first["error"]["reason"], first["findings"]) == ("partial", "ScannerKilled", 3)
    assert last["outcome"] == "complete"


def test_a_suspended_scan_goes_on_where_it_stopped(stage: Stage) -> None:
    stage.web_application("done")
    stage.gate("suspending")
    stage.apply(stage.gated("suspended", "done", "suspending", sharding=BY_HOST))
    stage.until(lambda: half_done(stage, "suspended") and stage.asked("suspending"))
    stage.patch("suspended", suspend=True)
    status = stage.reaches("suspended", "Suspended")
    assert status["shards"]["succeeded"] == 1
    stage.until(lambda: {found["status"]["phase"] for found in stage.pods("suspended")} == {"Succeeded"})
    stage.open("suspending")
    asked = stage.asked("suspending")
    stage.patch("suspended", suspend=False)
    status = stage.ends("suspended", "Completed")
    assert status["attempts"] == 2
    assert templates(stage.findings(status)) == sorted(EXPOSED)
    assert set(stage.requests("done").values()) == {1}
    assert stage.asked("suspending") > asked


def test_a_cancelled_scan_keeps_what_it_had_found(stage: Stage) -> None:
    stage.gate("cancelling")
    stage.apply(stage.gated("cancelled", "app", "cancelling"))
    stage.standing("cancelled")
    stage.patch("cancelled", cancel=True)
    status = stage.ends("cancelled", "Cancelled")
    assert not status["artifacts"]["complete"]
    assert templates(stage.findings(status)) == sorted(EXPOSED)
    assert not stage.jobs("cancelled")
    assert not stage.pods("cancelled")


def test_a_job_deleted_in_the_middle_is_made_again_and_scans_only_what_is_missing(stage: Stage) -> None:
    stage.web_application("kept")
    stage.gate("deleting")
    stage.apply(stage.gated("deleted", "kept", "deleting", sharding=BY_HOST))
    stage.until(lambda: half_done(stage, "deleted") and stage.asked("deleting"))
    (before,) = stage.jobs("deleted")
    stage.kubectl("delete", "job", before["metadata"]["name"])
    after = stage.until(
        lambda: [job for job in stage.jobs("deleted") if job["metadata"]["uid"] != before["metadata"]["uid"]]
    )
    assert after[0]["metadata"]["name"] == before["metadata"]["name"]
    stage.open("deleting")
    status = stage.ends("deleted", "Completed")
    assert status["artifacts"]["complete"]
    assert templates(stage.findings(status)) == sorted(EXPOSED)
    assert set(stage.requests("kept").values()) == {1}


def test_a_killed_operator_goes_on_as_if_nothing_had_happened(stage: Stage, kernel: Kubectl) -> None:
    stage.gate("orphaned")
    stage.apply(stage.gated("survivor", "app", "orphaned"))
    stage.standing("survivor")
    (before,) = stage.jobs("survivor")
    (victim,) = operator(stage).get("pods", "-l", "app.kubernetes.io/name=scanplan-operator")["items"]
    lease = operator(stage).get("lease", "scanplan-operator")["spec"]
    assert lease["holderIdentity"].endswith(victim["metadata"]["uid"])
    kill(kernel, victim)
    stage.open("orphaned")
    status = stage.ends("survivor", "Completed")
    assert [job["metadata"]["uid"] for job in stage.jobs("survivor")] == [before["metadata"]["uid"]]
    assert templates(stage.findings(status)) == sorted(EXPOSED)
    assert status["attempts"] == 1
    again = operator(stage).get("lease", "scanplan-operator")["spec"]
    assert (again["holderIdentity"], again["acquireTime"]) == (lease["holderIdentity"], lease["acquireTime"])


def test_what_happens_while_there_is_no_operator_is_made_up_for(stage: Stage) -> None:
    stage.gate("alone")
    stage.apply(stage.gated("unattended", "app", "alone"))
    stage.standing("unattended")
    (before,) = stage.jobs("unattended")
    scale(operator(stage), 0)
    stage.open("alone")
    stage.kubectl("wait", "--for=condition=Complete", f"job/{before['metadata']['name']}", "--timeout=180s")
    stage.apply(stage.plan("meanwhile"))
    scale(operator(stage), 1)
    statuses = [stage.ends(name, "Completed") for name in ("unattended", "meanwhile")]
    assert all(templates(stage.findings(status)) == sorted(EXPOSED) for status in statuses)
    assert statuses[0]["jobRef"]["uid"] == before["metadata"]["uid"]


def scale(system: Kubectl, replicas: int) -> None:
    system("scale", "deployment/scanplan-operator", f"--replicas={replicas}")
    system("rollout", "status", "deployment/scanplan-operator", "--timeout=180s")


def half_done(stage: Stage, plan: str) -> bool:
    """One of the plan's two shards is published, and Kubernetes knows."""
    jobs = stage.jobs(plan)
    return bool(jobs) and jobs[0].get("status", {}).get("succeeded") == 1
