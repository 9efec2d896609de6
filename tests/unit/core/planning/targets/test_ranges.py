"""CIDR ranges as endpoints: what they are, and what is refused with which words.

Lost otherwise: hosts of a range that nobody scans, or hosts that the owner denies and a range hides.
"""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from scanplan.api.errors import InvalidEndpoint, InvalidPlan, TargetDenied
from scanplan.core.planning.sources import Input, Kind, Reference
from scanplan.core.planning.targets import endpoints, ranges
from scanplan.core.planning.targets.denied import DEFAULT_DENIED
from scanplan.core.planning.targets.guard import Guard
from scanplan.core.planning.task import Task, resolve
from tests.unit.core.objects import INPUTS, NOW, POLICY, plan

REFUSED = [
    ("10.1.0.0/", "number from 0 to 32"),
    ("10.1.0.0/33", "number from 0 to 32"),
    ("10.1.0.0/-1", "number from 0 to 32"),
    ("10.1.0.0/024", "number from 0 to 32"),
    ("10.1.0.0/255.255.255.0", "number from 0 to 32"),
    ("10.1.0.0/24/7", "number from 0 to 32"),
    ("10.1.0.0/24?x", "number from 0 to 32"),
    ("10.1.0.0/٢٤", "number from 0 to 32"),
    ("2001:db8::/129", "number from 0 to 128"),
    ("10.1.0.5/24", "bits after the prefix"),
    ("2001:db8::1/120", "bits after the prefix"),
    ("10.1.0/24", "a whole address"),
    ("10.1/16", "a whole address"),
    ("010.1.0.0/24", "a whole address"),
    ("0x0a.1.0.0/24", "a whole address"),
    ("167837696/24", "a whole address"),
    ("10.1.0.256/24", "a whole address"),
    ("2001:db8:::/120", "a whole address"),
    ("::ffff:10.1.0.0/120", "in IPv4"),
    ("fe80::%eth0/120", "without a zone"),
    ("[2001:db8::]/120", "no brackets"),
    ("10.1.0.0/24:8080", "no port"),
    ("10.1.0.0:8080/24", "no port"),
    ("[2001:db8::]:443/120", "no port"),
    ("10.1.0.0-10.1.0.255", "as a prefix"),
    ("10.1.0.0-255", "as a prefix"),
    ("2001:db8::1-2001:db8::9", "as a prefix"),
    ("2001:db8::1-9", "as a prefix"),
    ("[2001:db8::/120]", "no brackets"),
    ("[2001:db8::/120]:443", "no brackets"),
    ("10.0.0.0/8", "more than 65,536 addresses"),
    ("2001:db8::/64", "more than 65,536 addresses"),
    ("::/0", "more than 65,536 addresses"),
    ("app.example.com/24", "a path needs a scheme"),
    ("app.example.com:8080/24", "a path needs a scheme"),
    ("AS4808", "AS numbers are not expanded"),
]


def task(*written: str, inputs: Any = INPUTS, policy: Any = POLICY, **spec: Any) -> Task:
    return resolve(plan(endpoints=list(written), **spec), policy, NOW, inputs)


@pytest.mark.parametrize(("written", "words"), REFUSED)
def test_a_bad_range_says_what_to_write(written: str, words: str) -> None:
    with pytest.raises(InvalidEndpoint, match=words):
        endpoints.canonical_all([written])
    with pytest.raises(InvalidPlan, match=words):
        task(written)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("10.1.0.0/30", ("10.1.0.0", "10.1.0.1", "10.1.0.2", "10.1.0.3")),
        ("10.1.0.4/31", ("10.1.0.4", "10.1.0.5")),
        ("10.1.0.4/32", ("10.1.0.4",)),
        ("2001:DB8:0::/127", ("[2001:db8::1]", "[2001:db8::]")),
        ("http://10.1.0.0/24", ("http://10.1.0.0/24",)),
    ],
)
def test_every_address_of_a_range_is_an_endpoint(written: str, expected: tuple[str, ...]) -> None:
    assert endpoints.canonical_all([written]) == expected
    assert task(written).document.endpoints == expected


@hypothesis.given(st.ip_addresses(), st.integers(0, 16))
def test_addresses_of_a_range_are_canonical_endpoints(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, bits: int
) -> None:
    network = ipaddress.ip_network((address, address.max_prefixlen - min(bits, 6)), strict=False)
    hypothesis.assume(not getattr(network.network_address, "ipv4_mapped", None))
    found = endpoints.canonical_all([str(network)])
    assert len(found) == network.num_addresses
    assert [endpoints.canonical(each) for each in found] == list(found)


@hypothesis.given(st.text(alphabet="0123456789abcdef.:/[]%x-AS", max_size=24))
def test_any_text_is_an_endpoint_or_refused(text: str) -> None:
    try:
        found = endpoints.canonical_all([text])
    except InvalidEndpoint:
        return
    assert found == endpoints.canonical_all(found)


