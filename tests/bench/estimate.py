"""What Nuclei's memory and its starts follow from: the coefficients of `scanplan plan --estimate`, with the real Nuclei.

Without the real program, which NUCLEI_BIN names, there is nothing to measure.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from scanplan.api.documents.task import ScannerOptions, TaskDocument
from scanplan.api.documents.words import PlanReference
from scanplan.core.planning import estimate
from scanplan.core.planning.estimate import Step
from tests.bench.figure import Figure, at_most
from tests.bench.nuclei_share import templates_in, variables_of
from tests.console import step
from tests.doubles import build
from tests.fixtures.scans import web_application

RATE = 1_000
PARALLEL = 25
"""Nuclei's own defaults: templates and hosts at the same time."""
MOST_OFF = 1.4
"""How far a measured peak may be from the formula's, as a factor."""


class Peak(NamedTuple):
    """What a shard of one step has taken."""

    mib: float
    """Nuclei alone: the larger of two processes, and the runner is smaller."""
    seconds: float


class Shape(NamedTuple):
    """A shard."""

    templates: int
    endpoints: int
    parallel: int = PARALLEL

    def __str__(self) -> str:
        return f"{self.templates:,} templates, {self.endpoints} endpoints, {self.parallel} × {self.parallel} at a time"

    @property
    def foretold(self) -> float:
        """Nuclei's memory by the formula, in MiB."""
        step = Step(self.templates, self.endpoints)
        return estimate.memory_mib(step, self.parallel, self.parallel) - estimate.RUNNER_MIB

    @property
    def under_way(self) -> int:
        return min(self.templates, self.parallel) * min(self.endpoints, self.parallel)


ONE = Shape(1, 10)
FEW, MANY = Shape(700, 6), Shape(5_000, 6)
NARROW, USUAL, WIDE = Shape(700, 30, 10), Shape(700, 30), Shape(700, 30, 50)
SHORT, LONG = Shape(200, 30), Shape(200, 200)


def measure() -> list[Figure]:
    program = os.environ.get("NUCLEI_BIN")
    if not program:
        return []
    with step("Shards of several shapes"):
        peaks = {shape: _peak(program, shape) for shape in (ONE, FEW, MANY, NARROW, USUAL, WIDE, SHORT, LONG)}
    template = (peaks[MANY].mib - peaks[FEW].mib) / (MANY.templates - FEW.templates)
    request = (peaks[WIDE].mib - peaks[NARROW].mib) / (WIDE.under_way - NARROW.under_way)
    endpoint = (peaks[LONG].mib - peaks[SHORT].mib) / (LONG.endpoints - SHORT.endpoints)
    base = peaks[USUAL].mib - template * USUAL.templates - request * USUAL.under_way - endpoint * USUAL.endpoints
    start = peaks[ONE].seconds - ONE.templates * ONE.endpoints / RATE
    loading = peaks[MANY].seconds - MANY.templates * MANY.endpoints / RATE - start
    off = max(max(peak.mib / shape.foretold, shape.foretold / peak.mib) for shape, peak in peaks.items())
    return [
        *(Figure(f"estimate: Nuclei, {shape}", peak.mib, "MiB") for shape, peak in peaks.items()),
        Figure("estimate: memory whatever is scanned", base, "MiB"),
        Figure("estimate: memory for 1,000 templates of a step", 1_000 * template, "MiB"),
        Figure("estimate: memory for 100 endpoints of a step", 100 * endpoint, "MiB"),
        Figure("estimate: memory for 100 requests under way", 100 * request, "MiB"),
        Figure("estimate: a start of Nuclei", start, "s"),
        Figure("estimate: loading 1,000 templates", 1_000 * loading / MANY.templates, "s"),
        Figure("estimate: a peak and the formula's, furthest apart", off, "×", at_most(MOST_OFF)),
    ]


def _peak(program: str, shape: Shape) -> Peak:
    """Scan loopback by a runner; the site answers each request at once, with a few bytes."""
    with tempfile.TemporaryDirectory() as folder, web_application(build().webapp, "-listen", "0.0.0.0:0") as site:
        endpoints = (
            f"http://127.0.{number >> 8}.{number & 255}:{site.port}" for number in range(1, shape.endpoints + 1)
        )
        document = TaskDocument(
            key="scan:acme:nightly:0a:0b:0c",
            project_id="acme",
            run_id="nightly",
            plan=PlanReference(namespace="default", name="nightly"),
            endpoints=tuple(sorted(endpoints)),
            templates=(),
            scanner=ScannerOptions(
                rate_limit=RATE, request_retries=0, concurrency=shape.parallel, bulk_size=shape.parallel
            ),
        )
        variables = variables_of(document, program, templates_in(Path(folder), shape.templates), Path(folder))
        began = time.monotonic()
        process = subprocess.Popen([sys.executable, "-m", "scanplan.runner"], env=variables, stdout=subprocess.DEVNULL)
        _, code, usage = os.wait4(process.pid, 0)  # of the process and of those that it has waited for: their largest
        assert code == 0, f"the runner has failed: {code}"
        return Peak(usage.ru_maxrss / 1024, time.monotonic() - began)
