"""A shard that is scanned some endpoints at a time: what of them is dead says nothing about the others.

Limits for each host bound the endpoints of a step (`runner.nuclei.launch.rates.most_endpoints`), down to one.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest

from scanplan.api.documents.task import ScannerOptions
from scanplan.api.documents.words import Outcome
from tests.conformance.desk import Desk, Server, dead_urls

ONE_AT_A_TIME = ScannerOptions(request_timeout_seconds=2, request_retries=0, rate_limit=50, host_rate_limit=50)


@pytest.mark.parametrize("dead_first", [True, False])
def test_dead_endpoints_do_not_end_the_scan_of_those_after_them(desk: Desk, live: Server, dead_first: bool) -> None:
    """Lost otherwise: nearly all of a range, as soon as its first address is dead."""
    port = int(live.url.rpartition(":")[2])
    dead = tuple(url for url in dead_urls(20) if (int(url.rpartition(":")[2]) < port) is dead_first)[:2]
    if not dead:
        pytest.skip("no free port sorts there")
    desk.write("title.yaml", "other.yaml")
    desk.options["scanner"] = ONE_AT_A_TIME
    report, record = desk.scan(live.url, *dead)
    assert (report.outcome, report.error, report.findings.total) == (Outcome.COMPLETE, None, 2)
    assert record.endpoints_unreachable == tuple(sorted(dead))
    assert (record.endpoints_scanned, record.endpoints_skipped) == (1, ())


def test_a_shard_of_dead_endpoints_is_an_error_that_can_be_tried_again(desk: Desk) -> None:
    desk.write("title.yaml")
    desk.options["scanner"] = ONE_AT_A_TIME
    report, _ = desk.scan(*dead_urls(3))
    assert report.error is not None
    assert (report.error.error_class, report.error.reason) == ("Temporary", "EndpointsUnreachable")


@pytest.fixture
def filtered_port() -> Iterator[int]:
    """A port of 127.0.0.1 whose connections come to nothing, as behind a firewall: nobody takes those that wait there."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_a_port_that_only_a_template_names_ends_no_scan(
    desk: Desk, live: Server, filtered_port: int, only_real: Callable[[str], None]
) -> None:
    """Lost otherwise: all steps after it, of a scan that counts as complete."""
    only_real("sends HTTP only")
    asks = f"tcp: [{{inputs: [{{data: x}}], host: ['{{{{Host}}}}:{filtered_port}'], matchers: [{{type: word, words: [z]}}]}}]"
    desk.write("title.yaml")
    desk.write("other.yaml", root=2)
    desk.put("asks.yaml", f"id: asks\ninfo: {{name: x, author: t, severity: info}}\n{asks}\n", root=1)
    report, record = desk.scan(live.url)
    assert (report.outcome, report.error, report.findings.total) == (Outcome.COMPLETE, None, 2)
    assert (record.endpoints_scanned, record.templates_run) == (1, 3)
