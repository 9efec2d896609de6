"""The limits of requests hold: for all shards of a plan together, and for each host."""

from __future__ import annotations

import collections
import os
import pathlib
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from scanplan.api.documents.report import ShardReport
from scanplan.api.documents.task import ScannerOptions, TaskDocument
from scanplan.api.documents.words import Outcome, PlanReference
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.core.planning.nuclei import rates
from scanplan.runner.nuclei.launch.installation import Installation
from scanplan.runner.shard import run_shard
from tests.conformance.desk import CONFIGURATION

TEMPLATES = 80
HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")


class Count(socketserver.BaseRequestHandler):
    """Answers, and counts requests by address and second."""

    def handle(self) -> None:
        if self.request.recv(65536):
            server = self.server
            assert isinstance(server, Counting)
            with server.lock:
                server.times[self.request.getsockname()[0]].append(time.monotonic())
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")


class Counting(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("0.0.0.0", 0), Count)  # noqa: S104 - every loopback address
        self.lock = threading.Lock()
        self.times: dict[str, list[float]] = collections.defaultdict(list)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def most(self, *hosts: str) -> int:
        """The most requests to these hosts within one second."""
        times = sorted(moment for host in hosts or self.times for moment in self.times[host])
        return max(sum(1 for moment in times if 0 <= moment - start < 1.0) for start in times)


@pytest.fixture
def server() -> Iterator[Counting]:
    with Counting() as server:
        yield server
        server.shutdown()


def scan(
    scanner: pathlib.Path, folder: pathlib.Path, server: Counting, spec: ScanPlanSpec, shards: int
) -> list[ShardReport]:
    """Scan all shards at the same time, as their pods do."""
    root = folder / "templates"
    root.mkdir()
    for number in range(TEMPLATES):
        (root / f"t{number}.yaml").write_text(
            f"id: t{number}\ninfo: {{name: t, author: t, severity: info}}\nhttp:\n  - method: GET\n"
            f"    path: ['{{{{BaseURL}}}}/{number}']\n    matchers: [{{type: word, words: [hello]}}]\n"
        )
    document = TaskDocument(
        key="scan:acme:nightly:0a:0b:0c",
        project_id="acme",
        run_id="nightly",
        plan=PlanReference(namespace="default", name="nightly"),
        endpoints=tuple(f"http://{host}:{server.server_address[1]}" for host in HOSTS),
        shards=shards,
        templates=(),
        scanner=ScannerOptions(
            rate_limit=rates.of_shard(spec, shards),
            host_rate_limit=spec.scanner.max_requests_per_second_per_host or 0,
        ),
    )
    installation = Installation(
        nuclei=str(scanner),
        templates=(root,),
        configuration=CONFIGURATION,
        temporary=folder,
        inherited=dict(os.environ),
    )
    reports: list[ShardReport] = []
    threads = [
        threading.Thread(
            target=lambda index=index: reports.append(
                run_shard(document, index, folder / "run", installation=installation)
            )
        )
        for index in range(shards)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return reports


def spec(**scanner: int) -> ScanPlanSpec:
    return ScanPlanSpec.model_validate({"templates": ["t"], "endpoints": ["a"], "scanner": scanner})


def test_two_shards_together_keep_to_the_plans_limit_and_say_what_was_sent(
    scanner: pathlib.Path, tmp_path: pathlib.Path, server: Counting
) -> None:
    """`rateLimit` is for each shard: with more of them, the owner of the targets gets more than was agreed."""
    limit = 80
    reports = scan(scanner, tmp_path, server, spec(maxRequestsPerSecond=limit), 2)
    assert [report.outcome for report in reports] == [Outcome.COMPLETE] * 2
    merged = next(report.merged for report in reports if report.merged)
    sent = sum(map(len, server.times.values()))
    assert merged.findings.total == TEMPLATES * len(HOSTS)
    assert sent == merged.requests
    assert merged.requests <= limit * (merged.seconds + 1)  # Nuclei fills its bucket each second
    assert server.most() <= 2 * limit


def test_no_host_gets_more_than_its_limit(scanner: pathlib.Path, tmp_path: pathlib.Path, server: Counting) -> None:
    """A weak server among many would get the whole rate of a shard."""
    limit = 20
    (report,) = scan(scanner, tmp_path, server, spec(maxRequestsPerSecondPerHost=limit), 1)
    assert (report.outcome, report.error) == (Outcome.COMPLETE, None)
    assert report.findings.total == TEMPLATES * len(HOSTS)
    for host in HOSTS:
        assert server.most(host) <= 2 * limit + 1
    assert server.most() > limit, "hosts are scanned side by side"
