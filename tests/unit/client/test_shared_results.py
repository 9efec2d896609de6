"""What a cluster that takes another one's result says of it: no better than that cluster said."""

from __future__ import annotations

from typing import Any

import pytest

from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.client.redis.sharing import _result_of
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
