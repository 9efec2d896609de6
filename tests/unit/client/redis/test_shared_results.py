"""What a cluster that takes another one's result says of it: no better than that cluster said."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest

from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.client.redis.sharing import SharedTasks, _result_of
from scanplan.core.observed.sharing import OtherCluster
from scanplan.core.status import statuses
from tests.unit.core.objects import NOW, complete, merged, plan, report

COUNTS: list[dict[str, int]] = [
    {},
    {"endpoints_skipped": 1},
    {"endpoints_throttled": 1},
    {"endpoints_blocked": 2},
    {"templates_not_run": 3},
    {"requests": 21, "seconds": 2, "coverage": 987},
]


@pytest.mark.parametrize("counts", COUNTS, ids=str)
def test_what_was_not_scanned_there_is_told_here(counts: dict[str, int]) -> None:
    """A scan that was blocked or throttled would be a clean one in the other cluster."""
    usual: dict[str, Any] = {"endpoints_scanned": 2 - counts.get("endpoints_skipped", 0), "templates_run": 8}
    there = statuses.of_finished(plan(), complete(), [report(0)], merged(**usual, **counts), None, NOW)
    assert there.artifacts is not None
    result = _result_of(ScanPlanStatus.of({"status": there.document()}), there.artifacts)
    here = statuses.of_other_cluster(plan(), "id", "key", OtherCluster("other", "claim", result), NOW)
    told = ("EndpointsReachable", "TemplatesRun", "FindingsPresent")
    for kind in told:
        one, other = there.condition(kind), here.condition(kind)
        assert one is not None
        assert other is not None
        assert (one.status, one.reason) == (other.status, other.reason)
    for name in ("endpoint_count", "endpoints_skipped", "requests_sent", "sending_seconds", "coverage"):
        assert getattr(there, name) == getattr(here, name)


class _Redis:
    """Notes each script that is run."""

    def __init__(self) -> None:
        self.run: list[tuple[Any, ...]] = []

    async def eval(self, _script: str, _keys: int, key: str, *values: Any) -> int:
        self.run.append((key, *values))
        return 1


async def told(before: ScanPlanStatus | None, after: ScanPlanStatus, minutes: int = 0) -> list[tuple[Any, ...]]:
    """What Redis is told by the write of a status, some minutes after the scan has ended."""
    shared, redis = (
        SharedTasks("redis://nowhere.test", "here", 3_600, lambda: NOW + timedelta(minutes=minutes)),
        _Redis(),
    )
    shared._connection = cast("Any", redis)
    await shared.settle(plan(before.document() if before else None), after)
    return redis.run


@pytest.mark.parametrize("phase", [Phase.COMPLETED, Phase.FAILED])
async def test_an_end_is_told_once(phase: Phase) -> None:
    """Lost otherwise: an edit of an old plan hands out its old result anew, or gives away a task that runs here again."""
    end = replaced(finished(), phase=phase)
    assert len(await told(replaced(end, phase=Phase.RUNNING, completion_time=None), end)) == 1
    assert await told(end, replaced(end, reason="edited")) == []
    assert len(await told(end, replaced(end, task_key="another"))) == 1


@pytest.mark.parametrize(("minutes", "seconds"), [(-5, 3_600), (0, 3_590), (20, 2_390)])
async def test_a_result_answers_for_as_long_as_the_window_goes_on(minutes: int, seconds: int) -> None:
    """Lost otherwise: a result that was taken over late is used for longer than the window. The Job ended ten seconds ago."""
    ((*_, result, left),) = await told(None, finished(), minutes)
    assert (bool(result), left) == (True, seconds)


async def test_a_result_beyond_the_window_is_not_shared() -> None:
    ((*_, result, _),) = await told(None, finished(), 60)
    assert result == b""


def finished() -> ScanPlanStatus:
    return statuses.of_finished(plan(), complete(), [report(0)], merged(endpoints_scanned=2), None, NOW)


def replaced(status: ScanPlanStatus, **fields: Any) -> ScanPlanStatus:
    return status.model_copy(update=fields)
