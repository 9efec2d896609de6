"""The fault lane's judge of lost findings. Lost otherwise: a fault of the operator that it excuses, or a failure without one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.faults import oracle
from tests.faults.history import Event

PLANS = {name: {"metadata": {"uid": f"uid-{name}"}} for name in ("one", "two")}


def job(*plans: str) -> dict[str, Any]:
    owners = [{"kind": "ScanPlan", "uid": f"uid-{name}"} for name in plans]
    return {"metadata": {"name": "task", "namespace": "n", "ownerReferences": owners}}


def lost(jobs: list[Event], **phases: str) -> list[str]:
    plans = {
        name: {**PLANS[name], "status": {"phase": phase, "taskId": "task", "taskKey": "key"}}
        for name, phase in phases.items()
    }
    history = SimpleNamespace(now=lambda kind, _: plans if kind == "plan" else {}, events=lambda _: jobs)
    folder = SimpleNamespace(printed={"finding"}, merged={})
    case = SimpleNamespace(history=history, namespace="n", node=SimpleNamespace(claim={"key": folder}))
    return oracle.findings_lost(cast("Any", case))


def seen(version: int, *plans: str, gone: bool = False) -> Event:
    return Event(version=version, kind="job", object=job(*plans), gone=gone)


@pytest.mark.parametrize(
    ("jobs", "phases", "expected"),
    [
        ([seen(1, "one", "two"), seen(2, "two")], {"one": "Cancelled"}, []),
        ([seen(1, "one", "two"), seen(2, "two"), seen(3, "two", gone=True)], {"one": "Cancelled"}, []),
        ([seen(1, "one", "two"), seen(2, "two"), seen(3, "two", gone=True)], {"two": "Cancelled"}, ["finding"]),
        ([seen(1, "one"), seen(2, "one", gone=True)], {"one": "Cancelled"}, ["finding"]),
        ([seen(1, "one", "two")], {"one": "Failed"}, ["finding"]),
        ([], {"one": "Cancelled"}, ["finding"]),
    ],
)
def test_only_a_cancelled_plan_whose_scan_went_on_for_others_may_lack_what_was_found(
    jobs: list[Event], phases: dict[str, str], expected: list[str]
) -> None:
    assert lost(jobs, **phases) == expected
