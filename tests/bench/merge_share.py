"""How fast a million findings of 400 shards become one file, beside `cat` of the same files on the same folder.

Both bring their file to the disk (fsync), and take turns. Files that are read are in the page cache for both. The whole merge also
writes the history, the report and the records; the merge of the findings alone leaves out the history.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from scanplan.api import layout
from scanplan.api.documents import records
from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import Outcome, PlanReference
from scanplan.core.planning import shards
from scanplan.runner.artifacts import divided, publish, run_record
from scanplan.runner.artifacts.merging import history, merge
from tests.bench.figure import Figure, at_least, at_most
from tests.bench.findings_history import BYTES, WithoutHistory, batches, lines
from tests.console import step

FINDINGS = 1_000_000
SHARDS = 400
ROUNDS = 5
WAYS = ("whole", "findings")


class WithSightings(WithoutHistory):
    """Needs no findings, as where all attempts have left their sightings; writes nothing either."""

    def has_sightings(self, attempt: Path, record: records.ShardRecord) -> bool:  # noqa: ARG002 - as the other
        return True


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        with step(f"{FINDINGS:,} findings of {SHARDS} shards"):
            sources = leave_shards(run, FINDINGS)
        told: dict[str, list[dict[str, float]]] = {way: [] for way in ("cat", *WAYS)}
        with step("cat and merge, in turns") as progress:
            for number in range(ROUNDS):
                told["cat"].append(concatenated(run, sources))
                for way in WAYS:
                    told[way].append(merged(run, way))
                progress.update(f"{number + 1}/{ROUNDS}")
    megabytes = FINDINGS * BYTES / 1e6

    def of(way: str, what: str) -> float:
        return statistics.median(each[what] for each in told[way])

    def share(way: str, what: str) -> float:
        return statistics.median(cat[what] / ours[what] for cat, ours in zip(told["cat"], told[way], strict=True))

    return [
        Figure("merge: cat", megabytes / of("cat", "seconds"), "MB/s"),
        Figure("merge: whole", megabytes / of("whole", "seconds"), "MB/s"),
        Figure("merge: share of cat, findings alone", share("findings", "seconds"), "×", at_least(0.7)),
        Figure("merge: share of cat, whole", share("whole", "seconds"), "×", at_least(0.7)),
        Figure("merge: CPU of cat", of("cat", "cpu"), "s"),
        Figure("merge: CPU, findings alone", of("findings", "cpu"), "s"),
        Figure("merge: CPU, whole", of("whole", "cpu"), "s"),
        Figure("merge: memory, peak", max(each["peak"] for each in told["whole"]), "MiB", at_most(256)),
    ]


def leave_shards(run: Path, findings: int) -> list[Path]:
    """What complete attempts have left; their findings."""
    task = _task()
    run_record.enter(run, task, 1.0)
    left = []
    for index, endpoints in enumerate(shards.cut(task.endpoints, SHARDS)):
        begun = records.begun(task.key, index, len(endpoints), "2026-11-24T06:00:00.000Z")
        attempt = publish.begin(divided.shard_folder(run, task, endpoints), begun)
        count = findings // SHARDS
        for batch in batches(lines(index * count, count)):
            attempt.findings.feed(b"".join(batch))
        attempt.coverage = records.ShardCoverage(trusted="1", templates=("t-1",))
        outcome = msgspec.structs.replace(begun, attempt=1, outcome=Outcome.COMPLETE, findings=attempt.findings.counts)
        attempt.publish(outcome)
        left.append(attempt.folder / layout.FINDINGS)
    return left


def concatenated(run: Path, sources: list[Path]) -> dict[str, float]:
    """`cat` of the findings: seconds, and seconds of CPU."""
    target = run / "concatenated"
    before, began = _children_cpu(), time.monotonic()
    with target.open("wb") as file:
        subprocess.run(["cat", *map(str, sources)], check=True, stdout=file)
        os.fsync(file.fileno())
    seconds = time.monotonic() - began
    target.unlink()
    return {"seconds": seconds, "cpu": _children_cpu() - before}


def merged(run: Path, way: str) -> dict[str, float]:
    """A merge in a process of its own, of which only the merge is timed; what it has published is removed."""
    command = [sys.executable, "-m", "tests.bench.merge_share", "--way", way, str(run)]
    told: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    task = run_record.task_folder(run, _task())
    for name in (layout.FINDINGS, layout.HISTORY, layout.REPORT, layout.METADATA):
        (task / name).unlink(missing_ok=True)
    return told


def _merge(run: Path, way: str) -> dict[str, float]:
    if way == "findings":
        history.HistoryWriter = WithSightings  # type: ignore[misc]
    cpu, began = time.process_time(), time.monotonic()
    result = merge.merge(run, _task())
    seconds = time.monotonic() - began
    assert result is not None
    assert result.complete
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "cpu": time.process_time() - cpu, "peak": peak}


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _task() -> TaskDocument:
    return TaskDocument(
        key="scan:a:r:0:0:1",
        project_id="a",
        run_id="r",
        plan=PlanReference(namespace="d", name="r"),
        endpoints=tuple(sorted(f"http://host-{host}.example" for host in range(SHARDS))),
        templates=(),
        shards=SHARDS,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=WAYS, required=True)
    parser.add_argument("run", type=Path)
    options = parser.parse_args()
    print(json.dumps(_merge(options.run, options.way)))


if __name__ == "__main__":
    main()
