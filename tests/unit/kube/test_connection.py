"""How the API server is reached: which way past a proxy, by the usual variables."""

from __future__ import annotations

import pytest

from scanplan.kube import connection

PROXY = "http://proxy.example:3128"
SERVICE = "https://172.30.0.1:443"
SIX = "https://[fd00::1]:443"
NAMED = "https://api.cluster.example:6443"
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("server", "no_proxy", "direct"),
    [
        (SERVICE, "", False),
        (SERVICE, ".svc,.cluster.local,10.128.0.0/14,172.30.0.0/16,localhost", True),
        (SERVICE, "10.128.0.0/14 172.30.0.0/16", True),
        (SERVICE, "10.128.0.0/14", False),
        (SERVICE, "172.30.0.1", True),
        (SERVICE, "172.30.0.1:443", True),
        (SERVICE, "172.30.0.1:6443", False),
        (SERVICE, "nonsense/x,,172.30.0.0/16", True),
        (SIX, "fd00::/8", True),
        (SIX, "fd00::1", True),
        (SIX, "[fd00::1]", True),
        (SIX, "10.0.0.0/8", False),
        (NAMED, "cluster.example", True),
        (NAMED, ".cluster.example", True),
        (NAMED, "API.cluster.example:6443", True),
        (NAMED, "example.org,10.0.0.0/8", False),
        (NAMED, "*", True),
        ("https://user@api.cluster.example:6443", "example.org", False),
    ],
)
def test_the_api_server_is_reached_direct_where_no_proxy_says_so(
    server: str, no_proxy: str, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: an operator of a cluster behind a proxy, whose own requests go where nobody knows the API server."""
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert connection._proxy(server) == (None if direct else PROXY)


def test_the_proxy_is_that_of_the_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    assert connection._proxy("http://127.0.0.1:8001") == PROXY
    assert connection._proxy(SERVICE) is None
