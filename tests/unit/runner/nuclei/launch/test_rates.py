"""What Nuclei may send, so that neither a host nor the shard gets more than the plan says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanplan.api.documents.task import ScannerOptions
from scanplan.runner.nuclei.launch import rates
from scanplan.runner.nuclei.launch.rates import Rates


@pytest.mark.parametrize(
    ("rate", "host", "targets", "expected"),
    [
        (150, 0, ["http://a"], Rates(149, checks=True)),
        (19, 0, ["http://a"], Rates(19)),
        (1, 0, ["http://a"], Rates(1)),
        (150, 10, ["http://a"], Rates(10, per_host=True)),
        (150, 10, ["http://a", "http://a/b", "http://a:80"], Rates(10, per_host=True)),
        (150, 10, ["http://a", "https://a"], Rates(5, per_host=True)),
        (20, 10, ["http://a", "http://b", "http://c", "http://d"], Rates(5, per_host=True)),
        (150, 1_000, ["http://a", "http://b"], Rates(75, per_host=True)),
    ],
)
def test_limits_of_a_run(rate: int, host: int, targets: list[str], expected: Rates) -> None:
    assert rates.of(ScannerOptions(rate_limit=rate, host_rate_limit=host), targets) == expected


@given(st.integers(1, 10_000), st.integers(1, 10_000), st.integers(1, 300))
def test_neither_the_shards_limit_nor_a_hosts_is_passed(rate: int, host: int, count: int) -> None:
    options = ScannerOptions(rate_limit=rate, host_rate_limit=host)
    targets = [f"http://h{number}" for number in range(min(count, rates.most_endpoints(options)))]
    limit = rates.of(options, targets).limit
    assert limit <= max(1, host)
    assert limit * len(targets) <= rate
    assert rates.expected(options, count) <= rate
