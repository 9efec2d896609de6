"""The plan's limit of requests holds for all of its shards together, whatever else is edited."""

from __future__ import annotations

from typing import Any

import pytest

from scanplan.api import labels
from scanplan.core.manifests import jobs
from scanplan.core.planning.nuclei import rates
from tests.unit.core.objects import POLICY, plan, task


@pytest.mark.parametrize(
    ("scanner", "parallelism", "shards", "shares", "rate"),
    [
        ({}, 4, 8, 4, 150),
        ({"maxRequestsPerSecond": 100}, 4, 8, 4, 25),
        ({"maxRequestsPerSecond": 100}, 4, 2, 2, 50),
        ({"maxRequestsPerSecond": 10}, 4, 8, 4, 2),
        ({"maxRequestsPerSecond": 3}, 4, 8, 3, 1),
        ({"maxRequestsPerSecond": 1}, 1_000, 1_000, 1, 1),
        ({"maxRequestsPerSecond": 1_000_000}, 4, 8, 4, 150),
        ({"maxRequestsPerSecond": 100, "rateLimit": 10}, 4, 8, 4, 10),
    ],
)
def test_shards_that_run_at_the_same_time_share_the_limit(
    scanner: dict[str, Any], parallelism: int, shards: int, shares: int, rate: int
) -> None:
    spec = plan(scanner=scanner, sharding={"parallelism": parallelism}).spec
    assert (rates.shares(spec, shards), rates.of_shard(spec, shards)) == (shares, rate)
    assert jobs.parallelism(spec, shards) == shares
    limit = scanner.get("maxRequestsPerSecond")
    assert limit is None or shares * rate <= limit


LIMITED: dict[str, Any] = {
    "scanner": {"maxRequestsPerSecond": 10},
    "sharding": {"maxEndpointsPerShard": 1, "parallelism": 1},
}


def test_the_job_says_by_how_many_shards_the_limit_was_divided() -> None:
    of = plan(**LIMITED)
    built = jobs.build(task(of), of, POLICY)
    assert built["metadata"]["annotations"][labels.RATE_SHARES] == "1"
    assert task(of).document.scanner.rate_limit == 10
    unlimited = plan()
    assert labels.RATE_SHARES not in jobs.build(task(unlimited), unlimited, POLICY)["metadata"]["annotations"]


@pytest.mark.parametrize("limits", [{"maxRequestsPerSecond": 5}, {"maxRequestsPerSecondPerHost": 5}])
def test_a_limit_is_no_part_of_the_key(limits: dict[str, int]) -> None:
    """It changes how fast a scan is, not what it finds: another limit must not scan again."""
    assert task(plan(scanner=limits)).key == task(plan()).key
