"""200 hostile plans of one tenant beside one well-behaved one: the plan is done, within the chart's memory limit.

The hostile objects are there before the operator starts, which is when an operator that holds too much is killed again and again.
"""

from __future__ import annotations

import contextlib
import time

from tests.bench.figure import Figure, at_least, at_most
from tests.bench.stage import NAMESPACE, Stage, control_plane, peak_mib
from tests.chart import chart
from tests.console import step
from tests.fixtures.control_plane import make_namespace
from tests.integration import audit, hostile
from tests.kubectl import eventually

HOSTILE = "bench-hostile"
PLANS_OF = {"long": 80, "missing": 50, "huge": 30, "wide": 20, "nested": 20}
"""200 in all."""
FORGED = {"jobs": 50, "pods": 50}
TINY = 500
PATIENCE_SECONDS = 240.0


def measure() -> list[Figure]:
    with control_plane(SCANPLAN_NAMESPACES=f"{NAMESPACE},{HOSTILE}") as stage:
        stage.operator.kill()
        make_namespace(stage.api, HOSTILE)
        with step(f"{sum(PLANS_OF.values())} hostile plans"):
            hostile.attack(stage.api, HOSTILE, **PLANS_OF, **FORGED, tiny=TINY)
        began = time.monotonic()
        stage.operator.start()
        with step("A plan of somebody else"):
            completed = complete(stage)
        took = time.monotonic() - began
        with step("All hostile plans are looked at"):
            settled = settle(stage)
        alive = stage.operator.alive
        peak = peak_mib(stage.operator.pid) if alive else float("nan")
        return [
            Figure("hostile: plans of others done", completed, "", at_least(1)),
            Figure("hostile: operator's memory, peak", peak, "MiB", at_most(limit_mib())),
            Figure("hostile: until the plan of others is done", took, "s"),
            Figure("hostile: plans with a status", settled, "", at_least(sum(PLANS_OF.values()))),
        ]


def limit_mib() -> float:
    """The memory limit of the chart's values.yaml."""
    limit: str = chart.defaults()["resources"]["limits"]["memory"]
    return float(limit.removesuffix("Mi"))


def complete(stage: Stage) -> int:
    """Have the plan of another tenant scanned; 0: it wasn't."""
    stage.scene.apply()
    try:
        stage.scene.complete()
    except AssertionError:
        return 0
    return 1


def settle(stage: Stage) -> int:
    """How many hostile plans have a status, once they all have or patience ends."""

    def settled() -> int:
        requests = audit.requests(stage.cluster.audit_log, HOSTILE)
        written = {each.name for each in requests if each.resource == "scanplans/status" and each.code == 200}
        return sum(not name.startswith("tiny-") for name in written)

    with contextlib.suppress(AssertionError):
        eventually(lambda: settled() >= sum(PLANS_OF.values()), within=PATIENCE_SECONDS, interval=5)
    return settled()
