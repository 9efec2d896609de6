"""The API in a process that has no claim mounted: artifacts of any namespace, through pods that don't stay."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
import yaml

from tests.deploy import ROOT, SYSTEM_NAMESPACE
from tests.e2e.stage import EXPOSED, Stage
from tests.kubectl import eventually

pytestmark = pytest.mark.e2e

SCANPLANS = "scanplans.scanplan.dev"
FINDINGS = "nuclei_output.ndjson"


class Client:
    """Asks the API as a service account of the stage's namespace."""

    def __init__(self, url: str, stage: Stage) -> None:
        self._url = url
        self._stage = stage
        self._http = urllib3.PoolManager(retries=False, timeout=300)

    def person(self, name: str, *resources: str) -> str:
        """A token of somebody who may get these resources."""
        kubectl = self._stage.kubectl
        kubectl.account(name)
        kubectl.allow(name, name, "get,list", *resources)
        return kubectl.token(name, "scanplan-api")

    def get(self, path: str, token: str, *, stream: bool = False, **headers: str) -> urllib3.BaseHTTPResponse:
        return self.ask(f"tasks/{path}", token, stream=stream, **headers)

    def ask(self, path: str, token: str, *, stream: bool = False, **headers: str) -> urllib3.BaseHTTPResponse:
        url = f"{self._url}/api/v1/{path}?namespace={self._stage.namespace}"
        headers = {"Authorization": f"Bearer {token}", **headers}
        return self._http.request("GET", url, headers=headers, preload_content=not stream)


class Events:
    """A stream of server-sent events."""

    def __init__(self, answer: urllib3.BaseHTTPResponse) -> None:
        assert answer.status == 200, answer.data
        self._lines = iter(answer)

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for line in self._lines:
            if line.startswith(b"event: "):
                data = next(self._lines).removeprefix(b"data: ")
                yield line.decode().removeprefix("event: ").strip(), json.loads(data)

    def until(self, kind: str) -> dict[str, Any]:
        """The next event of a kind."""
        return next(data for each, data in self if each == kind)

    def templates(self, count: int) -> list[str]:
        """The templates of so many findings, none of which is said to be final."""
        found: list[str] = []
        while len(found) < count:
            kind, data = next(iter(self))
            assert kind in {"snapshot", "findings"}, data
            assert data["final"] is False
            found += [each["template"] for each in data["findings"]]
        return found


@pytest.fixture(scope="module")
def client(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    kubectl, folder = stage.kubectl, tmp_path_factory.mktemp("api")
    for file in ("api-rbac.yaml", "api-readers-rbac.yaml"):
        kubectl.in_namespace(SYSTEM_NAMESPACE)("apply", "-f", str(ROOT / "examples/python" / file))
    configuration: dict[str, Any] = yaml.safe_load(kubectl("config", "view", "--raw", "--flatten", "--minify"))
    (user,) = configuration["users"]
    token = kubectl.in_namespace(SYSTEM_NAMESPACE).token("scanplan-api")
    user["user"] = {"token": token}
    kubeconfig = folder / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(yaml.safe_dump(configuration))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "KUBECONFIG": str(kubeconfig),
        "ENABLE_ASYNC_TASKS": "true",
        "TASK_QUEUE_TYPE": "kubernetes",
        "SCANPLAN_API_PORT": str(port),
        "SCANPLAN_API_READER_PODS": "true",
        "SCANPLAN_DATA_DIRECTORY": str(folder),
        "TMPDIR": str(folder),
    }
    log = folder / "api.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "scanplan", "api"], env={**os.environ, **settings}, stdout=output, stderr=output
        )
    made = Client(f"http://127.0.0.1:{port}", stage)
    try:
        eventually(lambda: _answers(f"http://127.0.0.1:{port}/healthz"))
        yield made
    finally:
        process.terminate()
        process.wait(30)
        print(f"--- log of the API\n{log.read_text()}")
    assert not list(folder.glob("scanplan-artifacts-*")), "copies stay behind"


def _answers(url: str) -> bool:
    try:
        return urllib3.PoolManager(retries=False).request("GET", url).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def readers(stage: Stage) -> list[str]:
    found = stage.kubectl.get("pods", "--selector", "app.kubernetes.io/component=reader")["items"]
    return [pod["metadata"]["name"] for pod in found]


