"""How endpoints are cut into shards: by host, evenly, and the same in every pod.

If a host were in two shards, it would be hit at twice its rate limit; if the cut differed between pods, endpoints would be
scanned twice or not at all.
"""

from __future__ import annotations

import random
from collections import Counter

import hypothesis
import pytest
from hypothesis import strategies as st

from scanplan.core.planning import shards


@st.composite
def tasks(draw: st.DrawFn) -> tuple[str, ...]:
    """Canonical endpoints of some hosts, a few of them large, up to some thousands in all."""
    sizes = draw(st.lists(st.one_of(st.integers(1, 4), st.integers(1, 400)), min_size=1, max_size=60))
    endpoints = [f"https://h{host}.example/{path}" for host, size in enumerate(sizes) for path in range(size)]
    return tuple(sorted(endpoints))


@hypothesis.given(tasks(), st.integers(1, 70))
@hypothesis.settings(max_examples=60)
def test_every_endpoint_is_in_one_shard_and_every_host_too(endpoints: tuple[str, ...], count: int) -> None:
    cut = shards.cut(endpoints, count)
    assert len(cut) == count
    assert sorted(endpoint for shard in cut for endpoint in shard) == list(endpoints)
    seen = Counter(host for shard in cut for host in {shards.host_of(endpoint) for endpoint in shard})
    assert set(seen.values()) == {1}


@hypothesis.given(tasks(), st.integers(1, 70))
@hypothesis.settings(max_examples=60)
def test_shards_differ_by_no_more_than_the_largest_host(endpoints: tuple[str, ...], count: int) -> None:
    sizes = [len(shard) for shard in shards.cut(endpoints, count)]
    largest = max(Counter(shards.host_of(endpoint) for endpoint in endpoints).values())
    assert max(sizes) - min(sizes) <= largest


@hypothesis.given(tasks(), st.integers(1, 70), st.randoms(use_true_random=False))
@hypothesis.settings(max_examples=30)
def test_the_cut_depends_on_nothing_but_endpoints_and_count(
    endpoints: tuple[str, ...], count: int, chance: random.Random
) -> None:
    shuffled = list(endpoints)
    chance.shuffle(shuffled)
    assert [set(shard) for shard in shards.cut(shuffled, count)] == [
        set(shard) for shard in shards.cut(endpoints, count)
    ]
    assert shards.cut(endpoints, count) == shards.cut(endpoints, count)


def test_a_hundred_thousand_endpoints_are_cut() -> None:
    endpoints = [f"https://h{number % 20_000}.example/{number}" for number in range(100_000)]
    sizes = [len(shard) for shard in shards.cut(endpoints, 400)]
    assert sum(sizes) == 100_000
    assert max(sizes) - min(sizes) <= 5


@pytest.mark.parametrize(
    ("hosts", "each", "maximum", "count", "why"),
    [
        (1, 1, 250, 1, "one endpoint, one shard"),
        (250, 1, 250, 1, "just full"),
        (251, 1, 250, 2, "one more"),
        (3, 1000, 250, 3, "a host is never divided, so there are no more shards than hosts"),
        (100_000, 1, 1, 1_000, "status and pods of a Job stay readable"),
    ],
)
def test_how_many_shards(hosts: int, each: int, maximum: int, count: int, why: str) -> None:
    endpoints = [f"https://h{host}.example/{path}" for host in range(hosts) for path in range(each)]
    assert shards.shard_count(endpoints, maximum) == count, why


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("a.example", "a.example"),
        ("a.example:8443", "a.example"),
        ("https://a.example:8443/x?u=https://b.example", "a.example"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("https://[2001:db8::1]:8443/", "2001:db8::1"),
    ],
)
def test_the_host_of_an_endpoint(endpoint: str, host: str) -> None:
    assert shards.host_of(endpoint) == host


def test_a_shards_name_is_its_content() -> None:
    """A Job that is made again finds published shards by it: equal content, equal name, on every machine."""
    assert shards.content_digest(["a.example", "b.example"]) == "2a191a2b08b137ec"
    assert shards.content_digest(["a.example"]) != shards.content_digest(["b.example"])
    assert shards.content_digest(["a", "b"]) != shards.content_digest(["a b"])
