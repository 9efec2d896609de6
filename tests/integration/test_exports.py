"""Exports on a real API server, by the real exporter, to real servers: each result arrives, and nothing of it touches the scan."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scanplan.api import labels
from tests.deploy import OPERATOR_ACCOUNT
from tests.fixtures.operators import StartOperator
from tests.fixtures.receivers import Answer, HttpReceiver, http_receiver
from tests.fixtures.s3 import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server, s3_server
from tests.integration import audit
from tests.integration.apiserver import Object
from tests.integration.exporter import ExportNode
from tests.integration.operator_process import OperatorProcess
from tests.integration.scene import Scene, condition
from tests.kubectl import Kubectl, KubectlError

pytestmark = pytest.mark.integration

TOKEN = "token-that-nobody-may-see"
LOCAL = {"SCANPLAN_EXPORT_HOSTS": "127.0.0.1", "SCANPLAN_DENIED_TARGETS": "169.254.0.0/16"}
"""Of an owner who lets exports go to the test's own machine."""


def secret(scene: Scene, name: str, use: str = "export", **values: str) -> None:
    scene.kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "labels": {"scanplan.dev/use": use}},
            "stringData": values,
        }
    )


def grant(scene: Scene, administrator: Kubectl, *names: str) -> None:
    """What `exports.secrets` of the chart grants."""
    administrator.in_namespace(scene.namespace).allow(OPERATOR_ACCOUNT, "exports", "get", "secrets", names=names)


def to_http(receiver: HttpReceiver, name: str = "hook", **more: Any) -> dict[str, Any]:
    return {"name": name, "http": {"url": receiver.url("/in"), **more}}


def with_token(receiver: HttpReceiver) -> dict[str, Any]:
    return to_http(receiver, format="SARIF", authorizationFrom={"secretKeyRef": {"name": "hook", "key": "header"}})


def to_s3(server: S3Server) -> dict[str, Any]:
    credentials = {"secretRef": {"name": "s3"}}
    return {"name": "bucket", "s3": {"endpoint": server.endpoint, "bucket": BUCKET, "credentialsFrom": credentials}}


def exported(scene: Scene, status: str, name: str = "plan", reason: str | None = None) -> Object:
    """Wait for the condition Exported; returns the plan's status."""

    def reached(plan: Object) -> bool:
        known = plan["status"]
        found = [each for each in known.get("conditions", ()) if each["type"] == "Exported"]
        current = known["observedGeneration"] == plan["metadata"]["generation"]
        return bool(current and found and found[0]["status"] == status and reason in {None, found[0]["reason"]})

    known: Object = scene.until(reached, name)["status"]
    return known


def states(status: Object) -> dict[str, tuple[str, str]]:
    return {each["name"]: (each["state"], each["reason"]) for each in status["exports"]}


def export_jobs(scene: Scene) -> list[Object]:
    return [job for job in scene.jobs() if job["metadata"]["labels"][labels.COMPONENT] == labels.COMPONENT_EXPORTER]


def job_name(scene: Scene) -> str:
    """Name of the one export Job, once it is there."""
    scene.eventually(lambda: export_jobs(scene))
    (job,) = export_jobs(scene)
    return str(job["metadata"]["name"])


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as found:
        yield found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    with s3_server(tmp_path / "buckets") as found:
        yield found


@pytest.fixture
def node(alone: Scene, tmp_path: Path) -> ExportNode:
    return ExportNode(alone.api, alone.kubelet, alone.namespace, tmp_path / "node")


@pytest.fixture
def operator(alone: Scene, start_operator: StartOperator) -> OperatorProcess:
    assert alone
    return start_operator(**LOCAL)


