"""What the history of findings costs a merge: memory and time at a million findings, beside a merge without it.

Each measurement is a process of its own. The scan before had as many findings, of which a tenth is gone and a tenth is new.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from scanplan.api import layout
from scanplan.api.documents import records
from scanplan.api.documents.records import ShardCoverage
from scanplan.api.documents.report import HistoryCounts
from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import Outcome, PlanReference
from scanplan.core.planning import shards
from scanplan.findings import history as lives
from scanplan.runner.artifacts import divided, durable, publish, run_record
from scanplan.runner.artifacts.merging import history, merge
from scanplan.runner.artifacts.merging.sorting import Sorter
from tests.bench.figure import Figure, at_most
from tests.console import step
from tests.runner.benchmark import CYCLE, sample

FINDINGS = 1_000_000
BYTES = 2_000
_BATCH = 512


class WithoutHistory(history.HistoryWriter):
    """Does nothing."""

    def take(self, block: bytes) -> None:
        pass

    def has_sightings(self, attempt: Path, record: records.ShardRecord) -> bool:  # noqa: ARG002 - as the other
        return False

    def write(self, moment: str, ran: object, beside: object, suppression: object) -> HistoryCounts:  # noqa: ARG002 - as the other
        self._written = durable.CheckedFile(self._final.with_name(f".{self._final.name}.{durable.unique()}"))
        self._written.close()
        return HistoryCounts()


def measure() -> list[Figure]:
    told: dict[str, dict[str, float]] = {}
    for way in ("without", "with"):
        with step(f"Merge of {FINDINGS:,} findings {way} a history"):
            command = [sys.executable, "-m", "tests.bench.findings_history", "--way", way, "--findings", str(FINDINGS)]
            told[way] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return [
        Figure("history: memory of a merge", told["with"]["peak"], "MiB", at_most(256)),
        Figure("history: time of a merge", told["with"]["seconds"] / told["without"]["seconds"], "×", at_most(2)),
        Figure("history: seconds of a merge", told["with"]["seconds"], "s"),
        Figure("history: seconds from an attempt's last finding to its record", told["with"]["left"], "s"),
    ]


def lines(first: int, count: int) -> Iterator[bytes]:
    """Findings of this many places, each another one."""
    of_place = sample(BYTES)
    for number in range(first, first + count):
        yield of_place[number % CYCLE].replace(b"/path/", b"/path/%s/" % _letters(number // CYCLE), 1)


def _letters(number: int) -> bytes:
    """A number as letters: digits in a path don't count."""
    return bytes(97 + int(digit) for digit in f"{number:06}")


def merged(way: str, findings: int, folder: Path) -> dict[str, float]:
    """Merge a scan after another one; seconds, and the peak of memory in MiB."""
    if way == "without":
        history.HistoryWriter = WithoutHistory  # type: ignore[misc]
    earlier, task = _task(1), _task(2)
    run_record.enter(folder, earlier, 1.0)
    _leave_result(folder, earlier, findings)
    run_record.update(folder, records.RunRecord(run_id="r", project_id="a"))
    run_record.enter(folder, task, 2.0)
    left = _publish(folder, task, findings // 10, findings)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    result = merge.merge(folder, task)
    seconds = time.monotonic() - began
    assert result is not None
    assert result.history is not None
    if way == "with":
        assert result.history.new.total == result.history.resolved.total == findings // 10, result.history
    return {
        "seconds": seconds,
        "left": left,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "before": before / 1024,
    }


def _task(number: int) -> TaskDocument:
    endpoints = tuple(sorted(f"http://host-{host}.example" for host in range(CYCLE)))
    return TaskDocument(
        key=f"scan:a:r:0:0:{number}",
        project_id="a",
        run_id="r",
        plan=PlanReference(namespace="d", name="r"),
        endpoints=endpoints,
        templates=(),
    )


def _publish(folder: Path, task: TaskDocument, first: int, count: int) -> float:
    """What a complete attempt has left; seconds that it took from the last finding on."""
    begun = records.begun(task.key, 0, len(task.endpoints), "2026-11-24T06:00:00.000Z")
    attempt = publish.begin(divided.shard_folder(folder, task, shards.cut(task.endpoints, 1)[0]), begun)
    for batch in batches(lines(first, count)):
        attempt.findings.feed(b"".join(batch))
    templates = tuple(f"t-{number}" for number in range(300))
    attempt.coverage = ShardCoverage(trusted="f" * (CYCLE // 4), templates=templates)
    counts = attempt.findings.counts
    began = time.monotonic()
    attempt.publish(msgspec.structs.replace(begun, attempt=1, outcome=Outcome.COMPLETE, findings=counts))
    return time.monotonic() - began


def _leave_result(folder: Path, task: TaskDocument, count: int) -> None:
    """What a complete scan has left, as far as the next one reads it: the history and the record."""
    place = run_record.task_folder(folder, task)
    sorter = Sorter(place)
    for line in lines(0, count):
        found = lives.sighting(line)
        assert found is not None
        sorter.add(lives.record(found))
    file = durable.CheckedFile(place / layout.HISTORY)
    moment = "2026-11-23T06:00:00.000Z"
    for batch in batches(lives.continued((), sorter, moment, lambda _: False, lives.Tally())):
        file.write(b"".join(batch))
    file.close()
    sorter.close()
    members: dict[str, Any] = {
        "key": task.key, "projectId": "a", "runId": "r", "plan": {"namespace": "d", "name": "r"}, "complete": True,
        "startedAt": moment, "finishedAt": moment, "durationMs": 0, "templates": [], "severityLevels": [], "scanner": {},
        "templateDigests": [], "endpoints": 0, "endpointsScanned": 0, "endpointsUnreachable": 0, "findings": {},
        "shards": [], "files": [msgspec.to_builtins(file.artifact(layout.HISTORY))],
    }  # fmt: skip
    (place / layout.METADATA).write_bytes(msgspec.json.encode(members))


def batches(of: Iterator[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for each in of:
        batch.append(each)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    yield batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=("with", "without"), required=True)
    parser.add_argument("--findings", type=int, default=FINDINGS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(merged(options.way, options.findings, Path(folder))))


if __name__ == "__main__":
    main()