def test_the_key_is_of_the_addresses_however_they_are_written() -> None:
    """Lost otherwise: a second scan of the same hosts."""
    listed = task("10.1.0.0", "10.1.0.1", "10.1.0.2", "10.1.0.3")
    assert task("10.1.0.0/30").key == listed.key == task("10.1.0.0/31", "10.1.0.2/31", "10.1.0.1").key


def test_the_hosts_of_a_range_are_shared_out() -> None:
    made = task("10.1.0.0/24", sharding={"maxEndpointsPerShard": 64})
    assert (len(made.document.endpoints), made.document.shards) == (256, 4)


def test_a_config_map_may_have_ranges() -> None:
    where = Reference(Kind.CONFIG_MAP, "targets")
    inputs = {**INPUTS, where: Input(files={"list": b"10.1.0.0/31\n# more\n2001:db8::/127\n"})}
    source = {"endpointsFrom": [{"configMapKeyRef": {"name": "targets", "key": "list"}}]}
    assert len(task(inputs=inputs, **source).document.endpoints) == 4
    bad = {**INPUTS, where: Input(files={"list": b"10.1.0.0/31\n10.1.0.5/24\n"})}
    with pytest.raises(InvalidEndpoint, match="line 2: the address has bits"):
        task(inputs=bad, **source)


@pytest.mark.parametrize(
    ("written", "denied"),
    [
        ("169.254.169.0/24", "169.254.0.0/16"),
        ("127.0.0.0/30", "127.0.0.0/8"),
        ("100.100.100.192/26", "100.100.100.200/32"),
        ("fe80::/120", "fe80::/10"),
        ("64:ff9b::a9fe:a900/120", "169.254.0.0/16"),
        ("2001:0:1::/120", "2001::/32"),
    ],
)
def test_a_range_hides_nothing_from_the_guard(written: str, denied: str) -> None:
    """Lost otherwise: the cloud's credentials."""
    policy = replace(POLICY, guard=Guard(DEFAULT_DENIED))
    with pytest.raises(TargetDenied, match="may not be scanned"):
        task(written, policy=policy)
    with pytest.raises(TargetDenied):
        policy.guard.check(endpoints.canonical_all([written]))
    assert denied in policy.guard.entries


@hypothesis.given(
    st.ip_addresses(), st.integers(0, 6), st.sampled_from(["10.0.0.0/8", "2001::/16", "::/100", "192.0.2.7/32"])
)
def test_the_guard_of_ranges_is_that_of_their_addresses(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, bits: int, denied: str
) -> None:
    guard = Guard((denied,))
    network = ipaddress.ip_network((address, address.max_prefixlen - bits), strict=False)
    one_by_one = any(guard.covering(each) for each in network)
    assert bool(guard.covering_range(network)) is one_by_one


def test_all_ranges_of_a_plan_count_together() -> None:
    with pytest.raises(InvalidEndpoint, match="more than 65,536 addresses"):
        task("10.1.0.0/16", "10.2.0.0/32")


def test_only_what_fits_is_counted() -> None:
    """Lost otherwise: ranges of a list after one that is left out."""
    budget = ranges.Budget(256)
    wide, half = ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("10.1.0.0/25")
    with pytest.raises(InvalidEndpoint):
        budget.take(wide)
    for _ in range(2):
        budget.take(half)
    with pytest.raises(InvalidEndpoint):
        budget.take(half)
    budget.give_back(half)
    budget.take(half)


def test_the_owner_bounds_ranges_or_forbids_them() -> None:
    with pytest.raises(InvalidEndpoint, match="more than 256 addresses"):
        task("10.1.0.0/23", policy=replace(POLICY, max_range_addresses=256))
    with pytest.raises(InvalidEndpoint, match="allows no ranges"):
        task("10.1.0.0/32", policy=replace(POLICY, max_range_addresses=0))


def test_ranges_and_hosts_together_have_the_bound_of_all_endpoints() -> None:
    where = Reference(Kind.CONFIG_MAP, "targets")
    lines = "\n".join(f"h{number}.example" for number in range(99_999))
    inputs = {**INPUTS, where: Input(files={"list": lines.encode()})}
    source = {"endpointsFrom": [{"configMapKeyRef": {"name": "targets", "key": "list"}}]}
    with pytest.raises(InvalidEndpoint, match="more than 100,000 endpoints"):
        task("10.1.0.0/30", inputs=inputs, **source)


def test_a_range_is_found_in_the_bytes_of_an_input() -> None:
    """Lost otherwise: seconds in which all other plans, and the lease, wait."""
    assert ranges.IN_BYTES.search(b"a.example\n 10.1.0.0/16\n")
    assert not ranges.IN_BYTES.search(b"https://a.example/24\n")
