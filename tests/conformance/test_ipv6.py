"""IPv6 targets, alone and beside IPv4 ones: each is scanned, judged, guarded and reported as any other."""

from __future__ import annotations

import json
import socket
import socketserver
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from scanplan.api.documents.task import ScannerOptions
from scanplan.api.documents.words import Outcome
from scanplan.core.planning.targets.endpoints import canonical_all
from tests.conformance.conftest import needs_ipv6
from tests.conformance.desk import Desk, Server
from tests.conformance.test_proxy import Http, Proxy, Socks, through

pytestmark = needs_ipv6

TCP = """id: tcp
info: {name: tcp, author: t, severity: info}
tcp: [{inputs: [{data: "GET / HTTP/1.0\\r\\n\\r\\n"}], host: ["{{Hostname}}"], matchers: [{type: word, words: [hello]}]}]
"""


class Server6(Server):
    """The same on IPv6."""

    address_family = socket.AF_INET6

    def __init__(self) -> None:
        super().__init__("::1")

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"http://[::1]:{self.port}"


@pytest.fixture
def six() -> Iterator[Server6]:
    with Server6() as server:
        yield server


def found(desk: Desk) -> list[dict[str, Any]]:
    (merged,) = desk.folder.glob("run/tasks/*/nuclei_output.ndjson")
    return [json.loads(line) for line in merged.read_text().splitlines()]


FORMS = ["http://[::1]:{}", "[::1]:{}", "http://[0:0:0:0:0:0:0:1]:{}", "http://[::1]:{}/shop"]


@pytest.mark.parametrize("form", FORMS)
def test_an_address_is_scanned_in_each_form(desk: Desk, six: Server6, form: str) -> None:
    """Lost otherwise: all of an IPv6-only cluster."""
    desk.write("title.yaml", "other.yaml")
    report, record = desk.scan(*canonical_all([form.format(six.port)]))
    assert (report.outcome, report.error, report.warnings) == (Outcome.COMPLETE, None, ())
    assert (report.findings.total, record.endpoints_scanned, six.count >= 2) == (2, 1, True)
    assert {(event["host"], event["port"]) for event in found(desk)} == {("::1", str(six.port))}


def test_both_families_are_scanned_in_one_plan(desk: Desk, six: Server6, live: Server) -> None:
    desk.write("title.yaml", "other.yaml")
    report, record = desk.scan(six.url, live.url, f"http://localhost:{live.url.rpartition(':')[2]}")
    assert (report.outcome, report.error) == (Outcome.COMPLETE, None)
    assert (report.findings.total, record.endpoints_scanned) == (6, 3)


def test_a_dead_address_is_told(desk: Desk, six: Server6) -> None:
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        dead = f"http://[::1]:{probe.getsockname()[1]}"
    desk.write("title.yaml")
    report, record = desk.scan(six.url, dead)
    assert (report.outcome, record.endpoints_unreachable) == (Outcome.COMPLETE, (dead,))
    assert any(dead in warning for warning in report.warnings)


def test_tcp_templates_reach_it(desk: Desk, six: Server6, only_real: Callable[[str], None]) -> None:
    only_real("speaks http only")
    desk.put("tcp.yaml", TCP)
    report, record = desk.scan(f"[::1]:{six.port}")
    assert (report.outcome, report.error, report.findings.total) == (Outcome.COMPLETE, None, 1)
    assert record.endpoints_scanned == 1


@pytest.mark.parametrize("endpoint", ["http://[::1]:{}", "http://ip6-localhost:{}", "http://[::ffff:127.0.0.1]:{}"])
def test_the_guard_holds(desk: Desk, six: Server6, live: Server, endpoint: str) -> None:
    desk.write("title.yaml")
    desk.options["denied_targets"] = ("::1/128", "127.0.0.0/8")
    report, _ = desk.scan(endpoint.format(six.port))
    assert report.outcome is not Outcome.COMPLETE
    assert (six.count, live.count) == (0, 0)


