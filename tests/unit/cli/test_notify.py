"""What `scanplan notify test` says of a message: whoever sets up a receiver learns what is wrong at once."""

from __future__ import annotations

from typing import Any

import pytest

from scanplan.cli.commands.notify import outcome
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
