"""The way of each target: by the plan's proxy, that of the environment, or none."""

from __future__ import annotations

import pytest

from scanplan.api.documents.task import ScannerOptions
from scanplan.runner.nuclei.launch.route import Route

PROXY = "http://user:secret@proxy:3128"
PLANS = "socks5://gate.example:1080"
ROWS = [
    ({}, (), "http://a", ""),
    ({"HTTPS_PROXY": PROXY}, (), "http://a", PROXY),
    ({"http_proxy": PROXY}, (), "a", PROXY),
    ({"ALL_PROXY": PROXY}, (), "a", PROXY),
    ({"HTTP_PROXY": PROXY, "NO_PROXY": "corp"}, (), "http://a.corp:80", ""),
    ({"HTTP_PROXY": PROXY, "NO_PROXY": "corp"}, (), "b.example", PROXY),
    ({"HTTP_PROXY": PROXY, "no_proxy": "*"}, (), "http://a", ""),
    ({"HTTP_PROXY": PROXY, "NO_PROXY": "x.example,10.0.0.0/8 y.example, 1/2/3,,"}, (), "10.1.2.3:80", ""),
    ({"HTTP_PROXY": PROXY, "NO_PROXY": "corp"}, ("b.example",), "a.corp", PLANS),
    ({"HTTP_PROXY": PROXY, "NO_PROXY": "corp"}, ("b.example",), "b.example", ""),
]


@pytest.mark.parametrize(("inherited", "direct", "endpoint", "expected"), ROWS)
def test_row_9_a_target_has_the_plans_proxy_or_the_environments(
    inherited: dict[str, str], direct: tuple[str, ...], endpoint: str, expected: str
) -> None:
    """Lost otherwise: targets that only the proxy reaches, or those that it does not reach."""
    options = ScannerOptions(proxy=PLANS, no_proxy=direct) if direct else ScannerOptions()
    assert Route(options, inherited).proxy_to(endpoint) == expected


def test_direct_targets_come_before_the_others() -> None:
    route = Route(ScannerOptions(proxy=PLANS, no_proxy=("b", "10.0.0.0/8")), {})
    assert route.ordered(["10.0.0.1", "a", "b", "c"]) == (("10.0.0.1", "b", "a", "c"), 2)
    assert Route(ScannerOptions(), {}).ordered(["b", "a"]) == (("b", "a"), 0)


def test_a_socks_proxy_hides_targets_from_a_connection_of_our_own() -> None:
    """Its handshakes would be judged by whether this machine reaches the target, and a dial would go past the proxy."""
    route = Route(ScannerOptions(proxy=PLANS, no_proxy=("b",)), {})
    assert (route.hides("a"), route.hides("b")) == (True, False)
    assert not Route(ScannerOptions(proxy=PROXY), {}).hides("a")
