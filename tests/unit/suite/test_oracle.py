"""The fault lane's judge of lost findings and of rest. Lost otherwise: a fault that it excuses, or a failure without a fault."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass
class Write:
    at: float

    def __str__(self) -> str:
        return f"write at {self.at:.0f}"


class Clock:
    """The time of a test, which only `sleep` moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("written", "rest", "late"),
    [
        ([], 0.0, []),
        ([2.0, 7.0, 12.0], 12.0, []),
        ([7.0, 17.5], 7.0, []),
        ([float(second) for second in range(0, 60, 9)], 36.0, ["write at 27", "write at 36"]),
    ],
)
def test_an_operator_may_come_to_rest_late_but_not_never(
    written: list[float], rest: float, late: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(oracle, "time", clock)
    monkeypatch.setattr(oracle, "UNREST", 30.0)

    def attempts_since(moment: float) -> list[Any]:
        return [Write(at) for at in written if moment <= at <= clock.now]

    case = SimpleNamespace(quiet=10.0, proxies=[SimpleNamespace(attempts_since=attempts_since)])
    assert oracle.come_to_rest(cast("Any", case)) == (rest, late)
