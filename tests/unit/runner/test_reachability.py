"""Endpoints that never answered must be known by name, although Nuclei ends well without them."""

from __future__ import annotations

import json

import pytest

from scanplan.runner.nuclei.reachability import Silent, address, silent
from scanplan.runner.nuclei.statistics import ScannerLog


def log(*, total: int = 2, hosts: int = 1, skipped: tuple[str, ...] = ()) -> ScannerLog:
    log = ScannerLog(0.0)
    log.total, log.hosts, log.skipped = total, hosts, set(skipped)
    return log


def failed(
    url: str, kind: str = "network-permanent-error", error: str = "port closed or filtered", where: str = ""
) -> bytes:
    return json.dumps(
        {"template": "t", "type": "http", "input": url, "address": where, "error": error, "kind": kind}
    ).encode()


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("http://a.example", "a.example:80"),
        ("https://a.example/x", "a.example:443"),
        ("https://a.example:8443", "a.example:8443"),
        ("a.example:22", "a.example:22"),
        ("a.example", "a.example"),
        ("http://[2001:db8::1]:8080", "[2001:db8::1]:8080"),
    ],
)
def test_addresses(endpoint: str, expected: str) -> None:
    assert address(endpoint) == expected


def test_a_skipped_host_is_unreachable() -> None:
    endpoints = ["http://a.example", "http://a.example/2", "http://b.example", "http://[2001:db8::1]:8080"]
    found = silent(endpoints, log(total=400, hosts=4, skipped=("a.example:80", "2001:db8::1:8080")), [])
    assert found.unreachable == ("http://a.example", "http://a.example/2", "http://[2001:db8::1]:8080")


def test_all_requests_failed_is_unreachable_although_nuclei_doesnt_say_so() -> None:
    endpoints = ["http://a.example", "http://b.example"]
    lines = [failed("http://a.example/1"), failed("http://a.example/2"), failed("http://b.example/1")]
    assert silent(endpoints, log(total=4, hosts=2), lines).unreachable == ("http://a.example",)


def test_an_endpoint_without_scheme_is_found_under_the_one_that_nuclei_guessed() -> None:
    lines = [
        failed("https://a.example:18098/1", where="a.example:18098"),
        failed("https://b.example/1", where="b.example:443"),
    ]
    assert silent(["a.example:18098", "b.example"], log(total=2, hosts=2), lines).unreachable == (
        "a.example:18098",
        "b.example",
    )


def test_failures_at_endpoints_that_do_answer_are_counted() -> None:
    lines = [failed("http://a.example/1"), failed("http://a.example/2"), failed("http://b.example/1")]
    found = silent(["http://a.example", "http://b.example"], log(total=4, hosts=2), lines)
    assert found == Silent(("http://a.example",), failed_elsewhere=1)


def test_errors_of_templates_and_broken_lines_say_nothing_about_a_host() -> None:
    lines = [failed("http://a.example/1", kind="template-logic-error"), b"{", b"\xff", b"[]", b""]
    assert silent(["http://a.example"], log(total=1), lines) == Silent()


def test_a_name_that_resolves_to_a_denied_address_is_told_apart() -> None:
    lines = [failed("http://a.example/1", error='cause="denied address found for host"')]
    assert silent(["http://a.example"], log(total=1), lines) == Silent(("http://a.example",), ("http://a.example",))
