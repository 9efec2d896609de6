"""Exports from real pods of a real node, as a user of their own on a read-only root, to servers in other pods."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.stage import EXPOSED, Stage, condition, pod, service, serving
from tests.e2e.test_secrets import secret
from tests.fixtures.s3 import ACCESS_KEY, BUCKET, SECRET_KEY, program
from tests.kubectl import Kubectl, Manifest

pytestmark = pytest.mark.e2e

PORT = 8080
_RECEIVER = """
taken = []
class Handler(Answers):
    def do_POST(self):
        taken.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(503 if len(taken) == 1 else 200)
    def do_GET(self):
        number = self.path[1:]
        self.answer(200, taken[int(number)] if number.isdigit() else str(len(taken)).encode())
"""
"""Refuses the first request, takes all others, and shows them."""


def receiver(stage: Stage) -> str:
    """Start it; its URL."""
    made = pod("receiver", stage.namespace, stage.images.scanner, serving(_RECEIVER))
    stage.kubectl.apply(made, service("receiver", stage.namespace))
    stage.wait_for_pod("receiver")
    return stage.endpoint("receiver")


def s3_pod(stage: Stage, namespace: str) -> Manifest:
    """The S3 server of the tests, from a folder of this machine, which a restricted namespace would not let a pod have."""
    server = ["/s3/versitygw", "--quiet", "--port", f":{PORT}", "posix", "/data"]
    start = "import os, sys; os.mkdir(sys.argv[1]); os.execv(sys.argv[2], sys.argv[2:])"
    made = pod("s3", namespace, stage.images.scanner, ["python3", "-c", start, f"/data/{BUCKET}", *server])
    (container,) = made["spec"]["containers"]
    made["spec"]["securityContext"] = container["securityContext"] = {"runAsUser": 0}
    keys = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    container["env"] = [{"name": name, "value": value} for name, value in keys.items()]
    container["volumeMounts"] = [
        {"name": "program", "mountPath": "/s3", "readOnly": True},
        {"name": "data", "mountPath": "/data"},
    ]
    made["spec"]["volumes"] = [
        {"name": "program", "hostPath": {"path": str(program().parent), "type": "Directory"}},
        {"name": "data", "emptyDir": {}},
    ]
    return made


def bucket(stage: Stage) -> Kubectl:
    """Start the server with an empty bucket; kubectl in its namespace."""
    namespace = f"{stage.namespace}-s3"
    stage.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    kubectl = stage.kubectl.in_namespace(namespace)
    kubectl.apply(s3_pod(stage, namespace), service("s3", namespace))
    kubectl("wait", "--for=condition=Ready", "pod/s3", "--timeout=180s")
    return kubectl


_OBJECTS = """
import hashlib, json, pathlib, sys
root = pathlib.Path(sys.argv[1])
found = {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in root.rglob("*") if p.is_file()}
print(json.dumps(found))
"""


def objects(kubectl: Kubectl) -> dict[str, str]:
    """SHA-256 of each object by its key."""
    printed = kubectl("exec", "s3", "--", "python3", "-c", _OBJECTS, f"/data/{BUCKET}")
    found: dict[str, str] = json.loads(printed)
    return found


def test_a_result_arrives_in_a_bucket_and_at_a_server(stage: Stage) -> None:
    """Lost otherwise: that a pod may read the claim and its Secrets, and gets out."""
    secret(stage, "export", {"AWS_ACCESS_KEY_ID": ACCESS_KEY.encode(), "AWS_SECRET_ACCESS_KEY": SECRET_KEY.encode()})
    server, hook = bucket(stage), receiver(stage)
    exports: list[dict[str, Any]] = [
        {
            "name": "bucket",
            "s3": {
                "endpoint": f"http://s3.{stage.namespace}-s3:{PORT}",
                "bucket": BUCKET,
                "prefix": "nuclei",
                "credentialsFrom": {"secretRef": {"name": "own-export"}},
            },
        },
        {"name": "hook", "http": {"url": f"{hook}/in", "format": "SARIF"}},
    ]
    stage.apply(stage.plan("exported", exports=exports))
    status = stage.ends("exported", "Completed")
    files = {file["name"]: file["sha256"] for file in status["artifacts"]["files"]}
    stage.until(lambda: "Exported" in {each["type"] for each in stage.status("exported")["conditions"]})
    stage.until(lambda: condition(stage.status("exported"), "Exported")["status"] != "Unknown")
    found = stage.status("exported")
    assert condition(found, "Exported")["status"] == "True", found["exports"]
    place = f"nuclei/{stage.namespace}/exported/{status['taskId'].removeprefix('scan-')}"
    assert objects(server) == {f"{place}/{name}": digest for name, digest in files.items()}
    assert shown(stage, "") == "2", "the first one was refused, and tried again"
    first, second = shown(stage, "0"), shown(stage, "1")
    assert first == second
    (run,) = json.loads(second)["runs"]
    assert {result["ruleId"] for result in run["results"]} == EXPOSED


def shown(stage: Stage, path: str) -> str:
    """What the receiver tells of the requests that it had."""
    return stage.kubectl.raw(f"/api/v1/namespaces/{stage.namespace}/pods/receiver:{PORT}/proxy/{path}").decode()
