"""An operator that starts where thousands of plans have settled: how soon it serves, what it holds, and that it writes nothing.

One plan lives for real; all others are clones of it with the status that the operator wrote, made while no operator runs. One
more plan waits without a status when the operator starts: it serves when that plan has its Job. The targets of serving and of
writes at rest are about 10,000 plans and ten minutes: fewer and shorter can't meet them, so they have none here.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from tests.bench.figure import Figure, at_most
from tests.bench.stage import NAMESPACE, Stage, control_plane, resident_mib
from tests.console import step
from tests.integration.apiserver import PLANS, Object
from tests.integration.scene import scanplan

SETTLED = 2_000
SECONDS_AT_REST = 60
CONNECTIONS = 4
RUN = "settled"
"""The clones' run: with the same key fields, the pinned inputs of the status hold for all of them."""


def measure() -> list[Figure]:
    with control_plane() as stage:
        path = PLANS.format(NAMESPACE)
        stage.api.create(path, scanplan("original", runId=RUN))
        status = stage.scene.complete("original")
        stage.operator.kill()
        seed(stage, status)
        stage.api.create(path, scanplan("waiting", runId="waiting"))
        already = len(writes(stage))
        began = time.monotonic()
        stage.operator.start()
        job = stage.scene.started("waiting")
        serving = time.monotonic() - began
        with step(f"At rest for {SECONDS_AT_REST} s"):
            time.sleep(SECONDS_AT_REST)
        own = {"waiting", job}
        others = [name for name in writes(stage)[already:] if name not in own]
        of = f"{SETTLED:,} settled plans"
        return [
            Figure(f"restart: until serving, {of}", serving, "s"),
            Figure(f"restart: memory, {of}", resident_mib(stage.operator.pid), "MiB", at_most(110)),
            Figure(f"restart: writes in {SECONDS_AT_REST} s, {of}", len(others), "requests"),
        ]


def seed(stage: Stage, status: Object) -> None:
    """Make the clones, a plan and its status each, over a few connections at once."""
    path = PLANS.format(NAMESPACE)

    def clone(number: int) -> None:
        name = f"{RUN}-{number}"
        stage.api.create(path, scanplan(name, runId=RUN))
        stage.api.patch(f"{path}/{name}/status", {"status": status})

    with step(f"Seeding {SETTLED:,} settled plans") as progress, ThreadPoolExecutor(CONNECTIONS) as pool:
        for done, _ in enumerate(pool.map(clone, range(SETTLED)), 1):
            progress.update(f"{done:,}")


def writes(stage: Stage) -> list[str]:
    """The names of the objects that the operator has written, oldest first."""
    return [request.name for request in stage.scene.requests() if request.is_write]
