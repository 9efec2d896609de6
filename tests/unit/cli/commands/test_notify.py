"""What `scanplan notify test` says of a message: whoever sets up a receiver learns what is wrong at once."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from scanplan.cli import plans
from scanplan.cli.commands.notify import outcome
from scanplan.cli.main import app
from scanplan.client.cluster import cluster as clusters
from scanplan.core.notify.outbox import id_of_test

READY = {"status": "True", "message": "words", "lastTransitionTime": "2026-11-27T02:00:00Z"}


def notifier(
    reason: str = "Delivered", *, last: str = "now", attempts: int | None = None, stalled: bool = False, **spec: Any
) -> dict[str, Any]:
    conditions = [{"type": "Ready", "reason": reason, **READY}]
    conditions += [{"type": "Stalled", "reason": reason, **READY}] if stalled else []
    notice = {"event": "Test", "time": "2026-11-27T02:00:00Z", "namespace": "shop"}
    waiting = {
        "id": id_of_test("u", "now"),
        "notice": notice,
        "takenTime": "2026-11-27T02:00:00Z",
        "attempts": attempts,
    }
    return {
        "metadata": {"uid": "u", "generation": 2},
        "spec": {"test": "now", **spec},
        "status": {
            "observedGeneration": 2,
            "conditions": conditions,
            "lastTest": last,
            "choiceDigest": "0123",
            "outbox": [] if attempts is None else [waiting],
        },
    }


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (notifier(), True),
        (notifier(last="before"), False),
        (notifier(attempts=0), False),
        (notifier("ReceiverRefused", attempts=1), "ReceiverRefused: words; trying again"),
        (notifier("SecretUnavailable", last="before", stalled=True), "SecretUnavailable: words"),
        (notifier("SecretUnavailable", attempts=0, stalled=True), "SecretUnavailable: words"),
        (notifier(suspend=True), "it is suspended, and sends the message when it no longer is"),
        ({**notifier(), "status": {"observedGeneration": -1}}, False),
    ],
)
def test_what_became_of_a_test_message(found: dict[str, Any], expected: str | bool) -> None:
    assert outcome(found, "now") == expected


class Operated:
    """A cluster whose operator acts on a notifier after so many looks; it sends what it is asked for later."""

    def __init__(self, looks: int, invalid: bool = False) -> None:
        self._looks = looks
        self._invalid = invalid
        self.asked_for: list[str] = []

    def named(self, *_: object) -> dict[str, Any]:
        self._looks -= 1
        if self._looks >= 0:
            return {**notifier(), "status": {}}
        found = notifier("InvalidSpec", stalled=True) if self._invalid else notifier()
        if self._invalid:
            del found["status"]["choiceDigest"]
        found["status"]["lastTest"] = self.asked_for[-1] if self.asked_for else None
        return found

    def change(self, _kind: object, _name: str, spec: dict[str, str]) -> dict[str, Any]:
        self.asked_for.append(spec["test"])
        return notifier()


@pytest.mark.parametrize(
    ("cluster", "wait", "code", "words", "asks"),
    [
        (Operated(0), 60, 0, "the receiver took the message", True),
        (Operated(3), 60, 0, "the receiver took the message", True),
        (Operated(10_000), 1, 75, "the operator has not seen it yet", False),
        (Operated(10_000), 0, 75, "the operator has not seen it yet", False),
        (Operated(0), 0, 0, "a test message is asked for", True),
        (Operated(0, invalid=True), 60, 75, "InvalidSpec: words", False),
    ],
    ids=["seen", "seen soon", "not seen", "not seen, no time", "seen, no time", "invalid"],
)
def test_no_message_is_asked_for_that_nobody_would_send(
    cluster: Operated, wait: int, code: int, words: str, asks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: "the receiver took the message", of a notifier whose first `spec.test` sends none."""
    monkeypatch.setattr(clusters, "connect", lambda *_: cluster)
    monkeypatch.setattr(plans, "_LOOK_SECONDS", 0.01)
    done = CliRunner().invoke(app, ["notify", "test", "team", "--wait", str(wait)])
    assert (done.exit_code, words in done.stderr, bool(cluster.asked_for)) == (code, True, asks), done.output
