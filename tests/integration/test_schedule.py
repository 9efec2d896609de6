"""examples/schedule: a CronJob may scan its plan again, as often as it runs, and may do nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cluster import LocalCluster
from tests.integration.scene import scanplan
from tests.kubectl import Kubectl, Manifest, eventually

EXAMPLE = Path(__file__).parent.parent.parent / "examples/schedule/nightly.yaml"


@pytest.fixture
def kubectl(administrator: Kubectl, namespace: str) -> Kubectl:
    inside = administrator.in_namespace(namespace)
    inside("apply", "--server-side", "-f", str(EXAMPLE))
    for plan in ("nightly", "other"):
        inside.apply(scanplan(plan, suspend=True))
    return inside


@pytest.fixture
def kubeconfig(cluster: LocalCluster, kubectl: Kubectl, tmp_path: Path) -> Path:
    """Of the example's service account."""
    configuration: Manifest = yaml.safe_load(cluster.kubeconfig.read_text())
    token = kubectl("create", "token", "scanplan-nightly").strip()
    configuration["users"] = [{**user, "user": {"token": token}} for user in configuration["users"]]
    path = tmp_path / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(configuration))
    return path


def started(kubectl: Kubectl, job: str) -> Manifest | None:
    """The pod of a Job, once the Job controller has made it."""
    pods: list[Manifest] = kubectl.get("pods", "-l", f"batch.kubernetes.io/job-name={job}")["items"]
    return pods[0] if pods else None


def test_the_example_may_scan_its_plan_again_and_nothing_else(
    kubectl: Kubectl, kubeconfig: Path, namespace: str
) -> None:
    def rerun(plan: str) -> int:
        command = [sys.executable, "-m", "scanplan", "rerun", plan, "--token", "monday", "--namespace", namespace]
        return subprocess.run(
            command, env={**os.environ, "KUBECONFIG": str(kubeconfig)}, check=False, capture_output=True
        ).returncode

    assert rerun("nightly") == 0
    assert kubectl.get("scanplan", "nightly")["spec"]["rerun"] == "monday"
    generation = kubectl.get("scanplan", "nightly")["metadata"]["generation"]
    assert rerun("nightly") == 0
    assert kubectl.get("scanplan", "nightly")["metadata"]["generation"] == generation
    assert rerun("other") == 77
    assert "rerun" not in kubectl.get("scanplan", "other")["spec"]


def test_its_pod_is_taken_where_the_restricted_standard_is_enforced(kubectl: Kubectl) -> None:
    kubectl("create", "job", "now", "--from=cronjob/scanplan-nightly")
    eventually(lambda: started(kubectl, "now"))
    pod = started(kubectl, "now")
    assert pod
    (container,) = pod["spec"]["containers"]
    assert container["args"] == ["rerun", "nightly", "--token", "$(RUN)"]
    assert pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "now"
