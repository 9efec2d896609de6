"""How often the operator looks at a plan in its whole life, by its own metrics."""

from __future__ import annotations

import time

from tests.bench.figure import Figure, at_most
from tests.bench.lives import SETTLE_SECONDS, live
from tests.bench.stage import control_plane
from tests.console import step
from tests.integration import metrics
from tests.ports import free_port

PLANS_MEASURED = 30
STATES = ("Pending", "Running", "Completed")
"""That a plan goes through."""


def measure() -> list[Figure]:
    port = free_port()
    with control_plane(**metrics.serving(port)) as stage:
        live(stage, "warm-up")
        time.sleep(SETTLE_SECONDS)
        before = metrics.reconciles(port)
        with step("Reconciles in lives of plans") as progress:
            for number in range(PLANS_MEASURED):
                live(stage, f"plan-{number}")
                progress.update(f"{number + 1}/{PLANS_MEASURED}")
        time.sleep(SETTLE_SECONDS)
        each = (metrics.reconciles(port) - before) / PLANS_MEASURED
    return [Figure("reconciles-per-plan", each, "reconciles", at_most(2 * len(STATES)))]
