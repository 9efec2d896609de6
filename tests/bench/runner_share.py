"""The path of findings through the runner, beside a bare loop around the same parser (tests/runner/benchmark.py)."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.bench.figure import Figure, at_least
from tests.console import step

MEGABYTES = 1024


def measure() -> list[Figure]:
    rates = {}
    for way in ("bare parser", "runner"):
        with step(f"Findings through: {way}"):
            command = [sys.executable, "-m", "tests.runner.benchmark", "--way", way, "--megabytes", str(MEGABYTES)]
            rates[way] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["rate"]
    return [
        Figure("runner: findings", rates["runner"], "MB/s"),
        Figure("runner: share of a bare loop", rates["runner"] / rates["bare parser"], "×", at_least(0.7)),
    ]
