"""The proxy of the fault matrix knows what the API server has done, also where nobody waited for the answer."""

from __future__ import annotations

import http.client
import json
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.faults.proxy import Proxy
from tests.fixtures.receivers import Certificates, certificates

PATH = "/apis/batch/v1/namespaces/red/jobs"
JOB = {"metadata": {"name": "scan", "resourceVersion": "1"}}


class Slow(ThreadingHTTPServer):
    """An API server that answers a write when it is allowed to."""

    daemon_threads = True

    def __init__(self, keys: Certificates) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.socket = keys.right.wrap_socket(self.socket, server_side=True)
        self.asked, self.allowed = threading.Event(), threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: Slow

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.set()
        self.server.allowed.wait(60)
        body = json.dumps(JOB).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[Slow, Proxy]]:
    keys = certificates(tmp_path)
    server = Slow(keys)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    authority = b64encode(keys.authority.read_bytes()).decode()
    cluster = {"server": f"https://127.0.0.1:{server.server_port}", "certificate-authority-data": authority}
    identity = tmp_path / "identity"
    identity.write_text(yaml.safe_dump({"clusters": [{"name": "slow", "cluster": cluster}]}))
    proxy = Proxy(identity).start(tmp_path / "kubeconfig")
    yield server, proxy
    proxy.stop()
    server.shutdown()
    server.server_close()


def test_a_write_whose_client_died_before_the_answer_is_known_of(slow: tuple[Slow, Proxy]) -> None:
    """Lost otherwise: row 1 fails where the operator is killed for one write while another one is under way."""
    server, proxy = slow
    client = http.client.HTTPConnection("127.0.0.1", proxy.port)
    client.request("POST", PATH, body=b"{}")
    assert server.asked.wait(60)
    client.close()
    server.allowed.set()
    until = time.monotonic() + 60
    while not proxy.writes and time.monotonic() < until:
        time.sleep(0.02)
    assert [str(call) for call in proxy.writes] == ["create jobs scan"]