def test_artifacts_come_whole_in_parts_and_as_reports_and_only_to_those_who_may(client: Client, stage: Stage) -> None:
    """Lost otherwise: findings of every namespace but the API's own."""
    stage.apply(stage.plan("nightly", "app"))
    status = stage.ends("nightly", "Completed")
    analyst = client.person("analyst", SCANPLANS, f"{SCANPLANS}/artifacts")
    viewer = client.person("viewer", SCANPLANS)
    path = f"nightly/artifacts/{FINDINGS}"
    assert client.get(path, viewer).status == 403
    whole = client.get(path, analyst)
    assert whole.status == 200, whole.data
    published = {file["name"]: file["sha256"] for file in status["artifacts"]["files"]}
    assert hashlib.sha256(whole.data).hexdigest() == published[FINDINGS]
    stage.until(lambda: not readers(stage))
    part = client.get(path, analyst, Range="bytes=10-19")
    assert (part.status, part.data) == (206, whole.data[10:20])
    page = client.get("nightly/reports/html", analyst)
    assert page.status == 200
    assert b"<!doctype html>" in page.data[:100].lower()
    stage.until(lambda: not readers(stage))


def test_a_projects_findings_come_by_a_reader_pod_once(client: Client, stage: Stage) -> None:
    """Lost otherwise: the findings view, for everybody whose API has no claim mounted, or a pod for each of its pages."""
    status = stage.kubectl.get("scanplan", "nightly")["status"]
    analyst = stage.kubectl.token("analyst", "scanplan-api")
    viewer = stage.kubectl.token("viewer", "scanplan-api")
    findings = f"projects/{status['projectId']}/findings"
    assert client.ask(findings, viewer).status == 403
    listed = client.ask(findings, analyst)
    assert listed.status == 200, listed.data
    found = listed.json()
    assert found["total"] == status["findings"]["open"]
    stage.until(lambda: not readers(stage))
    one = client.ask(f"{findings}/{found['items'][0]['identity']}", analyst)
    assert one.json()["record"]["request"], one.data
    stage.until(lambda: not readers(stage))
    again = client.ask(findings, analyst)
    assert (again.data, readers(stage)) == (listed.data, [])


def test_findings_of_a_running_scan_come_as_events_to_all_who_look(client: Client, stage: Stage) -> None:
    """Lost otherwise: hours, in which nobody knows what the scan has found already."""
    stage.gate("running-gate")
    stage.apply(stage.gated("looked-at", "app", "running-gate"))
    analyst = stage.kubectl.token("analyst", "scanplan-api")
    viewer = stage.kubectl.token("viewer", "scanplan-api")
    assert client.get("looked-at/running", viewer).status == 403
    assert client.get("no-such-plan/running", analyst).status == 404
    first = Events(client.get("looked-at/running", analyst, stream=True))
    assert sorted(first.templates(len(EXPOSED))) == sorted(EXPOSED)
    assert stage.status("looked-at")["phase"] == "Running"
    second = Events(client.get("looked-at/running", analyst, stream=True))
    assert sorted(second.templates(len(EXPOSED))) == sorted(EXPOSED)
    assert len(readers(stage)) == 1
    stage.open("running-gate")
    assert first.until("ended") == second.until("ended") == {"phase": "Completed"}
    stage.until(lambda: not readers(stage))


def test_a_claim_that_cannot_be_read_is_said_to_be_that(client: Client, stage: Stage) -> None:
    """Lost otherwise: what to do about it; and no pod may be left behind."""
    stage.apply(stage.plan("weekly", "app"))
    stage.ends("weekly", "Completed")
    token = stage.kubectl.token("analyst", "scanplan-api")
    stage.kubectl("create", "quota", "none", "--hard=pods=0")
    try:
        stage.until(lambda: stage.kubectl.get("quota", "none")["status"].get("hard"))
        refused = client.get(f"weekly/artifacts/{FINDINGS}", token)
    finally:
        stage.kubectl("delete", "quota", "none")
    assert refused.status == 502
    assert "exceeded quota: none" in refused.json()["detail"]
    assert client.get(f"weekly/artifacts/{FINDINGS}", token).status == 200


def test_what_is_not_what_was_published_is_not_served(client: Client, stage: Stage) -> None:
    """Lost otherwise: trust; whoever may write to the claim could put findings there, or take them away."""
    stage.apply(stage.plan("monthly", "app"))
    status = stage.ends("monthly", "Completed")
    program = "import os, sys; os.chmod(sys.argv[1], 0o644); open(sys.argv[1], 'ab').write(b'{}\\n')"
    stage.inside("shelf", program, f"/claim/{status['artifacts']['path']}/{FINDINGS}")
    token = stage.kubectl.token("analyst", "scanplan-api")
    answer = client.get(f"monthly/artifacts/{FINDINGS}", token)
    assert (answer.status, answer.json()["title"]) == (500, "Damaged record")
