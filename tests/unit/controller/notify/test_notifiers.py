"""What the loop of notifiers keeps, and what it asks the owner's policy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from kubernetes.aio.client import ApiException

from scanplan.api.v1alpha1.notification import Notice
from scanplan.api.v1alpha1.scannotifier import Outgoing
from scanplan.controller.cache.ended import EndedScans
from scanplan.controller.cache.notifiers import Notifiers, notifier_of
from scanplan.controller.engine.scope import Scope
from scanplan.controller.engine.workqueue import ObjectName
from scanplan.controller.notify.notifiers import NotifierController
from scanplan.core.planning.targets.guard import Guard
from tests.unit.core.notify.objects import WEBHOOK, plan


def now_plan(name: str, age: timedelta = timedelta(0), **fields: Any) -> dict[str, Any]:
    """A plan that has ended a while ago."""
    body = plan(name, **fields)
    text = (datetime.now(UTC) - age).strftime("%Y-%m-%dT%H:%M:%SZ")
    body["status"]["completionTime"] = text
    for condition in body["status"]["conditions"]:
        condition["lastTransitionTime"] = text
    return body


def test_scans_of_long_ago_take_no_memory() -> None:
    """Thousands of settled plans are there when the operator starts."""
    scans = EndedScans()
    for number in range(100):
        scans.put(now_plan(f"old-{number}", timedelta(days=3)))
    scans.put(now_plan("new"))
    assert [each.plan for each in scans.of("shop")] == ["new"]
    scans.put({**now_plan("new"), "status": {"phase": "Running"}})
    assert scans.of("shop") == []
    scans.put(now_plan("new"))
    scans.drop(ObjectName("shop", "new"))
    assert scans.of("shop") == []


async def test_nothing_is_sent_to_addresses_of_the_api_server_that_are_learned_later() -> None:
    """The operator reads them after its parts are made, and they change when a node is replaced."""
    policy = SimpleNamespace(guard=Guard(()))
    plans: Any = SimpleNamespace(
        api=SimpleNamespace(watch=lambda *_, **__: None), now=None, policy=policy, scope=Scope()
    )
    controller = NotifierController(plans, EndedScans(), Notifiers(), ("*",), "")
    assert not controller.policy.denies("192.0.2.7")
    policy.guard = Guard(("192.0.2.7/32",))
    assert controller.policy.denies("192.0.2.7")


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (TimeoutError(), "SecretUnavailable", "the API server did not answer the request for a Secret"),
        (aiohttp.ServerDisconnectedError(), "SecretUnavailable", "the API server did not answer"),
        (ApiException(status=503, reason="x"), "SecretUnavailable", "the API server answered 503 to the request"),
        (KeyError("hunter2"), "ReceiverUnreachable", "the operator failed with KeyError"),
    ],
)
async def test_why_the_secrets_of_a_receiver_cant_be_read(error: Exception, reason: str, words: str) -> None:
    """Lost otherwise: hours with a receiver and a network that are as they should be."""

    async def get_input(*_: object) -> bytes:
        raise error

    api = SimpleNamespace(watch=lambda *_, **__: None, get_input=get_input)
    plans: Any = SimpleNamespace(api=api, now=None, policy=SimpleNamespace(guard=Guard(())), scope=Scope())
    controller = NotifierController(plans, EndedScans(), Notifiers(), ("*",), "")
    metadata = {"namespace": "shop", "name": "team", "uid": "u", "generation": 1, "resourceVersion": "5"}
    body = {"metadata": {**metadata, "creationTimestamp": "2026-11-27T01:00:00Z"}, "spec": WEBHOOK}
    notice = Notice(event="Failed", time="2026-11-27T02:00:00Z", namespace="shop")
    outgoing = Outgoing(id="1", notice=notice, taken_time="2026-11-27T02:00:00Z")
    trouble = await controller._attempt(notifier_of(body), outgoing)
    assert trouble is not None
    assert (trouble.reason, trouble.lasting) == (reason, False)
    assert words in trouble.message
    assert "hunter2" not in trouble.message


def test_what_metrics_say_of_a_notifier() -> None:
    notifiers = Notifiers()
    metadata = {"namespace": "shop", "name": "team", "uid": "u", "generation": 1, "resourceVersion": "5"}
    notice = {"event": "Failed", "time": "2026-11-27T02:00:00Z", "namespace": "shop"}
    outbox = [{"id": str(number), "notice": notice, "takenTime": f"2026-11-27T02:0{number}:00Z"} for number in (3, 1)]
    created = {"creationTimestamp": "2026-11-27T01:00:00Z"}
    body = {"metadata": {**metadata, **created}, "spec": WEBHOOK, "status": {"outbox": outbox, "sent": 7}}
    assert notifiers.put(body)
    assert not notifiers.put(body)
    ((name, facts),) = notifiers.facts()
    assert (name, facts.pending, facts.sent, facts.lost, facts.ready) == (ObjectName("shop", "team"), 2, 7, 0, False)
    assert facts.oldest == datetime(2026, 11, 27, 2, 1, tzinfo=UTC)
    notifiers.drop(ObjectName("shop", "team"), "u")
    assert not notifiers.put(body), "an answer that comes late brings nothing back"
