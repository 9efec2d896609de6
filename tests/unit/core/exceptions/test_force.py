"""Which exceptions act for readers of results."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scanplan.core.exceptions.force import in_force
from scanplan.findings.exceptions import MAX_DAYS

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def stored(*, days: float = 30, status: object = None, generation: int | None = 2, **spec: Any) -> dict[str, Any]:
    """A ScanException object that ends in so many days."""
    ends = (NOW + timedelta(days=days)).isoformat()
    return {
        "metadata": {"name": "known", **({"generation": generation} if generation else {})},
        "spec": {"match": {"templates": ["a"]}, "expiresAt": ends, **spec},
        **({"status": status} if status is not None else {}),
    }


def stalled(generation: int = 2, **condition: Any) -> dict[str, Any]:
    """A status that refuses a generation."""
    return {
        "conditions": [
            {
                "type": "Stalled",
                "status": "True",
                "reason": "InvalidSpec",
                "message": "",
                "lastTransitionTime": "2026-11-27T11:00:00Z",
                "observedGeneration": generation,
                **condition,
            }
        ]
    }


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(stored(), id="not seen by an operator yet"),
        pytest.param(stored(generation=None), id="of a file"),
        pytest.param(stored(status={"conditions": []}), id="without conditions"),
        pytest.param(stored(status=stalled(generation=1)), id="an earlier generation was refused"),
        pytest.param(stored(status=stalled(status="False")), id="not refused"),
        pytest.param(stored(status=stalled(type="Reconciling")), id="another condition"),
        pytest.param(stored(status="of nonsense"), id="a status that can't be read"),
        pytest.param(stored(status={"conditions": {"type": "Stalled"}}), id="conditions that can't be read"),
        pytest.param(stored(days=MAX_DAYS), id="as long as any may last"),
        pytest.param(stored(aFieldOfLater=1), id="a field of a later version"),
    ],
)
def test_they_act(body: dict[str, Any]) -> None:
    """Lost otherwise: a decision, since a status that can't be read refuses nothing."""
    assert [each.name for each in in_force([body], NOW)] == ["known"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(stored(status=stalled()), id="refused"),
        pytest.param(stored(status=stalled(of_a_later_version=1)), id="refused by a later version"),
        pytest.param(stored(days=0), id="expired"),
        pytest.param(stored(days=MAX_DAYS + 1), id="longer than any may last"),
        pytest.param(stored(expiresAt="2026-11-27T13:00:00+02:00"), id="expired by a clock elsewhere"),
        pytest.param(stored(expiresAt="2026-12-24T00:00:00"), id="ends at a time without zone"),
        pytest.param(stored(expiresAt="soon"), id="ends at no time"),
        pytest.param(stored(expiresAt=None), id="without end"),
        pytest.param(stored(match={}), id="names nothing"),
        pytest.param(stored(match={"templates": []}), id="names no template"),
        pytest.param(stored(match={"templates": "a"}), id="a text for a list"),
        pytest.param(stored(match=None), id="no match"),
        pytest.param({"metadata": {"name": "known"}}, id="no spec"),
    ],
)
def test_they_do_not_act(body: dict[str, Any]) -> None:
    """Lost otherwise: an exception without an end, or the owner's bound, which only the operator knows."""
    assert in_force([body], NOW) == []


def test_one_that_does_not_act_leaves_the_others_in_force() -> None:
    assert len(in_force([stored(), stored(match={}), stored(status=stalled()), stored()], NOW)) == 2
