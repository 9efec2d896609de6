"""Out-of-band interactions, with a real interactsh server where INTERACTSH_BIN names one.

Build it with `go build ./cmd/interactsh-server` in a checkout of github.com/projectdiscovery/interactsh.
"""

from __future__ import annotations

import contextlib
import http.server
import os
import pathlib
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from scanplan.api.documents.task import ScannerOptions
from scanplan.api.documents.words import Outcome
from tests.conformance.desk import Desk, dead_urls

TOKEN = "t0k3n-of-the-server"
PORTS = ("http", "https", "dns", "smtp", "smtps", "smtp-autotls", "ldap")
TEMPLATE = """id: oast
info: {name: oast, author: t, severity: high}
http:
  - method: GET
    path: ['{{BaseURL}}/?u={{interactsh-url}}']
    matchers: [{type: word, part: interactsh_protocol, words: [http]}]
"""


@pytest.fixture
def server(tmp_path: pathlib.Path, only_real: Callable[[str], None]) -> Iterator[str]:
    """A running interactsh server that wants a token."""
    only_real("asks no out-of-band server")
    if not os.environ.get("INTERACTSH_BIN"):
        pytest.skip("INTERACTSH_BIN names no interactsh-server")
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in PORTS]
        ports = [probe.getsockname()[1] for probe in probes]
    arguments = [word for name, port in zip(PORTS, ports, strict=True) for word in (f"-{name}-port", str(port))]
    command = [os.environ["INTERACTSH_BIN"], *arguments, "-d", "oast.test", "-i", "127.0.0.1", "-lip", "127.0.0.1"]
    home = {**os.environ, "HOME": str(tmp_path)}
    with subprocess.Popen([*command, "-sa", "-duc", "-t", TOKEN], env=home, stderr=subprocess.DEVNULL) as process:
        limit = time.monotonic() + 60
        while time.monotonic() < limit:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", ports[0]), 1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{ports[0]}"
        process.terminate()


@pytest.fixture
def fooled() -> Iterator[str]:
    """A site that fetches whatever it is told to."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query).get("u", [""])[0]
            if told:
                place = "http://127.0.0.1:" + told.rpartition(":")[2]
                request = urllib.request.Request(place, headers={"Host": told})
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(request, timeout=5).close()  # noqa: S310
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as site:
        threading.Thread(target=site.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{site.server_port}"
        site.shutdown()


def asks(desk: Desk, server: str, token: str = TOKEN) -> None:
    desk.put("oast.yaml", TEMPLATE)
    folder = desk.folder / "secret"
    folder.mkdir()
    (folder / "token").write_text(token)
    desk.options["interactsh_folder"] = str(folder)
    desk.options["scanner"] = ScannerOptions(request_timeout_seconds=2, request_retries=0, interactsh_server=server)


def test_what_a_target_sends_elsewhere_is_a_finding(desk: Desk, server: str, fooled: str) -> None:
    """Lost otherwise: every hole that only shows at another place."""
    asks(desk, server)
    report, record = desk.scan(fooled)
    assert (report.outcome, report.error, report.findings.total) == (Outcome.COMPLETE, None, 1), record
    kept = [file for file in (desk.folder / "run").rglob("*") if file.is_file()]
    assert not [file for file in kept if TOKEN.encode() in file.read_bytes()]


def test_a_refused_token_is_told(desk: Desk, server: str, fooled: str) -> None:
    asks(desk, server, "another-t0k3n")
    _, record = desk.scan(fooled)
    assert "did not take the token" in record.templates_not_run[0].reason
    assert "another-t0k3n" not in str(record)


def test_a_server_that_is_down_is_told(desk: Desk, fooled: str, only_real: Callable[[str], None]) -> None:
    only_real("asks no out-of-band server")
    asks(desk, dead_urls(1)[0])
    _, record = desk.scan(fooled)
    assert "could not be reached" in record.templates_not_run[0].reason


def test_a_server_at_a_denied_address_is_not_asked(desk: Desk, fooled: str) -> None:
    asks(desk, "http://localhost:1")
    desk.options["denied_targets"] = ("::1/128", "127.0.0.9/32", "127.0.0.1/32")
    report, _ = desk.scan(fooled.replace("127.0.0.1", "127.0.0.2"))
    assert report.error is not None
    assert report.error.reason == "TargetDenied"
    assert "scanner.interactsh.server" in report.error.message
