"""Volumes that fail: full in the middle of a scan, and read-only. On a local cluster, which can make such volumes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import Cluster, LocalCluster
from tests.e2e.stage import Stage, condition
from tests.kubectl import Manifest

pytestmark = pytest.mark.e2e

SIZE = 64 << 20
_FILL = f"open('/claim/filler', 'wb').write(bytes({SIZE - (2 << 20)}))"
_FREE = "import os; os.unlink('/claim/filler')"


@pytest.fixture(scope="module", autouse=True)
def volumes(running: Cluster, stage: Stage) -> None:
    """A small volume and a read-only one, and the plan whose failure is only told after a while."""
    if not isinstance(running, LocalCluster):
        pytest.skip("only a local cluster has volumes that run full")
    running.make_volume("small", SIZE)
    running.make_volume("read-only", SIZE, read_only=True)
    stage.kubectl.apply(claim(stage, "small"), claim(stage, "read-only"))
    stage.apply(stage.plan("unwritable", artifacts={"claimName": "read-only"}))


def claim(stage: Stage, volume: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": volume, "namespace": stage.namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "",
            "volumeName": volume,
            "resources": {"requests": {"storage": str(SIZE)}},
        },
    }


def test_a_full_volume_gets_nothing_by_halves_and_the_scan_goes_on_when_there_is_space(stage: Stage) -> None:
    stage.shelve("small-shelf", "small")
    stage.inside("small-shelf", _FILL)
    flooding = {"templates": ["flood.yaml"], "templatesFrom": stage.faults()}
    stage.apply(stage.plan("flooding", artifacts={"claimName": "small"}, **flooding))
    status = stage.reaches("flooding", "Retrying")
    assert status["error"]["class"] == "Temporary"
    assert status["error"]["reason"] == "DiskFull"
    assert "files" not in status["artifacts"]
    records = [path for path in stage.files(shelf="small-shelf") if path.endswith("/shard.json")]
    for path in records:
        for file in json.loads(stage.read(path, "small-shelf"))["files"]:
            content = stage.read(f"{path.rpartition('/')[0]}/{file['name']}", "small-shelf")
            assert hashlib.sha256(content).hexdigest() == file["sha256"]
    stage.inside("small-shelf", _FREE)
    status = stage.ends("flooding", "Completed")
    places = [finding["matched-at"] for finding in stage.findings(status, "small-shelf")]
    assert len(places) == len(set(places)) == 200


def test_a_volume_that_can_not_be_written_is_named(stage: Stage) -> None:
    stage.until(lambda: condition(stage.reaches("unwritable", "Pending"), "Ready")["reason"] == "ClaimNotWritable")
    assert "artifacts.claimName" in condition(stage.status("unwritable"), "Ready")["message"]


@pytest.mark.parametrize(
    ("volume", "code", "told"),
    [("scanplan-artifacts", 0, "does all that scans need, as user 65532"), ("read-only", 69, "EROFS")],
)
def test_doctor_tries_a_claim_in_a_pod(stage: Stage, volume: str, code: int, told: str) -> None:
    """Else the first scan is what finds out that the storage is not fit for it."""
    program = str(Path(sys.executable).parent / "scanplan")
    command = [program, "doctor", "--claim", volume, "--image", stage.images.scanner, "--output", "json"]
    reach = ["--namespace", stage.namespace, "--kubeconfig", str(stage.kubectl.kubeconfig)]
    done = subprocess.run([*command, *reach], capture_output=True, text=True, check=False)
    checks = {check["what"]: check for check in json.loads(done.stdout)["checks"]}
    assert told in checks["volume"]["seen"], done.stderr
    assert checks["volume"]["verdict"] == ("ok" if code == 0 else "failed")
    assert not stage.kubectl.get("pods", "-l", "app.kubernetes.io/component=doctor")["items"]
