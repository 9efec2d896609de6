"""The findings view at 100,000 findings: how long a page of a list takes over HTTP, and what the process needs.

The history is made by one process and served by another. The queries filter, sort and search in every way that the page has.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from scanplan.api import layout
from scanplan.findings import history
from scanplan.findings.exceptions import Match, ScanException
from tests.bench import findings_history
from tests.bench.figure import Figure, at_most, percentile
from tests.chart import chart
from tests.console import step
from tests.web.scene import NAMESPACE, Scene

FINDINGS = 100_000
ROUNDS = 3
EXCEPTIONS = 200
NARROWED = ("", "&severity=high,low", "&state=all&suppressed=no", "&text=path", "&text=host-7", "&text=no-such-text")
QUERIES = [
    f"sort={sort}&order={order}{more}"
    for sort in ("severity", "name", "where", "first_seen", "last_seen")
    for order in ("asc", "desc")
    for more in NARROWED
]


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        with step(f"A history of {FINDINGS:,} findings"):
            write(Path(folder), FINDINGS)
        with step(f"{ROUNDS * len(QUERIES)} pages of it"):
            command = [sys.executable, "-m", "tests.bench.findings_view", folder]
            told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    limit: str = chart.defaults()["api"]["resources"]["limits"]["memory"]
    return [
        Figure("findings: a page of 100,000, p95", percentile(told["pages"], 95), "ms", at_most(200)),
        Figure("findings: the slowest page", max(told["pages"]), "ms"),
        Figure("findings: API's memory, peak", told["peak"], "MiB", at_most(float(limit.removesuffix("Mi")))),
        Figure("findings: first page after a scan", told["first"], "s"),
        Figure("findings: first page after another exception", told["suppressed"], "s"),
    ]


def write(folder: Path, count: int) -> None:
    """A history of so many findings, all seen by one scan."""
    sightings = filter(None, map(history.sighting, findings_history.lines(0, count)))
    records = sorted(map(history.record, sightings))
    lines = history.continued((), records, "2026-11-24T06:00:00.000Z", lambda _: False, history.Tally())
    (folder / layout.HISTORY).write_bytes(b"".join(lines))


def exceptions(count: int) -> list[ScanException]:
    """Exceptions for a host each."""
    end = datetime.now(UTC) + timedelta(days=9)
    hosts = [f"host-{each}.example" for each in range(count)]
    return [ScanException(name=host, match=Match(hosts=(host,)), expires_at=end) for host in hosts]


async def served(folder: Path) -> dict[str, Any]:
    """Serve the history in this process, and ask for pages one after the other."""
    scene = Scene(folder / "results", exceptions(EXCEPTIONS))
    scene.add_history("bench", (folder / layout.HISTORY).read_bytes())
    async with scene, aiohttp.ClientSession(scene.url) as client:

        async def page(query: str) -> float:
            began = time.perf_counter()
            async with client.get(f"/api/v1/projects/bench/findings?namespace={NAMESPACE}&{query}") as answer:
                assert answer.status == 200, await answer.text()
                await answer.read()
            return time.perf_counter() - began

        first = await page("")
        pages = [await page(query) * 1_000 for _ in range(ROUNDS) for query in QUERIES]
        scene.exceptions.pop()
        suppressed = await page("")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"pages": pages, "first": first, "suppressed": suppressed, "peak": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    print(json.dumps(asyncio.run(served(parser.parse_args().folder))))


if __name__ == "__main__":
    main()
