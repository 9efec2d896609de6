"""Runs that could not begin: once a later one is there, they never do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scanplan.controller.cache.runs import Runs
from scanplan.core.planning.sources import Input
from scanplan.core.planning.task import Plan, ScheduleReference
from scanplan.core.reconcile.decision import NeedInputs, Write
from tests.unit.core.objects import CLAIM, ago, plan, running_status
from tests.unit.core.reconcile.test_reconcile import decide, written

OWNER = ScheduleReference(name="nightly", uid="schedule-1")


def run(name: str = "nightly-202611240200", created: float = 600, **changes: Any) -> Plan:
    return replace(plan(name=name, uid=name), created=ago(created), schedule=OWNER, **changes)


def unready(generation: int = 1) -> Plan:
    """A run that waits for its claim."""
    status = written(decide(run(), pods=(), inputs={CLAIM: Input(problem="there is none")}))
    assert status["error"]["reason"] == "InputUnavailable"
    return replace(plan(status, generation=generation), schedule=OWNER)


def test_a_run_that_could_not_begin_does_not_begin_beside_a_later_one() -> None:
    """Lost otherwise, by an Ingress that comes late: the rest of a target that all kept runs begin to scan at once."""
    assert decide(unready(), inputs=None, has_later_run=True) == Write()
    assert isinstance(decide(unready(), inputs=None), NeedInputs), "the newest looks again"
    assert isinstance(decide(unready(generation=2), inputs=None, has_later_run=True), NeedInputs), "an edit asks for it"


def test_a_run_that_has_begun_goes_on_beside_a_later_one() -> None:
    begun = replace(plan(running_status()), schedule=OWNER)
    assert decide(begun, pods=(), has_later_run=True) == decide(begun, pods=())


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], False),
        ([run("nightly-202611230200", 900)], False),
        ([run("nightly-202611250200", 100)], True),
        ([run("nightly-t0123456789a", 600)], True),
        (
            [replace(run("weekly-202611250200", 100), schedule=ScheduleReference(name="weekly", uid="schedule-2"))],
            False,
        ),
        ([replace(run("by-hand", 100), schedule=None)], False),
    ],
)
def test_later_is_who_was_created_later(others: list[Plan], expected: bool) -> None:
    runs = Runs()
    for each in (run(), *others):
        runs.put(each)
    assert runs.supersede(run()) is expected
    assert not runs.supersede(plan()), "no run of a schedule"
