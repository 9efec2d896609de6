"""The turns of which the reconcile's figure is made. Lost otherwise: a figure of something cheaper than it says."""

from __future__ import annotations

import pytest

from scanplan.core.reconcile import reconcile
from scanplan.core.reconcile.decision import Act, CreateJob, Decision, NeedInputs, NeedPods, NeedWorkload, Write
from tests.bench.pure import life
from tests.unit.core.objects import NOW


def kind(decision: Decision) -> str:
    """What a decision is about, in a word."""
    match decision:
        case NeedInputs():
            return "read"
        case NeedPods():
            return "pods"
        case NeedWorkload():
            return "workload"
        case Act(actions):
            return ", ".join(type(action).__name__ for action in actions)
        case Write(status=status):
            return str(status.phase) if status else "nothing"


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        ("new", "read"),
        ("its Job to be made", CreateJob.__name__),
        ("its pods have started", "Running"),
        ("no news", "nothing"),
        ("its Job has ended", "pods"),
        ("its result", "Completed"),
        ("settled", "nothing"),
    ],
)
def test_each_turn_leads_to_what_its_name_says(turn: str, expected: str) -> None:
    assert kind(reconcile.reconcile(life()[turn], NOW)) == expected


def test_no_turn_is_left_out() -> None:
    assert len(life()) == 7
