"""ScanNotifiers on a real API server, with real receivers: each message arrives, once if nothing dies, and says nothing secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from scanplan.api.documents.words import ErrorClass
from scanplan.api.exit_codes import ExitCode
from scanplan.api.v1alpha1.conditions import Reason
from tests.deploy import OPERATOR_ACCOUNT
from tests.fixtures.operators import StartOperator
from tests.fixtures.receivers import Answer, HttpReceiver, Request, http_receiver
from tests.integration import reports
from tests.integration.kubelet import index_of
from tests.integration.operator_process import OperatorProcess
from tests.integration.scene import Scene, condition, condition_types
from tests.integration.test_leadership import elect
from tests.kubectl import Kubectl, KubectlError, Manifest

NOTIFIERS = "/apis/scanplan.dev/v1alpha1/namespaces/{}/scannotifiers"
KEY = "whsec_" + base64.b64encode(b"k" * 32).decode()
OTHER_KEY = "whsec_" + base64.b64encode(b"o" * 32).decode()
TOKEN = "token-that-nobody-may-see"
LOCAL = {"SCANPLAN_NOTIFIER_HOSTS": "127.0.0.1", "SCANPLAN_DENIED_TARGETS": "169.254.0.0/16"}
"""Of an owner who lets notifiers send to the operator's own machine."""


def source(key: str, name: str = "hook") -> dict[str, Any]:
    return {"secretKeyRef": {"name": name, "key": key}}


def manifest(name: str = "team", hook: str = "hook", **spec: Any) -> Manifest:
    webhook = {"urlFrom": source("url", hook), "signingKeysFrom": [source("signing", hook)]}
    receiver = {} if {"slack", "teams", "email"} & spec.keys() else {"webhook": webhook}
    return {
        "apiVersion": "scanplan.dev/v1alpha1",
        "kind": "ScanNotifier",
        "metadata": {"name": name},
        "spec": {**receiver, **spec},
    }


def get(scene: Scene, name: str = "team") -> dict[str, Any]:
    found = scene.api.get(f"{NOTIFIERS.format(scene.namespace)}/{name}")
    assert found
    return found


def edit(scene: Scene, name: str = "team", **spec: Any) -> None:
    scene.api.patch(f"{NOTIFIERS.format(scene.namespace)}/{name}", {"spec": spec})


def reason(scene: Scene, expected: str, name: str = "team") -> dict[str, Any]:
    """Wait for the reason of Ready; returns the status."""
    seen: dict[str, Any] = {}

    def reached() -> bool:
        seen.update(get(scene, name))
        current = seen["status"]["observedGeneration"] == seen["metadata"]["generation"]
        return bool(current and condition(seen["status"], "Ready")["reason"] == expected)

    try:
        scene.eventually(reached)
    except AssertionError:
        raise AssertionError(f"{name} is still {seen['status']}") from None
    status: dict[str, Any] = seen["status"]
    return status


HOOK = "hook"
"""The Secret that most of these tests grant, and that one withholds."""


def secret(scene: Scene, url: str, name: str = HOOK, **values: str) -> None:
    """Create a Secret, or change it."""
    scene.kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "labels": {"scanplan.dev/use": "notifier"}},
            "stringData": {"url": url, "signing": KEY, **values},
        }
    )


def grant(scene: Scene, administrator: Kubectl, *names: str) -> None:
    """What `notifiers.secrets` of the chart grants."""
    administrator.in_namespace(scene.namespace).allow(
        OPERATOR_ACCOUNT, "notifiers", "get", "secrets", names=names or (HOOK,)
    )


def fail(scene: Scene, name: str, **spec: Any) -> None:
    """Run a plan whose scan fails for good."""
    scene.apply(name, **spec)
    (pod,) = scene.kubelet.pending(scene.started(name), 1)
    scene.kubelet.run(pod)
    report = reports.failed(ErrorClass.FATAL, Reason.TEMPLATES_NOT_FOUND, "there are none", index_of(pod))
    scene.kubelet.end(pod, ExitCode.FATAL, report)
    scene.phase("Failed", name)


def events(receiver: HttpReceiver) -> list[dict[str, Any]]:
    """What the receiver took, as events."""
    return [json.loads(request.body) for request in receiver.taken]


