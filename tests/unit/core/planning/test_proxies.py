"""Proxies of scans: what NO_PROXY covers, as Go reads it, and what the owner allows."""

from __future__ import annotations

from typing import Any

import pytest

from scanplan.api.errors import InvalidEndpoint, InvalidPlan, TargetDenied
from scanplan.api.v1alpha1.scan_defaults import ScanDefaults
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.core.planning import scan_defaults
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.proxies import choice
from scanplan.core.planning.proxies.no_proxy import NoProxy
from scanplan.core.planning.targets.endpoints import canonical

COVERED = [
    ("*", "http://anything.example", True),
    ("example.com", "https://example.com/x", True),
    ("example.com", "a.b.example.com:8443", True),
    ("example.com", "badexample.com", False),
    ("EXAMPLE.com.", "example.com", True),
    (".example.com", "example.com", False),
    (".example.com", "a.example.com", True),
    ("*.example.com", "a.example.com", True),
    ("*.example.com", "example.com", False),
    ("bücher.example", "xn--bcher-kva.example", True),
    ("example.com:8443", "https://example.com:8443", True),
    ("example.com:443", "https://example.com", True),
    ("example.com:443", "http://example.com", False),
    ("example.com:443", "example.com", False),
    ("svc.cluster.local", "http://web.shop.svc.cluster.local:8080", True),
    ("10.0.0.1", "http://10.0.0.1:8080", True),
    ("10.0.0.1", "http://10.0.0.10", False),
    ("0x0a000001", "10.0.0.1", True),
    ("10.0.0.1:80", "http://10.0.0.1", True),
    ("10.0.0.1:80", "http://10.0.0.1:81", False),
    ("10.0.0.0/8", "https://10.200.1.2", True),
    ("10.1.2.3/8", "10.200.1.2", True),
    ("10.0.0.0/8", "11.0.0.1", False),
    ("10.0.0.0/8", "http://a.example", False),
    ("::1", "http://[::1]:8080", True),
    ("[::1]", "http://[::1]:8080", True),
    ("[::1]:8080", "http://[::1]:8080", True),
    ("[::1]:8080", "http://[::1]:8081", False),
    ("2001:DB8:0::1", "[2001:db8::1]", True),
    ("fd00::/8", "http://[fd12::1]", True),
    ("fd00::/8", "http://[fe12::1]", False),
    ("::ffff:10.0.0.1", "10.0.0.1", True),
    ("corp", "http://intranet.corp", True),
]


@pytest.mark.parametrize(("entry", "endpoint", "covered"), COVERED)
def test_an_entry_covers_what_it_covers_for_other_programs(entry: str, endpoint: str, covered: bool) -> None:
    """Lost otherwise: targets that are sent to a proxy which knows no way to them."""
    assert NoProxy(["other.example", entry]).covers(canonical(endpoint)) is covered


@pytest.mark.parametrize(
    "entry", ["", "10.0.0.0/33", "a/b", "http://a.example", "a b", "1.2.3.4.5", "as123", "*x.example", ".", "a:b"]
)
def test_an_entry_that_would_never_match_is_refused(entry: str) -> None:
    with pytest.raises(InvalidEndpoint):
        NoProxy([entry])


OWNERS = "http://egress.example:3128"
OTHER = "socks5://other.example:1080"


def chosen(policy: Policy, **scanner: Any) -> tuple[str, tuple[str, ...]]:
    own = ScanPlanSpec.model_validate({"templates": ["t"], "endpoints": ["a"], "scanner": scanner})
    spec = scan_defaults.under(own, policy.scan_defaults) if policy.scan_defaults else own
    choice.check(spec, own, policy)
    return choice.of(spec, policy)


def policy(**fields: Any) -> Policy:
    return Policy(scanner_image="i", allowed_proxies=("socks5://other.example:*",), **fields)


def defaults(**scanner: Any) -> ScanDefaults:
    return ScanDefaults.model_validate({"scanner": scanner})


ALLOWED = [
    (policy(), {}, ("", ())),
    (policy(), {"noProxy": ["b", "a"]}, ("", ())),
    (policy(), {"proxy": OTHER, "noProxy": ["b", "a", "a"]}, (OTHER, ("a", "b"))),
    (policy(proxy=OWNERS, no_proxy=("c", "b")), {}, (OWNERS, ("b", "c"))),
    (policy(proxy=OWNERS, no_proxy=("c", "b")), {"noProxy": ["c"]}, (OWNERS, ("b", "c"))),
    (policy(proxy=OWNERS, no_proxy=("c", "b")), {"proxy": OTHER}, (OTHER, ())),
    (policy(proxy=OWNERS, no_proxy=("c", "b")), {"proxy": OTHER, "noProxy": ["b"]}, (OTHER, ("b",))),
    (policy(scan_defaults=defaults(proxy=OTHER, noProxy=["d"])), {}, (OTHER, ("d",))),
    (policy(scan_defaults=defaults(proxy=OTHER, noProxy=["d"])), {"noProxy": ["d"]}, (OTHER, ("d",))),
    (policy(proxy=OWNERS, scan_defaults=defaults(noProxy=["d"])), {}, (OWNERS, ("d",))),
]


@pytest.mark.parametrize(("policy", "scanner", "expected"), ALLOWED)
def test_a_plan_goes_by_its_own_proxy_or_the_owners(
    policy: Policy, scanner: dict[str, Any], expected: tuple[str, tuple[str, ...]]
) -> None:
    assert chosen(policy, **scanner) == expected


REFUSED = [
    (policy(), {"noProxy": ["10.0.0.0/33"]}, "scanner.noProxy '10.0.0.0/33': this is not a range"),
    (policy(proxy=OWNERS), {"noProxy": ["*"]}, "SCANPLAN_NO_PROXY"),
    (policy(proxy=OWNERS), {"proxy": OTHER, "noProxy": ["*"]}, "SCANPLAN_NO_PROXY"),
    (policy(proxy=OWNERS, no_proxy=("b",)), {"noProxy": ["b", "a"]}, "'a' would go past the proxy"),
    (policy(scan_defaults=defaults(proxy=OTHER, noProxy=["d"])), {"noProxy": ["a"]}, "would go past"),
    (policy(), {"proxy": "http://evil.example"}, "SCANPLAN_ALLOWED_PROXIES"),
]


@pytest.mark.parametrize(("policy", "scanner", "words"), REFUSED)
def test_a_plan_gets_past_the_owners_proxy_by_no_entry_of_its_own(
    policy: Policy, scanner: dict[str, Any], words: str
) -> None:
    """Lost otherwise: the one way out that the owner watches."""
    with pytest.raises(InvalidPlan) as caught:
        chosen(policy, **scanner)
    assert words in caught.value.message


def test_an_owners_proxy_at_a_denied_address_is_refused_too() -> None:
    with pytest.raises(TargetDenied):
        chosen(policy(proxy="http://169.254.169.254"))
