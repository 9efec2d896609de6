"""How fast findings pass through the runner, and how much memory that takes: `python -m tests.runner.benchmark`.

The same synthetic stream goes through plain `json`, through a bare loop around the fast parser that writes each line to a
file, through the runner's whole path (parse, count, write with every write checked, SHA-256), and through a merge of two
attempts; each in a process of its own, so that its peak of memory is its own. Parsing alone is shown too: memory bandwidth
is the limit here, and the runner passes over each byte three times. The figure to hold is the runner's share of the bare
loop: at least 0.7.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from scanplan.api import layout
from scanplan.api.documents import records
from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import Outcome, PlanReference
from scanplan.core.planning import shards
from scanplan.runner.artifacts import divided, durable, findings, publish
from scanplan.runner.artifacts.merging import merge

BLOCK_BYTES = 1 << 16
"""What a pipe gives at a time."""
CYCLE = 4096


def sample(bytes_a_finding: int) -> list[bytes]:
    """Different findings of the size that Nuclei's have with raw request and response (2 KB), as lines."""
    lines = []
    for number in range(CYCLE):
        event = {
            "template": f"http/cves/t-{number % 300}.yaml",
            "template-id": f"t-{number % 300}",
            "template-path": f"/opt/nuclei-templates/http/cves/t-{number % 300}.yaml",
            "info": {
                "name": "A finding",
                "author": ["a", "b"],
                "tags": ["cve", "rce"],
                "description": 'It "happens" – now and then.\n' * 3,
                "severity": ("critical", "high", "medium", "low", "info")[number % 5],
                "classification": {"cve-id": None, "cwe-id": ["cwe-200"]},
            },
            "type": "http",
            "host": f"host-{number}.example",
            "matched-at": f"https://host-{number}.example/path/{number}",
            "request": "GET / HTTP/1.1\r\nHost: example\r\n\r\n",
            "response": "HTTP/1.1 200 OK\r\nServer: x\r\n\r\n<html>\n"
            + "<p>text</p>\n" * (max(0, bytes_a_finding - 900) // 13),
            "ip": "192.0.2.1",
            "timestamp": "2026-11-24T06:37:43.002893715Z",
            "matcher-status": True,
        }
        lines.append(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    return lines


def stream(lines: list[bytes], total: int) -> Iterator[bytes]:
    """`total` bytes of lines, in blocks as they come out of a pipe."""
    cycle, sent = b"".join(lines), 0
    while sent < total:
        for start in range(0, len(cycle), BLOCK_BYTES):
            yield cycle[start : start + BLOCK_BYTES]
        sent += len(cycle)


def whole_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        yield from lines


class _Information(msgspec.Struct):
    severity: str


class _Event(msgspec.Struct):
    info: _Information


_decode = msgspec.json.Decoder(_Event).decode


def with_json(blocks: Iterator[bytes], folder: Path) -> int:
    critical = 0
    with (folder / "findings").open("wb") as file:
        for line in whole_lines(blocks):
            critical += json.loads(line)["info"]["severity"] == "critical"
            file.write(line + b"\n")
    return critical


def parsing_only(blocks: Iterator[bytes], _folder: Path) -> int:
    return sum(_decode(line).info.severity == "critical" for line in whole_lines(blocks))


def with_bare_parser(blocks: Iterator[bytes], folder: Path) -> int:
    critical = 0
    with (folder / "findings").open("wb") as file:
        for line in whole_lines(blocks):
            critical += _decode(line).info.severity == "critical"
            file.write(line + b"\n")
    return critical


def with_runner(blocks: Iterator[bytes], folder: Path) -> int:
    file = durable.CheckedFile(folder / "findings")
    reading = findings.Findings(file, folder / "malformed")
    for block in blocks:
        reading.feed(block)
    reading.finish()
    file.close()
    return reading.counts.critical


def _task() -> TaskDocument:
    return TaskDocument(
        key="scan:a:r:0:0:0",
        project_id="a",
        run_id="r",
        plan=PlanReference(namespace="d", name="r"),
        endpoints=("http://a.example",),
        templates=(),
    )


def with_merge(blocks: Iterator[bytes], folder: Path) -> int:
    """Two attempts with the same findings; `seconds_of_merge` has the time of the merge alone."""
    document = _task()
    shard = divided.shard_folder(folder, document, shards.cut(document.endpoints, 1)[0])
    begun = records.begun(document.key, 0, 1, "2026-11-24T06:00:00.000Z")
    first = publish.begin(shard, begun)
    for block in blocks:
        first.findings.feed(block)
    first.publish(msgspec.structs.replace(begun, attempt=1, outcome=Outcome.PARTIAL, findings=first.findings.counts))
    second = publish.begin(shard, begun)
    with (publish.folder(shard, 1) / layout.FINDINGS).open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            second.findings.feed(block)
    second.publish(msgspec.structs.replace(begun, attempt=2, outcome=Outcome.COMPLETE, findings=second.findings.counts))
    began = time.monotonic()
    merge.merge(folder, document)
    global seconds_of_merge  # noqa: PLW0603 - one measurement a process
    seconds_of_merge = time.monotonic() - began
    return second.findings.counts.critical


seconds_of_merge = 0.0

WAYS: dict[str, Callable[[Iterator[bytes], Path], int]] = {
    "json": with_json,
    "parsing only": parsing_only,
    "bare parser": with_bare_parser,
    "runner": with_runner,
    "merge": with_merge,
}


def measure(way: str, megabytes: int, bytes_a_finding: int) -> dict[str, float]:
    """Run one way in this process; MB/s and MB of peak memory, without that of the sample itself."""
    lines = sample(bytes_a_finding)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        WAYS[way](stream(lines, megabytes << 20), Path(folder))
        took = seconds_of_merge or time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"rate": megabytes / took, "peak": (peak - before) / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--finding-bytes", type=int, default=2000)
    parser.add_argument("--way", choices=WAYS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.way, options.megabytes, options.finding_bytes)))
        return
    rates: dict[str, float] = {}
    for way in WAYS:
        command = [sys.executable, "-m", "tests.runner.benchmark", "--way", way]
        command += ["--megabytes", str(options.megabytes), "--finding-bytes", str(options.finding_bytes)]
        result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        rates[way] = result["rate"]
        print(f"{way:12} {result['rate']:7.0f} MB/s   {result['peak']:6.1f} MB of memory")
    print(f"runner / bare parser: {rates['runner'] / rates['bare parser']:.2f}")


if __name__ == "__main__":
    main()