def is_signed(request: Request, key: bytes = b"k" * 32) -> bool:
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return f"v1,{expected}" in request.headers["webhook-signature"].split()


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as found:
        yield found


@pytest.fixture
def ready(
    alone: Scene, administrator: Kubectl, start_operator: StartOperator, receiver: HttpReceiver
) -> OperatorProcess:
    """A notifier that the operator has found its receiver of."""
    grant(alone, administrator)
    secret(alone, receiver.url(f"/{TOKEN}"))
    operator = start_operator(**LOCAL)
    alone.kubectl.apply(manifest(metadata={"team": "shop"}))
    reason(alone, "ReceiverFound")
    return operator


def test_what_the_definition_refuses(alone: Scene) -> None:
    """Each would send nothing, or not where its author meant."""
    mail = {"host": "mail.example.com", "from": "a@example.com", "to": ["b@example.com"]}
    channel = {"urlFrom": source("url")}
    for wrong in (
        manifest(slack=channel, teams=channel),
        manifest(email=mail, slack=channel),
        manifest(on=[]),
        manifest(on=["Failed", "Failed"]),
        manifest(on=["Started"]),
        manifest(minSeverity="severe"),
        manifest(webhook={"urlFrom": source("url"), "signingKeysFrom": []}),
        manifest(webhook={"urlFrom": source("url"), "signingKeysFrom": [source("a")] * 3}),
        manifest(webhook={"urlFrom": source("url", "../other"), "signingKeysFrom": [source("a")]}),
        manifest(email={**mail, "to": []}),
        manifest(email={**mail, "to": ["b@example.com\nBcc: c@example.com"]}),
        manifest(email={**mail, "from": "Somebody <a@example.com>"}),
        manifest(email={**mail, "host": "mail.example.com:25"}),
        manifest(email={**mail, "encryption": "None"}),
        manifest(email={**mail, "usernameFrom": source("user")}),
        manifest(metadata={"a b": "c"}),
        manifest(metadata={"a": "b\nc"}),
        manifest("x" * 64),
        {**manifest(), "spec": {}},
    ):
        with pytest.raises(KubectlError):
            alone.kubectl.apply(wrong)
    for name, right in (
        ("mail", manifest("mail", email={**mail, "usernameFrom": source("u"), "passwordFrom": source("p")})),
        ("slack", manifest("slack", slack=channel)),
        ("teams", manifest("teams", teams=channel, on=["Completed"], minSeverity="info")),
    ):
        alone.kubectl.apply(right)
        assert get(alone, name)["status"] == {"observedGeneration": -1}
    assert get(alone, "mail")["spec"]["on"] == ["NewFindings", "Failed", "Recovered"]


def test_a_scan_is_told_once_and_a_restart_tells_nobody_anew(
    alone: Scene, ready: OperatorProcess, receiver: HttpReceiver, start_operator: StartOperator
) -> None:
    alone.apply("nightly")
    alone.complete("nightly")
    alone.eventually(lambda: receiver.taken)
    (event,) = events(receiver)
    assert (event["type"], event["subject"]) == ("dev.scanplan.scan.newfindings", "scanplans/nightly")
    assert (event["data"]["new"], event["data"]["newTotal"], event["data"]["resolved"]) == ({"high": 1}, 1, 1)
    assert event["data"]["metadata"] == {"team": "shop"}
    (example,) = event["data"]["examples"]
    assert (example["severity"], example["template"]) == ("high", "open-admin")
    assert receiver.taken[0].headers["webhook-id"] == event["id"]
    assert receiver.taken[0].headers["content-type"].startswith("application/cloudevents+json")
    assert is_signed(receiver.taken[0])
    status = reason(alone, "Delivered")
    assert (status["sent"], status["pending"], status.get("outbox", [])) == (1, 0, [])
    assert TOKEN not in json.dumps(get(alone)) + ready.text()
    assert f":{receiver.port}" not in json.dumps(get(alone)) + ready.text()
    ready.kill()
    start_operator(**LOCAL)
    alone.apply("another", runId="another")
    alone.complete("another")
    alone.eventually(lambda: len(receiver.taken) == 2)
    assert len(receiver.requests) == 2


