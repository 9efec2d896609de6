"""What a scan pod can reach: it handles hostile input, so it must hold nothing that is worth taking."""

from __future__ import annotations

import json

import pytest

from tests.e2e.stage import Stage, pod
from tests.kubectl import KubectlError, Manifest

pytestmark = pytest.mark.e2e

_SEEN = """
import json, os, pathlib
def refused(path):
    try:
        pathlib.Path(path).touch()
    except OSError:
        return True
    return False
print(json.dumps({
    "user": os.getuid(),
    "token": any(pathlib.Path(path).exists() for path in ("/var/run/secrets", "/run/secrets/kubernetes.io")),
    "read-only": all(refused(f"{folder}/x") for folder in ("/", "/opt/scanplan", "/opt/nuclei-templates", "/etc/scanplan/task")),
    "capabilities": [line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff")],
    "run": sorted(str(path) for path in pathlib.Path("/scan").rglob("run.json")),
    "beside": sorted(os.listdir("/scan/run/..")),
    "findings": sorted(str(path) for path in pathlib.Path("/scan").rglob("nuclei_output.ndjson")),
}))
"""


@pytest.fixture(scope="module")
def scan_pod(stage: Stage) -> Manifest:
    """A pod in the middle of a scan, on a claim that holds another run's findings."""
    stage.gate("gate")
    stage.apply(stage.plan("other-run"))
    stage.ends("other-run", "Completed")
    stage.apply(stage.gated("mine"))
    return stage.standing("mine")


def test_a_scan_runs_where_the_restricted_pod_security_standard_is_enforced(stage: Stage, scan_pod: Manifest) -> None:
    privileged = pod("privileged", stage.namespace, stage.images.scanner)
    privileged["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    with pytest.raises(KubectlError, match='violates PodSecurity "restricted'):
        stage.kubectl.apply(privileged)
    assert scan_pod["status"]["phase"] == "Running"


def test_a_scan_pod_has_no_token_no_power_and_no_other_runs_findings(stage: Stage, scan_pod: Manifest) -> None:
    seen = json.loads(stage.inside(scan_pod["metadata"]["name"], _SEEN))
    assert seen == {
        "user": 65532,
        "token": False,
        "read-only": True,
        "capabilities": ["0000000000000000"],
        "run": ["/scan/run/run.json"],
        "beside": ["run"],
        "findings": [],
    }
    assert [path for path in stage.files("ui_projects/other-run") if path.endswith("nuclei_output.ndjson")]
