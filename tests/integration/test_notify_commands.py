"""`scanplan notify …` as people type it, against a real API server with an operator at work and a real receiver."""

from __future__ import annotations

import json

import pytest

from tests.fixtures.operators import StartOperator
from tests.fixtures.receivers import Answer, http_receiver
from tests.integration import command
from tests.integration.scene import Scene
from tests.integration.test_notifiers import LOCAL, edit, events, grant, manifest, reason, secret
from tests.kubectl import Kubectl

pytestmark = pytest.mark.integration


def scanplan(scene: Scene, *words: str, code: int = 0) -> str:
    """What a command for notifiers prints, which must end with `code`."""
    return command.scanplan(scene, "notify", *words, code=code)


def test_a_notifier_is_listed_and_tried(alone: Scene, administrator: Kubectl, start_operator: StartOperator) -> None:
    """Lost otherwise: a receiver that nobody has tried before the night in which it matters."""
    assert "no notifiers" in scanplan(alone, "list")
    assert "there is no ScanNotifier 'team'" in scanplan(alone, "test", "team", code=66)
    start_operator(**LOCAL)
    alone.kubectl.apply(manifest())
    reason(alone, "SecretUnavailable")
    assert "SecretUnavailable" in scanplan(alone, "test", "team", code=75)
    grant(alone, administrator)
    with http_receiver() as receiver:
        secret(alone, receiver.url())
        edit(alone, metadata={"edit": "1"})
        assert "the receiver took the message" in scanplan(alone, "test", "team")
        assert events(receiver)[-1]["type"] == "dev.scanplan.scan.test"
        receiver.always = Answer(503)
        assert "ReceiverRefused: the receiver answered 503; trying again" in scanplan(alone, "test", "team", code=75)
        (listed,) = json.loads(scanplan(alone, "list", "--output", "json"))["items"]
        assert listed["status"]["pending"] == 1
        row = scanplan(alone, "list").splitlines()[-1].split()
        assert row[:2] == ["team", "webhook"]
        assert "ReceiverRefused" in row
