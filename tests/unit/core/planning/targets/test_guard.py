"""What may not be scanned, in whatever way it is written.

A hole here lets anybody who may create a ScanPlan read the node's loopback, cloud credentials or the API server.
"""

from __future__ import annotations

import pytest

from scanplan.api.errors import InvalidEndpoint, TargetDenied
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning.targets import endpoints
from scanplan.core.planning.targets.denied import DEFAULT_DENIED
from scanplan.core.planning.targets.guard import Guard

DENIED = [
    # loopback
    "127.0.0.1",
    "127.0.0.1:6443",
    "127.8.9.10",
    "http://127.0.0.1/",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.01",
    "127.1",
    "127.0.0.1.",
    "http://127.0.0.1.:8080/",
    "１２７.０.０.１",
    "127。0。0。1",
    "0",
    "0.0.0.0",  # noqa: S104 - a target that must be refused
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]:8443",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "localhost",
    "LOCALHOST.",
    "http://localhost:9090/metrics",
    "app.localhost",
    "localhost.localdomain",
    "ｌｏｃａｌｈｏｓｔ",
    "ip6-localhost",
    "ip6-loopback",
    # link-local and cloud metadata
    "169.254.169.254",
    "http://169.254.169.254/latest/meta-data/",
    "0xa9fea9fe",
    "2852039166",
    "0251.0376.0251.0376",
    "[::ffff:169.254.169.254]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "100.100.100.200",
    "metadata.google.internal",
    "METADATA.google.internal.",
    # the API server
    "kubernetes.default",
    "https://kubernetes.default.svc",
    "https://kubernetes.default.svc.cluster.local:443/api",
]

ALLOWED = [
    "app.example.com",
    "192.0.2.1",
    "126.255.255.255",
    "128.0.0.1",
    "10.0.0.1",
    "[2001:db8::1]",
    "[64:ff9b::192.0.2.1]",
    "[2002:c000:201::1]",
    "notlocalhost",
    "localhost-app.example",
    "mykubernetes.default",
    "kubernetes.default-backend",
]


def check(guard: Guard, written: str) -> None:
    guard.check(endpoints.canonical_all([written]))


@pytest.mark.parametrize("written", DENIED)
def test_denied_in_every_form(written: str) -> None:
    with pytest.raises(TargetDenied, match="ask the operator's owner") as denied:
        check(Guard(DEFAULT_DENIED), written)
    assert denied.value.reason is Reason.TARGET_DENIED


@pytest.mark.parametrize(
    "written", ["https://user@127.0.0.1", "127.0.0.0/8", "a.example,127.0.0.1", "AS64512", "local\u00adhost"]
)
def test_forms_that_hide_or_expand_into_a_denied_target_are_no_endpoints_at_all(written: str) -> None:
    with pytest.raises(InvalidEndpoint):
        check(Guard(DEFAULT_DENIED), written)


@pytest.mark.parametrize("written", ALLOWED)
def test_everything_else_may_be_scanned(written: str) -> None:
    check(Guard(DEFAULT_DENIED), written)


def test_one_denied_endpoint_among_many_is_named_with_its_rule() -> None:
    with pytest.raises(TargetDenied, match=r"'https://10\.1\.2\.3' is in 10\.0\.0\.0/8"):
        Guard(["10.0.0.0/8"]).check(("a.example", "https://10.1.2.3", "https://z.example"))


@pytest.mark.parametrize(
    ("entry", "denied", "allowed"),
    [
        ("10.96.0.1", "10.96.0.1", "10.96.0.2"),
        ("10.1.2.3/8", "10.255.0.1", "11.0.0.1"),  # an owner who writes host bits means the network
        ("0x0a000001", "10.0.0.1", "10.0.0.2"),
        ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
        ("2001:db8::/32", "[2001:db8:1::1]", "[2001:db9::1]"),
        ("Corp.Example.", "wiki.corp.example", "corp2.example"),
        ("bücher.example", "www.xn--bcher-kva.example", "bucher.example"),
    ],
)
def test_the_owners_own_list(entry: str, denied: str, allowed: str) -> None:
    guard = Guard([entry])
    check(guard, allowed)
    with pytest.raises(TargetDenied):
        check(guard, denied)


@pytest.mark.parametrize(
    "entry", ["*.internal", "10.0.0.1-10.0.0.9", "10.0.0.0/33", "300.1.1.1", "http://x", "a b", ""]
)
def test_an_entry_that_could_never_match_is_refused_instead_of_protecting_nothing(entry: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        Guard([entry])


def test_an_empty_list_allows_everything() -> None:
    check(Guard(()), "127.0.0.1")
