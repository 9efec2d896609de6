"""Scans through a proxy: an HTTP and a SOCKS one reach Nuclei, and the target guard still looks before the scan."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from scanplan.api.documents.task import ScannerOptions
from scanplan.api.documents.words import Outcome
from tests.conformance.desk import Desk, Server, dead_urls
from tests.conformance.laboratory import Laboratory


class Proxy(socketserver.ThreadingTCPServer):
    """A proxy that counts what it forwards."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, kind: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), kind)
        self.forwarded: list[tuple[str, int]] = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class _Forward(socketserver.BaseRequestHandler):
    unreachable = b""
    """Said of a target that takes no connection."""

    def forward(self, host: str, port: int, first: bytes) -> None:
        assert isinstance(self.server, Proxy)
        self.server.forwarded.append((host, port))
        try:
            there = socket.create_connection((host, port))
        except OSError:
            self.request.sendall(self.unreachable)
            return
        with contextlib.suppress(OSError), there:
            there.sendall(first)
            threading.Thread(target=self._back, args=(there,), daemon=True).start()
            while block := self.request.recv(65536):
                there.sendall(block)

    def _back(self, there: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := there.recv(65536):
                self.request.sendall(block)
            self.request.shutdown(socket.SHUT_RDWR)


class Http(_Forward):
    """Forwards ``GET http://host:port/…``."""

    unreachable = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    def handle(self) -> None:
        head = self.request.recv(65536)
        if not head.startswith(b"GET http://"):
            return
        method, url, rest = head.split(b" ", 2)
        authority, _, path = url.removeprefix(b"http://").partition(b"/")
        host, _, port = authority.decode().partition(":")
        self.forward(host, int(port or 80), b" ".join((method, b"/" + path, rest)))


class Socks(_Forward):
    """SOCKS 5 without authentication (RFC 1928)."""

    def handle(self) -> None:
        if self.request.recv(2)[:1] != b"\x05":
            return
        self.request.recv(16)
        self.request.sendall(b"\x05\x00")
        _, _, _, kind = self.request.recv(4)
        length = 4 if kind == 1 else self.request.recv(1)[0]
        name = self.request.recv(length)
        host = socket.inet_ntoa(name) if kind == 1 else name.decode()
        (port,) = struct.unpack(">H", self.request.recv(2))
        with contextlib.suppress(OSError):
            socket.create_connection((host, port)).close()
            self.request.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
            self.forward(host, port, b"")


KINDS: dict[str, type[socketserver.BaseRequestHandler]] = {"http": Http, "socks5": Socks}


@pytest.fixture(params=KINDS)
def proxy(request: pytest.FixtureRequest) -> Iterator[tuple[str, Proxy]]:
    with Proxy(KINDS[request.param]) as server:
        yield f"{request.param}://127.0.0.1:{server.server_address[1]}", server
        server.shutdown()


@pytest.fixture
def desk(desk: Desk, only_real: Callable[[str], None]) -> Desk:
    only_real("has no proxies")
    return desk


def through(proxy: str, *direct: str) -> ScannerOptions:
    return ScannerOptions(request_timeout_seconds=2, request_retries=0, proxy=proxy, no_proxy=direct)


def test_all_requests_go_through_the_plans_proxy(desk: Desk, live: Server, proxy: tuple[str, Proxy]) -> None:
    """Nuclei reads no proxy variables: targets that only a proxy reaches would be unreachable."""
    url, server = proxy
    desk.write("title.yaml", "other.yaml")
    desk.options["scanner"] = through(url)
    report, _ = desk.scan(live.url)
    assert (report.outcome, report.error, report.findings.total) == (Outcome.COMPLETE, None, 2)
    port = int(live.url.rpartition(":")[2])
    assert len(server.forwarded) == live.count >= 2  # with an HTTP proxy also the runner's own checks
    assert set(server.forwarded) == {("127.0.0.1", port)}


def test_a_dead_endpoint_behind_a_proxy_is_no_clean_one(desk: Desk, live: Server, proxy: tuple[str, Proxy]) -> None:
    """An HTTP proxy answers for it, with 502: all looks as if it had been scanned."""
    url, _ = proxy
    (dead,) = dead_urls(1)
    desk.write("title.yaml", "other.yaml")
    desk.options["scanner"] = through(url)
    report, record = desk.scan(live.url, dead)
    assert report.outcome is Outcome.COMPLETE
    if url.startswith("http:"):
        assert [(each.endpoint, each.trouble) for each in record.endpoints_troubled] == [(dead, "unavailable")]
        assert any(dead in warning for warning in report.warnings)
    else:
        assert record.endpoints_unreachable == (dead,)


@pytest.mark.parametrize("scheme", KINDS)
def test_a_proxy_that_does_not_answer_is_an_error_that_can_be_tried_again(
    desk: Desk, live: Server, scheme: str
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = f"{scheme}://127.0.0.1:{probe.getsockname()[1]}"
        desk.write("title.yaml")
        desk.options["scanner"] = through(closed)
        report, _ = desk.scan(live.url)
    assert report.error is not None
    assert (report.error.error_class, report.error.reason) == ("Temporary", "NetworkUnavailable")
    assert "proxy" in report.error.message
    assert live.count == 0


@pytest.mark.parametrize("spelling", ["http://localhost:{}", "socks5://localhost:{}"])
def test_a_proxy_at_a_denied_address_is_not_dialled(desk: Desk, live: Server, spelling: str) -> None:
    """By its name a plan would have the scan's pod dial what the guard denies."""
    proxy = spelling.format(live.url.rpartition(":")[2])
    desk.write("title.yaml")
    desk.options |= {"scanner": through(proxy), "denied_targets": ("127.0.0.0/8", "::1/128")}
    report, _ = desk.scan("http://192.0.2.1")
    assert report.error is not None
    assert (report.error.error_class, report.error.reason) == ("Fatal", "TargetDenied")
    assert "proxy" in report.error.message
    assert live.count == 0


def test_a_denied_endpoint_is_refused_before_the_proxy_hears_of_it(
    desk: Desk, live: Server, proxy: tuple[str, Proxy]
) -> None:
    """The proxy would resolve its name and dial it."""
    url, server = proxy
    desk.write("title.yaml")
    desk.options |= {"scanner": through(url), "denied_targets": ("127.0.0.2/32", "::1/128", "127.0.0.1/32")}
    report, _ = desk.scan(live.url.replace("127.0.0.1", "localhost"))
    assert report.error is not None
    assert report.error.reason == "TargetDenied"
    assert server.forwarded == []


@pytest.fixture
def other() -> Iterator[Server]:
    """Another host."""
    with Server("127.0.0.2") as server:
        yield server


DIRECT = ["127.0.0.2", "127.0.0.2/31", "{host}:{port}"]


@pytest.mark.parametrize("entry", DIRECT)
def test_targets_of_no_proxy_go_direct_and_the_others_do_not(
    desk: Desk, live: Server, other: Server, proxy: tuple[str, Proxy], entry: str
) -> None:
    """Lost otherwise: hosts of one's own network, which the proxy does not reach, or all others."""
    url, server = proxy
    port = int(other.url.rpartition(":")[2])
    desk.write("title.yaml", "other.yaml")
    desk.options["scanner"] = through(url, entry.format(host="127.0.0.2", port=port), "x.example")
    report, record = desk.scan(live.url, other.url)
    assert (report.outcome, report.error, report.findings.total) == (Outcome.COMPLETE, None, 4)
    assert record.endpoints_scanned == 2
    assert {where for where, _ in server.forwarded} == {"127.0.0.1"}
    assert len(server.forwarded) == live.count
    assert other.count >= 2


def test_a_dead_proxy_does_not_keep_targets_from_being_scanned_direct(desk: Desk, other: Server) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{probe.getsockname()[1]}"
        desk.write("title.yaml")
        desk.options["scanner"] = through(closed, "*")
        report, _ = desk.scan(other.url)
    assert (report.outcome, report.error, report.findings.total) == (Outcome.COMPLETE, None, 1)


def test_what_is_found_direct_is_kept_where_the_proxy_is_dead(desk: Desk, live: Server, other: Server) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        desk.options["scanner"] = through(f"http://127.0.0.1:{probe.getsockname()[1]}", "127.0.0.2")
        desk.write("title.yaml")
        report, _ = desk.scan(live.url, other.url)
    assert report.error is not None
    assert (report.outcome, report.error.reason) == (Outcome.PARTIAL, "NetworkUnavailable")
    assert (report.findings.total, live.count) == (1, 0)


def test_a_dead_target_behind_the_proxy_does_not_end_the_scan_of_those_that_go_direct(
    desk: Desk, other: Server, proxy: tuple[str, Proxy]
) -> None:
    url, _ = proxy
    (dead,) = dead_urls(1)
    desk.write("title.yaml")
    desk.options["scanner"] = through(url, "127.0.0.2")
    report, _ = desk.scan(dead, other.url)
    assert (report.outcome, report.error, report.findings.total) == (Outcome.COMPLETE, None, 1)
    assert report.warnings, "one of two was not scanned"


def test_without_a_cluster_no_proxy_of_the_environment_divides_the_targets(
    desk: Desk, live: Server, other: Server, proxy: tuple[str, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nuclei has one proxy for all; before, one target that is not on the list had all others go through it."""
    url, server = proxy
    monkeypatch.setenv("HTTPS_PROXY", url)
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.2,.svc")
    desk.write("title.yaml")
    report, _ = desk.scan(live.url, other.url)
    assert (report.outcome, report.findings.total) == (Outcome.COMPLETE, 2)
    assert {where for where, _ in server.forwarded} == {"127.0.0.1"}


def test_nuclei_itself_knows_no_no_proxy(lab: Laboratory, live: Server, proxy: tuple[str, Proxy]) -> None:
    """Why the runner divides targets: once this fails, it need not."""
    if "real" not in lab.scanner.parent.name:
        pytest.skip("the stand-in has no proxies")
    url, server = proxy
    done = lab.run(
        *("-l", lab.targets(live.url), "-t", lab.template("a"), "-proxy", url), environment={"NO_PROXY": "*,127.0.0.1"}
    )
    assert done.found == ["a"]
    assert server.forwarded


def test_an_http_proxy_carries_web_requests_alone(lab: Laboratory, live: Server, proxy: tuple[str, Proxy]) -> None:
    """As docs/nuclei.md says: templates of tcp, ssl and dns go past it; a SOCKS proxy carries them."""
    if "real" not in lab.scanner.parent.name:
        pytest.skip("the stand-in has no proxies")
    url, server = proxy
    text = (
        "id: tcp\ninfo: {name: t, author: t, severity: info}\n"
        'tcp: [{inputs: [{data: "GET / HTTP/1.0\\r\\n\\r\\n"}], host: ["{{Hostname}}"], '
        "matchers: [{type: word, words: [hello]}]}]\n"
    )
    done = lab.run(*("-l", lab.targets(live.url), "-t", lab.file("tcp.yaml", text), "-proxy", url))
    assert done.found == ["tcp"]
    assert bool(server.forwarded) is url.startswith("socks5:")
