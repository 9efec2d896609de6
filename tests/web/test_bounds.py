"""What somebody without a token can do to `scanplan api`: take connections and memory, but neither from others for long."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import urllib3

from tests import attack
from tests.kubectl import eventually
from tests.ports import free_port

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
LOGIN = (
    b"POST /login HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n"
)
BLOCK = 64 << 10
MEGABYTE = 16
"""Blocks of it."""
GROWTH_BYTES = 128 << 20
"""Far less than what is sent, and far more than what should stay."""


@dataclass(frozen=True)
class Served:
    """An API in a process of its own."""

    pid: int
    port: int
    resident_bytes: int
    """Its memory before anybody attacked it."""

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        """Ask as somebody who has no connection yet."""
        with urllib3.PoolManager(retries=False, timeout=120) as http:
            return http.request("GET", f"http://127.0.0.1:{self.port}{path}", headers=headers)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for all attacks: it stays small and quiet through all of them."""
    folder = tmp_path_factory.mktemp("served")
    port = free_port()
    variables = {
        **os.environ,
        "SCANPLAN_DATA_DIRECTORY": str(folder),
        "SCANPLAN_API_AUTHENTICATION": "none",
        "SCANPLAN_API_PORT": str(port),
        "SCANPLAN_API_HOSTS": "scans.example",
    }
    log = folder / "api.log"
    with log.open("w") as written:
        process = subprocess.Popen([sys.executable, "-m", "scanplan", "api"], env=variables, stderr=written)

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return Served(process.pid, port, 0).get("/readyz").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    eventually(answers)
    yield Served(process.pid, port, attack.resident_bytes(process.pid))
    process.terminate()
    assert process.wait(timeout=120) == 0
    assert len(log.read_text().splitlines()) < 20, "anybody could fill the node's disk"


@pytest.mark.parametrize(
    ("begin", "piece", "pieces"),
    [
        pytest.param(HEAD + b"X-Long: ", b"a" * BLOCK, MEGABYTE, id="one header without an end"),
        pytest.param(HEAD, b"X-Many: " + b"b" * 8_000 + b"\r\n", 128, id="many headers"),
        pytest.param(HEAD, b"a: b\r\n" * 10_000, MEGABYTE, id="very many headers"),
        pytest.param(b"GET /", b"a" * BLOCK, MEGABYTE, id="a line without an end"),
        pytest.param(LOGIN + b"Content-Length: 1048576\r\n\r\ntoken=", b"a" * BLOCK, 15, id="a login"),
        pytest.param(
            LOGIN + b"Transfer-Encoding: chunked\r\n\r\n100000\r\ntoken=", b"a" * BLOCK, 15, id="a login in chunks"
        ),
        pytest.param(b"\x16\x03\x01\x02\x00", b"\x00" * BLOCK, MEGABYTE, id="no HTTP at all"),
        pytest.param(HEAD + b"\r\n", (HEAD + b"\r\n") * 1_000, MEGABYTE, id="requests whose answers nobody reads"),
    ],
)
def test_half_requests_by_the_hundred_cost_little_and_hold_up_nobody(
    served: Served, begin: bytes, piece: bytes, pieces: int
) -> None:
    """Lost otherwise: 300 connections take 300 MB, the container is killed, and nobody is answered."""
    for _ in range(3):
        with attack.half_requests(served.port, 300, begin, piece, pieces):
            assert attack.resident_bytes(served.pid) - served.resident_bytes < GROWTH_BYTES
            for path in ("/readyz", "/", "/api/v1/queue/health", "/metrics"):
                assert served.get(path).status == 200


@pytest.mark.parametrize("begin", [b"", HEAD, LOGIN + b"Content-Length: 100\r\n\r\ntoken="])
def test_who_does_not_go_on_is_cut(served: Served, begin: bytes) -> None:
    """Lost otherwise: slow requests hold their connections until there are no more."""
    with attack.half_requests(served.port, 5, begin, b"", 0) as made:
        assert all(attack.is_cut(each, within=120) for each in made)


def test_a_trickle_is_cut_too(served: Served) -> None:
    """Lost otherwise: a byte a second is never idle."""
    with socket.create_connection((attack.ADDRESS, served.port)) as trickle:
        trickle.sendall(HEAD + b"X: ")

        def is_cut() -> bool:
            try:
                trickle.sendall(b"a")
            except OSError:
                return True
            return attack.is_cut(trickle, within=0.2)

        eventually(is_cut)


def test_one_address_takes_part_of_the_connections_only(served: Served) -> None:
    with attack.half_requests(served.port, 300, HEAD, b"", 0) as made:
        eventually(lambda: sum(not attack.is_cut(each, within=0.01) for each in made) <= 128)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("api.localhost:8081", 200),
        ("127.0.0.1", 200),
        ("[::1]:8081", 200),
        ("SCANS.example.", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("evil.scans.example", 421),
        ("localhost@evil.example", 421),
        ("evil.example/localhost", 421),
        ("", 421),
    ],
)
def test_only_its_own_names_are_answered(served: Served, host: str, status: int) -> None:
    """Lost otherwise: a web site whose name leads to 127.0.0.1 reads all plans through its visitor's browser."""
    for path in ("/api/v1/queue/health", "/", "/api/v1/openapi.json"):
        assert served.get(path, Host=host).status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://localhost"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "http://localhost:1"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),
    ],
)
def test_what_another_site_has_a_browser_send_is_refused(served: Served, headers: dict[str, str], status: int) -> None:
    assert served.get("/api/v1/queue/health", Host="localhost", **headers).status == status