def test_what_the_definition_refuses(alone: Scene) -> None:
    """Each would go nowhere, or not where its author meant."""
    token = {"secretKeyRef": {"name": "a", "key": "b"}}
    http = {"url": "https://a.example"}
    s3 = {"endpoint": "https://a.example", "bucket": "abc", "credentialsFrom": {"secretRef": {"name": "a"}}}
    dojo = {"url": "https://a.example", "product": "p", "engagement": "e", "tokenFrom": token}
    for wrong in (
        [{"name": "a"}],
        [{"name": "a", "http": http, "s3": s3}],
        [{"http": http}],
        [{"name": "A", "http": http}],
        [{"name": "a", "http": http}, {"name": "a", "s3": s3}],
        [{"name": f"a{number}", "http": http} for number in range(9)],
        [{"name": "a", "http": {"url": "ftp://a.example"}}],
        [{"name": "a", "http": {"url": "https://user:pass@a.example"}}],
        [{"name": "a", "http": {"url": "https://a.example/#x"}}],
        [{"name": "a", "http": {"url": "https://a.example/\r\nX: y"}}],
        [{"name": "a", "http": {**http, "format": "XML"}}],
        [{"name": "a", "http": {**http, "authorizationFrom": {"secretKeyRef": {"name": "a", "key": "../b"}}}}],
        [{"name": "a", "s3": {**s3, "endpoint": "https://a.example/path"}}],
        [{"name": "a", "s3": {**s3, "bucket": "a/b"}}],
        [{"name": "a", "s3": {**s3, "bucket": "../b"}}],
        [{"name": "a", "s3": {**s3, "prefix": "/a"}}],
        [{"name": "a", "s3": {**s3, "prefix": "a/../b"}}],
        [{"name": "a", "s3": {**s3, "region": "a b"}}],
        [{"name": "a", "s3": {name: value for name, value in s3.items() if name != "credentialsFrom"}}],
        [{"name": "a", "defectDojo": {**dojo, "product": ""}}],
        [{"name": "a", "defectDojo": {**dojo, "product": "a\r\nb"}}],
        [{"name": "a", "defectDojo": {**dojo, "url": "https://a.example/?x"}}],
    ):
        with pytest.raises(KubectlError):
            alone.apply("wrong", exports=wrong)
    alone.apply(
        "right", exports=[{"name": "a", "http": http}, {"name": "b", "s3": s3}, {"name": "c", "defectDojo": dojo}]
    )
    assert alone.plan("right")["spec"]["exports"][0]["http"]["format"] == "JSONL"


