"""Names asked of DNS before a scan: one that leads where nobody may scan must not be scanned by chance."""

from __future__ import annotations

import threading
import time

import pytest

from scanplan.core.planning.targets.guard import Guard
from scanplan.runner.nuclei.judging import resolution

GUARD = Guard(["169.254.0.0/16", "10.96.0.1", "fd00:ec2::/32"])
ZONE = {
    "plain.example": ["192.0.2.1"],
    "both.example": ["192.0.2.1", "169.254.169.254"],
    "service.example": ["10.96.0.1"],
    "alike.example": ["10.96.0.10"],
    "six.example": ["2001:db8::1", "fd00:ec2::254"],
    "mapped.example": ["::ffff:169.254.169.254"],
    "nat64.example": ["64:ff9b::a9fe:a9fe"],
    "gone.example": [],
}


def denied(*targets: str) -> dict[str, str]:
    return resolution.denied(targets, GUARD, resolve=lambda name: ZONE[name])


@pytest.mark.parametrize(
    ("name", "covering"),
    [
        ("both.example", "169.254.0.0/16"),
        ("service.example", "10.96.0.1/32"),
        ("six.example", "fd00:ec2::/32"),
        ("mapped.example", "169.254.0.0/16"),
        ("nat64.example", "169.254.0.0/16"),
    ],
)
def test_one_denied_address_among_a_names_refuses_it(name: str, covering: str) -> None:
    assert denied("plain.example", f"https://{name}:8443/a") == {f"https://{name}:8443/a": covering}


def test_others_are_scanned() -> None:
    assert denied("plain.example", "alike.example", "gone.example:8080", "192.0.2.1", "https://[2001:db8::1]/") == {}


def test_each_name_is_asked_for_once_however_many_endpoints_it_has() -> None:
    asked: list[str] = []

    def resolve(name: str) -> list[str]:
        asked.append(name)
        return ZONE[name]

    targets = [f"https://both.example/{number}" for number in range(100)]
    assert set(resolution.denied(targets, GUARD, resolve=resolve)) == set(targets)
    assert asked == ["both.example"]


def test_a_resolver_that_hangs_ends_no_scan() -> None:
    never = threading.Event()

    def resolve(name: str) -> list[str]:
        if name == "gone.example":
            never.wait(60)
        return ZONE[name]

    began = time.monotonic()
    found = resolution.denied(("gone.example", "both.example"), GUARD, resolve=resolve, limit_seconds=0.5)
    never.set()
    assert set(found) == {"both.example"}
    assert time.monotonic() - began < 30


def test_an_interruption_is_heeded() -> None:
    never = threading.Event()

    def resolve(_: str) -> list[str]:
        never.wait(60)
        return ["169.254.169.254"]

    answer = resolution.denied(("a.example",), GUARD, stop=lambda: True, resolve=resolve, limit_seconds=60)
    never.set()
    assert answer == {}


def test_nothing_is_asked_where_nothing_is_denied() -> None:
    assert resolution.denied(("a.example",), Guard(()), resolve=lambda _: pytest.fail("asked")) == {}


def test_the_systems_resolver_knows_the_hosts_file_and_no_such_name_has_no_address() -> None:
    assert "127.0.0.1" in resolution.addresses("localhost")
    assert resolution.addresses("no-such-name.invalid") == []
    assert resolution.addresses("a" * 70 + ".example") == []