def test_hundreds_of_scans_that_ended_before_are_told_to_nobody(
    alone: Scene, administrator: Kubectl, start_operator: StartOperator, receiver: HttpReceiver
) -> None:
    grant(alone, administrator)
    secret(alone, receiver.url())
    operator = start_operator(WORKER_CONCURRENCY="1000", **LOCAL)
    alone.apply("first")
    alone.complete("first")
    ended = alone.plan("first")
    operator.stop()
    path = f"/apis/scanplan.dev/v1alpha1/namespaces/{alone.namespace}/scanplans"
    for number in range(200):
        plan = {**ended, "metadata": {"name": f"old-{number}"}}
        alone.api.create(path, plan)
        alone.api.patch(f"{path}/old-{number}/status", {"status": ended["status"]})
    time.sleep(2.0)
    alone.kubectl.apply(manifest())
    start_operator(WORKER_CONCURRENCY="1000", **LOCAL)
    reason(alone, "ReceiverFound")
    alone.apply("last", runId="last")
    alone.complete("last")
    alone.eventually(lambda: receiver.taken)
    assert [event["data"]["plan"] for event in events(receiver)] == ["last"]


def test_a_failure_and_the_recovery_after_it(alone: Scene, ready: OperatorProcess, receiver: HttpReceiver) -> None:
    """secureCodeBox's users learn of findings, and never that their scans have not run for weeks."""
    assert ready.alive
    edit(alone, on=["Failed", "Recovered"])
    reason(alone, "ReceiverFound")
    fail(alone, "night-1", runId="night")
    alone.apply("night-2", runId="night", rerun="2")
    alone.complete("night-2")
    alone.eventually(lambda: len(receiver.taken) == 2)
    failed, recovered = events(receiver)
    assert failed["type"].endswith(".failed")
    assert (failed["data"]["reason"], failed["data"]["plan"]) == ("TemplatesNotFound", "night-1")
    assert recovered["type"].endswith(".recovered")


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [
        (Answer(500), "ReceiverRefused"),
        (Answer(429, {"Retry-After": "7"}), "ReceiverRefused"),
        (Answer(302, {"Location": "http://127.0.0.1:1/"}), "ReceiverRefused"),
        (Answer(close=True), "ReceiverUnreachable"),
        (Answer(hang=True), "ReceiverUnreachable"),
    ],
    ids=["500", "429", "redirect", "close", "hang"],
)
def test_a_receiver_that_does_not_take_it_is_asked_again_with_the_same_id(
    alone: Scene, ready: OperatorProcess, receiver: HttpReceiver, answer: Answer, refusal: str
) -> None:
    assert ready.alive
    receiver.answers.append(answer)
    alone.apply("nightly")
    alone.complete("nightly")
    status = reason(alone, refusal)
    assert condition_types(status) == {"Ready", "Reconciling"}
    assert (status["pending"], status["outbox"][0]["attempts"]) == (1, 1)
    alone.eventually(lambda: receiver.taken)
    first, second = receiver.requests
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert is_signed(second)
    assert condition_types(reason(alone, "Delivered")) == {"Ready"}


def test_a_receiver_that_hangs_holds_up_neither_scans_nor_others(
    alone: Scene, administrator: Kubectl, start_operator: StartOperator, receiver: HttpReceiver
) -> None:
    grant(alone, administrator, "hook", "slow")
    with http_receiver() as slow:
        slow.always = Answer(hang=True)
        secret(alone, receiver.url())
        secret(alone, slow.url(), "slow")
        start_operator(**LOCAL)
        for number in range(6):
            alone.kubectl.apply(manifest(f"slow-{number}", "slow"))
            reason(alone, "ReceiverFound", f"slow-{number}")
        alone.kubectl.apply(manifest())
        reason(alone, "ReceiverFound")
        alone.apply("nightly")
        alone.complete("nightly")
        alone.eventually(lambda: len(slow.requests) >= 6)
        alone.eventually(lambda: receiver.taken)
        alone.apply("another", runId="another")
        alone.complete("another")
        alone.eventually(lambda: len(receiver.taken) == 2)


def test_a_killed_operator_sends_it_again_with_the_same_id(
    alone: Scene, ready: OperatorProcess, receiver: HttpReceiver, start_operator: StartOperator
) -> None:
    """It dies after the receiver has got the message, and before it knows or has written that."""
    receiver.hook = lambda _: ready.kill() if ready.alive else None
    alone.apply("nightly")
    alone.complete("nightly")
    alone.eventually(lambda: receiver.requests)
    start_operator(**LOCAL)
    alone.eventually(lambda: len(receiver.requests) == 2)
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    reason(alone, "Delivered")


