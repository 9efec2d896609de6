"""Exports from real pods of a real node, as a user of their own on a read-only root, to servers in other pods."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e import s3
from tests.e2e.stage import EXPOSED, Stage, condition, pod, service, serving
from tests.e2e.test_secrets import secret
from tests.fixtures.s3 import BUCKET

pytestmark = pytest.mark.e2e

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


def test_a_result_arrives_in_a_bucket_and_at_a_server(stage: Stage) -> None:
    """Lost otherwise: that a pod may read the claim and its Secrets, and gets out."""
    secret(stage, "export", s3.CREDENTIALS)
    server, hook = s3.start(stage), receiver(stage)
    exports: list[dict[str, Any]] = [
        {
            "name": "bucket",
            "s3": {
                "endpoint": server.endpoint,
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
    assert server.objects() == {f"{place}/{name}": digest for name, digest in files.items()}
    assert shown(stage, "") == "2", "the first one was refused, and tried again"
    first, second = shown(stage, "0"), shown(stage, "1")
    assert first == second
    (run,) = json.loads(second)["runs"]
    assert {result["ruleId"] for result in run["results"]} == EXPOSED


def shown(stage: Stage, path: str) -> str:
    """What the receiver tells of the requests that it had."""
    return stage.kubectl.raw(f"/api/v1/namespaces/{stage.namespace}/pods/receiver:8080/proxy/{path}").decode()
