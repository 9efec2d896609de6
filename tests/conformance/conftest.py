"""The scanners under test, and the sites that they scan."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator

import pytest

import tests.doubles
from tests.conformance.desk import Desk, Server
from tests.conformance.laboratory import Laboratory

STAND_IN = "stand-in"
REAL = "real"
LOOPBACK = ["127.0.0.1", "127.0.0.2", "127.0.0.11"]  # an address, another, and one that looks like the first
try:
    with socket.create_server(("::1", 0), family=socket.AF_INET6):
        LOOPBACK.append("[::1]")
except OSError:
    pass  # a machine without IPv6
SCANNERS = [STAND_IN, REAL] if os.environ.get("NUCLEI_BIN") else [STAND_IN]


@pytest.fixture(scope="session", params=SCANNERS)
def scanner(
    request: pytest.FixtureRequest, doubles: tests.doubles.Doubles, tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
    """A Nuclei to test, under the name `nuclei`: the real one names its settings folder after itself."""
    if request.param == STAND_IN:
        return doubles.nuclei
    link = tmp_path_factory.mktemp("real") / "nuclei"
    link.symlink_to(pathlib.Path(os.environ["NUCLEI_BIN"]).resolve())
    return link


@pytest.fixture
def lab(scanner: pathlib.Path, tmp_path: pathlib.Path) -> Laboratory:
    return Laboratory(scanner, tmp_path)


class Site:
    """A running vulnerable site."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.other_url = f"http://127.0.0.2:{port}"
        self.named_url = f"http://localhost:{port}"

    def requests(self) -> dict[str, int]:
        """How often each path was asked for since the site started."""
        with urllib.request.urlopen(self.url + "/requests") as answer:  # noqa: S310
            counts: dict[str, int] | None = json.load(answer)
        return counts or {}


@contextlib.contextmanager
def running_site(webapp: pathlib.Path, delay: str = "0s", *arguments: str) -> Iterator[Site]:
    command = [str(webapp), "-listen", ",".join(f"{address}:0" for address in LOOPBACK), "-delay", delay, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        first = process.stdout.readline()
        try:
            yield Site(int(first.rsplit(":", 1)[1]))
        finally:
            process.terminate()


@pytest.fixture
def site(doubles: tests.doubles.Doubles) -> Iterator[Site]:
    with running_site(doubles.webapp) as site:
        yield site


@pytest.fixture
def slow_site(doubles: tests.doubles.Doubles) -> Iterator[Site]:
    """A site that takes a fifth of a second for each answer, so that a scan can be caught in the middle."""
    with running_site(doubles.webapp, "200ms") as site:
        yield site


@pytest.fixture
def closed_url() -> str:
    """An address that refuses connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def mute_url() -> Iterator[str]:
    """An address that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def live() -> Iterator[Server]:
    """A server that answers every request."""
    with Server() as server:
        yield server


@pytest.fixture
def desk(scanner: pathlib.Path, tmp_path: pathlib.Path) -> Desk:
    return Desk(scanner, tmp_path)


@pytest.fixture
def is_real(request: pytest.FixtureRequest) -> bool:
    """Whether the scanner under test is the real Nuclei."""
    return bool(request.node.callspec.params.get("scanner") == REAL)


@pytest.fixture
def only_real(is_real: bool) -> Callable[[str], None]:
    """Skips what the stand-in can't do; it takes the words for that."""

    def check(why: str) -> None:
        if not is_real:
            pytest.skip(f"the stand-in {why}")

    return check


needs_ipv6 = pytest.mark.skipif("[::1]" not in LOOPBACK, reason="this machine has no IPv6")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="read-only mounts need root")