def test_a_host_of_the_other_family_is_not_denied_with_it(desk: Desk, six: Server6, live: Server) -> None:
    desk.write("title.yaml")
    desk.options["denied_targets"] = ("127.0.0.0/8",)
    report, record = desk.scan(six.url)
    assert (report.outcome, report.findings.total, live.count) == (Outcome.COMPLETE, 1, 0)
    assert record.endpoints_scanned == 1


def test_limits_hold_for_each_address(desk: Desk, six: Server6, live: Server) -> None:
    desk.write("title.yaml", "other.yaml")
    desk.options["scanner"] = ScannerOptions(
        request_timeout_seconds=2, request_retries=0, rate_limit=50, host_rate_limit=50
    )
    report, record = desk.scan(six.url, live.url)
    assert (report.findings.total, record.endpoints_scanned) == (4, 2)


BARE = """id: bare
info: {name: bare, author: t, severity: info}
tcp:
  - {inputs: [{data: "GET / HTTP/1.0\\r\\n\\r\\n"}], host: ["{{Hostname}}"], port: PORT, matchers: [{type: word, words: [hello]}]}
"""


def test_each_address_of_a_range_is_scanned(desk: Desk, six: Server6, only_real: Callable[[str], None]) -> None:
    """An address of a range has no port: each template takes its own."""
    only_real("speaks http only")
    desk.put("bare.yaml", BARE.replace("PORT", str(six.port)))
    endpoints = canonical_all(["::/127"])
    assert endpoints == ("[::1]", "[::]")
    report, record = desk.scan("[::1]")
    assert (report.outcome, report.error, report.findings.total) == (Outcome.COMPLETE, None, 1)
    assert record.endpoints_scanned == 1


class Socks6(Socks):
    """SOCKS 5 with IPv6 addresses."""

    def handle(self) -> None:
        self.request.recv(3)
        self.request.sendall(b"\x05\x00")
        kind = self.request.recv(4)[3]
        host = socket.inet_ntop(socket.AF_INET6, self.request.recv(16)) if kind == 4 else ""
        if not host:
            host = self.request.recv(self.request.recv(1)[0]).decode() if kind == 3 else "?"
        port = int.from_bytes(self.request.recv(2), "big")
        self.request.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        self.forward(host.strip("[]"), port, b"")


class Http6(Http):
    """An HTTP proxy that reads IPv6 addresses."""

    def handle(self) -> None:
        head = self.request.recv(65536)
        method, url, rest = head.split(b" ", 2)
        parts = urlsplit(url.decode())
        self.forward(parts.hostname or "", parts.port or 80, b" ".join((method, (parts.path or "/").encode(), rest)))


@pytest.mark.parametrize(("scheme", "kind"), [("http", Http6), ("socks5", Socks6)])
def test_a_proxy_leads_to_it(
    desk: Desk, six: Server6, only_real: Callable[[str], None], scheme: str, kind: type[socketserver.BaseRequestHandler]
) -> None:
    only_real("has no proxies")
    with Proxy(kind) as proxy:
        desk.write("title.yaml")
        desk.options["scanner"] = through(f"{scheme}://127.0.0.1:{proxy.server_address[1]}")
        report, _ = desk.scan(six.url)
        proxy.shutdown()
    assert (report.outcome, report.error, report.findings.total) == (Outcome.COMPLETE, None, 1)
    assert set(proxy.forwarded) == {("::1", six.port)}


def test_past_a_proxy_it_goes_direct(desk: Desk, six: Server6, only_real: Callable[[str], None]) -> None:
    only_real("has no proxies")
    with Proxy(Http6) as proxy:
        desk.write("title.yaml")
        desk.options["scanner"] = through(f"http://127.0.0.1:{proxy.server_address[1]}", "::/64")
        report, _ = desk.scan(six.url)
        proxy.shutdown()
    assert (report.outcome, report.findings.total, proxy.forwarded) == (Outcome.COMPLETE, 1, [])
