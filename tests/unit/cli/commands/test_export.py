"""What `scanplan export retry --wait` makes of a plan's status: a pipeline ends with it."""

from __future__ import annotations

from typing import Any

import pytest

from scanplan.cli.commands.export import unexported


def plan(status: str | None, generation: int = 2, message: str = "") -> dict[str, Any]:
    exported = {
        "type": "Exported",
        "status": status,
        "reason": "ReceiverRefused" if status == "False" else "Exporting",
        "message": message,
        "lastTransitionTime": "2026-11-27T02:00:00Z",
    }
    conditions = [exported] if status else []
    return {
        "metadata": {"name": "nightly", "generation": 2},
        "spec": {},
        "status": {"observedGeneration": generation, "phase": "Completed", "conditions": conditions},
    }


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (plan("True"), ""),
        (plan("Unknown"), None),
        (plan(None), None),
        (plan("True", generation=1), None),
        (
            plan("False", message="bucket: the receiver answered 403"),
            "ReceiverRefused: bucket: the receiver answered 403",
        ),
    ],
)
def test_what_became_of_a_retry(found: dict[str, Any], expected: str | None) -> None:
    assert unexported(found) == expected
