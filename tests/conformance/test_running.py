"""Findings of a scan that goes on: Nuclei prints each at once, the runner writes it at once, and a reader of the claim sees it."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from scanplan.api.documents.task import ScannerOptions
from scanplan.client.cluster.tail import Tail
from scanplan.client.running.shown import Event, Found, Shown
from tests.conformance.desk import Desk
from tests.kubectl import eventually

HELD = "/other"


class Holding(http.server.ThreadingHTTPServer):
    """Answers at once, but for one path: those who ask for it wait until it is opened."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.opened = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Holding)
        if self.path == HELD:
            self.server.opened.wait()
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def holding() -> Iterator[Holding]:
    with Holding() as server:
        yield server
        server.opened.set()
        server.shutdown()


def test_a_finding_is_on_the_claim_while_the_scan_goes_on(desk: Desk, holding: Holding) -> None:
    """Lost otherwise: what a scan of hours has found, until its end; by a buffer of Nuclei's, of the runner's, or of a pipe."""
    desk.write("title.yaml", "other.yaml")
    desk.options["scanner"] = ScannerOptions(request_timeout_seconds=300, request_retries=0)
    shown = Shown()
    with ThreadPoolExecutor(1) as pool:
        scan = pool.submit(desk.scan, f"http://127.0.0.1:{holding.server_port}")
        try:
            found = eventually(lambda: new(desk, shown))
            assert not scan.done()
        finally:
            holding.opened.set()
        report, _ = scan.result()
    assert [(each.attempt.number, b'"title"' in each.line) for each in found] == [(1, True)]
    assert report.findings.total == 2
    assert [b'"other"' in each.line for each in new(desk, shown)] == [True]


def new(desk: Desk, shown: Shown) -> list[Found]:
    """What was not shown before, read from the start, as a new reader does."""
    events: list[Event] = []
    for task in (desk.folder / "run/tasks").glob("*"):
        shown.begin()
        for frame in Tail(str(task), "shards").look():
            events += shown.feed(frame)
    return [event for event in events if isinstance(event, Found)]
