"""An hour of churn: plans are made at a steady rate, complete, and are deleted, while the operator's memory is watched.

It grows at first, as what comes and goes finds its room; from then on it has to be flat. Apart from the other figures because it
takes so long: `make bench-soak`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import rich

from scanplan.api.v1alpha1.scanplan import Phase
from tests.bench import kwok
from tests.bench.figure import Figure, at_most, save, table
from tests.bench.stage import NAMESPACE, Stage, control_plane, resident_mib
from tests.console import step
from tests.integration.apiserver import PLANS
from tests.integration.scene import scanplan

OUTPUT = Path(__file__).parents[2] / "build" / "bench-soak.json"
SECONDS = 3600
RATE = 5.0
"""Plans a second."""
KEPT = 300
"""Plans that are there at once: for each one beyond, the oldest goes."""
FLAT_MIB = 4.0
"""Memory that comes and goes by chance: more between the second quarter and the last is growth."""


def measure(seconds: int) -> list[Figure]:
    with control_plane() as stage:
        kwok.start(stage)
        memory, made, unfinished = churn(stage, seconds)
    quarter = len(memory) // 4
    early, late = fmean(memory[quarter : 2 * quarter]), fmean(memory[-quarter:])
    return [
        Figure("soak: plans a second", made / seconds, "1/s"),
        Figure("soak: plans not completed when they went", unfinished, "plans", at_most(0)),
        Figure("soak: memory, second quarter", early, "MiB"),
        Figure("soak: memory, last quarter", late, "MiB"),
        Figure("soak: growth of memory", late - early, "MiB", at_most(FLAT_MIB)),
    ]


def churn(stage: Stage, seconds: int) -> tuple[Sequence[float], int, int]:
    """Make and delete plans.

    Returns:
        The operator's memory at each new plan in MiB, the number of plans, and how many were not Completed when they went.
    """
    memory: list[float] = []
    unfinished = made = 0
    began = time.monotonic()
    with step(f"Churn for {seconds} s, {RATE:g} plans a second") as progress:
        while (passed := time.monotonic() - began) < seconds:
            name = f"plan-{made}"
            stage.api.create(PLANS.format(NAMESPACE), scanplan(name, runId=name))
            if made >= KEPT:
                unfinished += not delete(stage, f"plan-{made - KEPT}")
            memory.append(resident_mib(stage.operator.pid))
            made += 1
            progress.update(f"{passed:.0f} s, {made:,} plans, {memory[-1]:.1f} MiB")
            time.sleep(max(0.0, began + made / RATE - time.monotonic()))
    return memory, made, unfinished


def delete(stage: Stage, name: str) -> bool:
    """Delete a plan; returns whether it was Completed."""
    plan = stage.scene.plan(name)
    stage.api.delete(f"{PLANS.format(NAMESPACE)}/{name}", propagationPolicy="Background")
    return bool(plan.get("status", {}).get("phase") == Phase.COMPLETED)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"default: {SECONDS}")
    figures = measure(parser.parse_args().seconds)
    save(figures, OUTPUT)
    rich.print(table(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