def test_a_secret_that_comes_later_is_found_and_told_until_then(
    alone: Scene, administrator: Kubectl, start_operator: StartOperator, receiver: HttpReceiver
) -> None:
    start_operator(**LOCAL)
    alone.kubectl.apply(manifest())
    forbidden = reason(alone, "SecretUnavailable")
    assert condition_types(forbidden) == {"Ready", "Stalled"}
    grant(alone, administrator)
    edit(alone, metadata={"edit": "1"})
    alone.eventually(lambda: "there is none" in condition(get(alone)["status"], "Ready")["message"])
    secret(alone, "https://not-allowed.example/")
    edit(alone, metadata={"edit": "2"})
    denied = reason(alone, "ReceiverDenied")
    assert "not-allowed" not in json.dumps(denied)
    secret(alone, receiver.url())
    edit(alone, metadata={"edit": "3"})
    assert condition_types(reason(alone, "ReceiverFound")) == {"Ready"}


def test_keys_and_urls_are_read_for_each_message(alone: Scene, ready: OperatorProcess, receiver: HttpReceiver) -> None:
    """Rotation: first both keys sign, then the new one alone; nothing has to be restarted."""
    assert ready.alive
    keys = [source("signing"), source("next")]
    secret(alone, receiver.url(), next=OTHER_KEY)
    edit(alone, webhook={"urlFrom": source("url"), "signingKeysFrom": keys}, test="both")
    alone.eventually(lambda: receiver.taken)
    assert is_signed(receiver.taken[0])
    assert is_signed(receiver.taken[0], b"o" * 32)
    with http_receiver() as moved:
        secret(alone, moved.url(), signing=OTHER_KEY, next=OTHER_KEY)
        edit(alone, test="new")
        alone.eventually(lambda: moved.taken)
        assert is_signed(moved.taken[0], b"o" * 32)
        assert not is_signed(moved.taken[0])


def test_a_suspended_notifier_says_nothing_of_what_happened_meanwhile(
    alone: Scene, ready: OperatorProcess, receiver: HttpReceiver
) -> None:
    assert ready.alive
    edit(alone, suspend=True)
    reason(alone, "Suspended")
    alone.apply("meanwhile")
    alone.complete("meanwhile")
    time.sleep(2.0)  # statuses have whole seconds: what ends in the one of the resumption may still be told
    edit(alone, suspend=False)
    reason(alone, "ReceiverFound")
    alone.apply("after", runId="after")
    alone.complete("after")
    alone.eventually(lambda: receiver.taken)
    assert [event["data"]["plan"] for event in events(receiver)] == ["after"]


def test_a_selector_takes_the_plans_of_its_labels(alone: Scene, ready: OperatorProcess, receiver: HttpReceiver) -> None:
    assert ready.alive
    edit(alone, selector={"matchLabels": {"team": "shop"}})
    reason(alone, "ReceiverFound")
    for name in ("ours", "theirs"):
        alone.apply(name, runId=name)
        alone.kubectl("label", "scanplan", name, f"team={'shop' if name == 'ours' else 'other'}")
    for name in ("theirs", "ours"):
        alone.complete(name)
    alone.eventually(lambda: receiver.taken)
    assert [event["data"]["plan"] for event in events(receiver)] == ["ours"]


def test_a_standby_that_takes_over_tells_what_is_left(
    alone: Scene, administrator: Kubectl, start_operator: StartOperator, receiver: HttpReceiver
) -> None:
    grant(alone, administrator)
    secret(alone, receiver.url())
    leader = elect(administrator, start_operator, **LOCAL)
    alone.eventually(lambda: "leading" in leader.text())
    elect(administrator, start_operator, **LOCAL)
    alone.kubectl.apply(manifest())
    reason(alone, "ReceiverFound")
    receiver.answers.extend([Answer(500)] * 2)
    alone.apply("nightly")
    alone.complete("nightly")
    reason(alone, "ReceiverRefused")
    leader.kill()
    alone.eventually(lambda: receiver.taken)
    reason(alone, "Delivered")
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    assert len(receiver.taken) == 1
