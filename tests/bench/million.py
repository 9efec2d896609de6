"""A million endpoints in a file on the claim: what the operator does without reading them, and what a pod does with all of them."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from scanplan.api.documents.task import MAX_FILE_ENDPOINTS, EndpointsFile
from scanplan.core.planning.targets.denied import DEFAULT_DENIED
from tests.bench import log
from tests.bench.endpoints import until_running
from tests.bench.figure import Figure, at_most
from tests.bench.stage import NAMESPACE, control_plane, peak_mib
from tests.console import step
from tests.doubles import build
from tests.integration.apiserver import PLANS
from tests.integration.scene import scanplan
from tests.runner.conftest import Bench

PLAN = "million"
SHARDS = 1_000
FEW = 1_000
"""Lines of the file with which a million's memory is compared."""
SPELLINGS: dict[str, Callable[[int], str]] = {
    "names": lambda number: f"https://h{number:06}.customers.example.com:8443/app",
    "addresses": lambda number: f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
}


def measure() -> list[Figure]:
    return [*_operator(), *_runner()]


def _operator() -> Iterator[Figure]:
    file = {"path": "hosts.txt", "sha256": "ab" * 32, "endpoints": MAX_FILE_ENDPOINTS}
    with control_plane() as stage:
        with step(f"A plan of {MAX_FILE_ENDPOINTS:,} endpoints in a file"):
            plan = scanplan(PLAN, endpoints=[], endpointsFrom=[{"claimFile": file}])
            stage.api.create(PLANS.format(NAMESPACE), plan)
            stage.scene.phase("Running", PLAN)
        asked = sum(write.by_operator for write in log.writes(stage.audit_log, NAMESPACE))
        yield Figure("million: until the plan runs", until_running(stage, PLAN), "s", at_most(10))
        yield Figure("million: shards", stage.scene.job_of(PLAN)["spec"]["completions"], "shards")
        yield Figure("million: the operator's writes until then", asked, "requests", at_most(2))
        yield Figure("million: operator's memory, peak", peak_mib(stage.operator.pid), "MiB", at_most(120))


def _runner() -> Iterator[Figure]:
    memory = {}
    for what, spelling in SPELLINGS.items():
        for count in (FEW, MAX_FILE_ENDPOINTS):
            with step(f"A shard of {count:,} {what}"):
                seconds, memory[what, count] = _started(spelling, count)
        yield Figure(f"million: until a shard of {what} is scanned", seconds, "s", at_most(10))
        yield Figure(f"million: runner's memory then, {what}", memory[what, MAX_FILE_ENDPOINTS], "MiB")
        more = memory[what, MAX_FILE_ENDPOINTS] - memory[what, FEW]
        yield Figure(f"million: the same, beyond that of {FEW:,} {what}", more, "MiB", at_most(10))


def _started(spelling: Callable[[int], str], count: int) -> tuple[float, float]:
    """Seconds from a runner's start until it begins to scan its shard, and its memory until then, in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hosts.txt"
        with path.open("w") as lines:
            lines.writelines(f"{spelling(number)}\n" for number in range(count))
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        bench = Bench(Path(folder), build().nuclei, ())
        bench.options = {
            "endpoints_file": EndpointsFile(root=folder, path=path.name, sha256=digest, most=count, most_addresses=0),
            "shards": max(1, count // (MAX_FILE_ENDPOINTS // SHARDS)),
            "denied_targets": DEFAULT_DENIED,
            "templates": ("http/exposures/",),
        }
        return _of_process(bench)


def _of_process(bench: Bench) -> tuple[float, float]:
    began = time.monotonic()
    runner = bench.start()
    try:
        assert runner.stdout is not None
        event = json.loads(runner.stdout.readline())
        seconds = time.monotonic() - began
        assert event["event"] == "started", event
        return seconds, peak_mib(runner.pid)
    finally:
        runner.kill()
        runner.communicate()