def test_a_result_goes_to_a_bucket_and_a_server_and_a_restart_exports_nothing_again(
    alone: Scene,
    administrator: Kubectl,
    start_operator: StartOperator,
    operator: OperatorProcess,
    node: ExportNode,
    receiver: HttpReceiver,
    server: S3Server,
) -> None:
    grant(alone, administrator, "hook", "s3")
    secret(alone, "hook", header=f"Bearer {TOKEN}")
    secret(alone, "s3", AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY)
    alone.apply(exports=[with_token(receiver), to_s3(server)])
    before = alone.complete(files=node.files)
    job = job_name(alone)
    exported(alone, "Unknown", reason="Exporting")
    for pod in alone.kubelet.pending(job, 2):
        assert node.run(pod) == 0
    status = exported(alone, "True")
    assert states(status) == {"hook": ("Exported", "Exported"), "bucket": ("Exported", "Exported")}
    assert condition(status, "Ready") == condition(before, "Ready")
    assert {name: status[name] for name in before if name not in {"conditions", "exports"}} == {
        name: before[name] for name in before if name not in {"conditions", "exports"}
    }
    assert receiver.taken[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert len(server.objects()) == len(node.files)
    assert TOKEN not in json.dumps(alone.plan()) + operator.text() + json.dumps(alone.jobs())
    operator.kill()
    start_operator(**LOCAL)
    alone.apply("another", runId="another")
    alone.complete("another")
    assert len(export_jobs(alone)) == 1
    assert len(receiver.requests) == 1


def test_an_export_is_a_job_and_two_writes(
    alone: Scene, operator: OperatorProcess, node: ExportNode, receiver: HttpReceiver
) -> None:
    assert operator.alive
    alone.apply(exports=[to_http(receiver)])
    alone.complete(files=node.files)
    (pod,) = alone.kubelet.pending(job_name(alone))
    node.run(pod)
    exported(alone, "True")
    written = [f"{each.verb} {each.resource}" for each in _ours(alone)]
    assert written == [
        *("create jobs", "patch scanplans/status", "patch scanplans/status"),
        *("create jobs", "patch scanplans/status", "patch scanplans/status"),
    ]


def _ours(scene: Scene) -> list[audit.Request]:
    return [request for request in scene.requests() if request.is_write]


@pytest.mark.parametrize(
    "answer",
    [Answer(500), Answer(429, {"Retry-After": "1"}), Answer(close=True)],
    ids=["500", "429", "close"],
)
def test_a_receiver_that_recovers_gets_the_same_again(
    alone: Scene, operator: OperatorProcess, node: ExportNode, receiver: HttpReceiver, answer: Answer
) -> None:
    assert operator.alive
    receiver.answers.append(answer)
    alone.apply(exports=[to_http(receiver)])
    alone.complete(files=node.files)
    job = job_name(alone)
    (pod,) = alone.kubelet.pending(job)
    assert node.run(pod) == 75
    (again,) = alone.kubelet.pending(job)
    assert node.run(again) == 0
    exported(alone, "True")
    first, second = receiver.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body


def test_a_refusal_is_not_tried_again_holds_up_no_other_and_is_retried_on_demand(
    alone: Scene, operator: OperatorProcess, node: ExportNode, receiver: HttpReceiver
) -> None:
    assert operator.alive
    with http_receiver() as closed:
        closed.always = Answer(403)
        alone.apply(exports=[to_http(receiver), to_http(closed, "closed")])
        before = alone.complete(files=node.files)
        first = job_name(alone)
        for pod in alone.kubelet.pending(first, 2):
            node.run(pod)
        status = exported(alone, "False", reason="ReceiverRefused")
        assert states(status) == {"hook": ("Exported", "Exported"), "closed": ("Failed", "ReceiverRefused")}
        assert condition(status, "Ready") == condition(before, "Ready")
        assert len(closed.requests) == 1
        closed.always = Answer(200)
        alone.edit(retryExports="1")
        alone.eventually(lambda: len(export_jobs(alone)) == 2)
        (second,) = (each["metadata"]["name"] for each in export_jobs(alone) if each["metadata"]["name"] != first)
        (pod,) = alone.kubelet.pending(second)
        assert node.run(pod) == 0
        exported(alone, "True")
        assert (len(receiver.requests), len(closed.requests)) == (1, 2)


def test_an_edit_of_exports_starts_no_scan(
    alone: Scene, operator: OperatorProcess, node: ExportNode, receiver: HttpReceiver
) -> None:
    assert operator.alive
    alone.apply()
    alone.complete(files=node.files)
    alone.edit(exports=[to_http(receiver)])
    (pod,) = alone.kubelet.pending(job_name(alone))
    node.run(pod)
    exported(alone, "True")
    scans = [job for job in alone.jobs() if job["metadata"]["labels"][labels.COMPONENT] == labels.COMPONENT_SCANNER]
    assert len(scans) == 1
    alone.edit(exports=[])
    alone.until(lambda plan: "exports" not in plan["status"])


def test_hosts_and_secrets_that_nobody_allowed_make_no_pod(
    alone: Scene, administrator: Kubectl, operator: OperatorProcess, node: ExportNode, receiver: HttpReceiver
) -> None:
    assert operator.alive
    grant(alone, administrator, "hook")
    secret(alone, "hook", use="headers", header=TOKEN)
    elsewhere = {"name": "elsewhere", "http": {"url": "https://elsewhere.example/"}}
    alone.apply(exports=[elsewhere, with_token(receiver)])
    alone.complete(files=node.files)
    status = exported(alone, "False")
    assert states(status) == {"elsewhere": ("Failed", "ReceiverDenied"), "hook": ("Failed", "SecretUnavailable")}
    assert not export_jobs(alone)


def test_a_killed_operator_makes_one_job(
    alone: Scene, operator: OperatorProcess, start_operator: StartOperator, node: ExportNode, receiver: HttpReceiver
) -> None:
    alone.apply(exports=[to_http(receiver)])
    alone.complete(files=node.files)
    job = job_name(alone)
    operator.kill()
    (pod,) = alone.kubelet.pending(job)
    node.run(pod)
    alone.eventually(lambda: (alone.job(job) or {}).get("status", {}).get("completionTime"))
    start_operator(**LOCAL)
    exported(alone, "True")
    assert len(export_jobs(alone)) == 1
    assert len(receiver.requests) == 1


def test_a_deleted_plan_takes_its_export_with_it(
    alone: Scene, operator: OperatorProcess, node: ExportNode, receiver: HttpReceiver
) -> None:
    assert operator.alive
    alone.apply(exports=[to_http(receiver)])
    alone.complete(files=node.files)
    job = job_name(alone)
    alone.delete()
    alone.gone(job)
