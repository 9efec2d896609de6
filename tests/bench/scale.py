"""What settled plans cost the operator, as there are more and more of them; at most, ten thousand with a thousand active on top.

One plan lives for real; the others are clones of it, made while no operator runs (see `settled`). At each size the operator starts
anew, and some plans live their whole lives beside the settled ones.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from scanplan.api.v1alpha1.scanplan import Phase
from tests.bench import kwok, lives, log, settled
from tests.bench.figure import Figure, at_most, percentile
from tests.bench.stage import CONNECTIONS, NAMESPACE, Stage, control_plane, cpu_seconds, resident_mib
from tests.console import step
from tests.integration.apiserver import PLANS
from tests.integration.scene import scanplan
from tests.kubectl import eventually

SIZES = (100, 1_000, 10_000)
LIVES = 30
ACTIVE = 1_000
ACTIVE_LABEL = "active"
ACTIVE_SECONDS = 3600.0
"""How long their pods run: longer than anybody looks."""
PATIENCE_SECONDS = 240
"""Until they all run, and nothing more happens; it only ends a hopeless wait."""
POLL_SECONDS = 5.0
SECONDS_AT_REST = 600


def measure() -> list[Figure]:
    """Each figure at each size, and the memory with many active plans."""
    figures: list[Figure] = []
    with control_plane() as stage:
        status = settled.original(stage)
        made = 0
        for size in SIZES:
            settled.seed(stage, status, range(made, size))
            made = size
            figures += at(stage, size)
        return [*figures, with_active(stage)]


def rest() -> list[Figure]:
    """The writes of an operator that has nothing to do, at the largest size; the lease aside."""
    size = SIZES[-1]
    with control_plane() as stage:
        settled.seed(stage, settled.original(stage), range(size))
        settled.serve(stage, "waiting")
        before = len(settled.writes(stage))
        with step(f"At rest for {SECONDS_AT_REST} s"):
            time.sleep(SECONDS_AT_REST)
        name = f"rest: writes in {SECONDS_AT_REST} s, {size:,} settled plans"
        return [Figure(name, len(settled.writes(stage)) - before, "requests", at_most(0))]


def at(stage: Stage, size: int) -> list[Figure]:
    """Start on so many settled plans, and let some plans live their lives beside them; no operator runs before or after."""
    of = f"{size:,} settled plans"
    seconds, others = settled.serve(stage, f"waiting-{size}")
    memory = resident_mib(stage.operator.pid)
    jobs = {}
    before, began = cpu_seconds(stage.operator.pid), time.monotonic()
    with step(f"Lives of plans beside {of}"):
        for number in range(LIVES):
            name = f"life-{size}-{number}"
            jobs[name] = lives.live(stage, name)["metadata"]["name"]
    cpu, took = cpu_seconds(stage.operator.pid) - before, time.monotonic() - began
    cpu -= lives.cpu_at_rest(stage, took)
    stage.operator.stop()
    starts = lives.starts(list(log.writes(stage.audit_log, NAMESPACE)), jobs)
    figures = [
        Figure(f"scale: memory, {of}", memory, "MiB"),
        Figure(f"scale: create latency p50, {of}", percentile(starts, 50), "ms"),
        Figure(f"scale: CPU a plan without idle, {of}", 1000 * cpu / LIVES, "ms"),
    ]
    if size < SIZES[-1]:
        return [Figure(f"scale: until serving, {of}", seconds, "s"), *figures]
    return [
        Figure(f"scale: until serving, {of}", seconds, "s", at_most(15)),
        Figure(f"scale: writes at the start, {of}", others, "requests", at_most(0)),
        *figures,
    ]


def with_active(stage: Stage) -> Figure:
    """Memory with a thousand plans at once whose pods run, on top of all that have settled."""
    kwok.start(stage, scan_seconds=ACTIVE_SECONDS)
    stage.operator.start()
    path, chosen = PLANS.format(NAMESPACE), f"{ACTIVE_LABEL}=true"

    def create(number: int) -> None:
        plan = scanplan(f"active-{number}", runId=f"active-{number}")
        plan["metadata"]["labels"] = {ACTIVE_LABEL: "true"}
        stage.api.create(path, plan)

    def all_run() -> bool:
        plans = stage.api.list(path, labelSelector=chosen)
        phases = [plan.get("status", {}).get("phase") for plan in plans]
        return phases.count(Phase.RUNNING) >= ACTIVE

    with step(f"{ACTIVE:,} active plans"), ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(create, range(ACTIVE)))
        eventually(all_run, within=PATIENCE_SECONDS, interval=POLL_SECONDS)
        eventually(lambda: settled.is_quiet(stage.operator), within=PATIENCE_SECONDS)
    name = f"scale: memory, {SIZES[-1]:,} settled plans and {ACTIVE:,} active"
    return Figure(name, resident_mib(stage.operator.pid), "MiB", at_most(160))
