"""Two thousand plans of eight shards that are active at once, on a thousand nodes: the operator's memory, its lease, its delay.

kwok runs the pods; scheduler and Job controller are Kubernetes' own (see `kwok`). No pod ends before all plans run. The claim is
ReadWriteMany, so that pods go to all nodes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from scanplan.api.v1alpha1.scanplan import Phase
from tests.bench import kwok, log
from tests.bench.figure import Figure, at_least, at_most, percentile
from tests.bench.stage import CONNECTIONS, NAMESPACE, Stage, control_plane, cpu_seconds, peak_mib
from tests.console import step
from tests.integration.apiserver import PLANS
from tests.integration.scene import scanplan, shards
from tests.kubectl import eventually

PLANS_AT_ONCE = int(os.environ.get("CROWD_PLANS", "2000"))
"""All of them are active at the same time."""
SIZE = kwok.Size(nodes=1_000, shards=8)
CLAIM = "shared"
PATIENCE_SECONDS = 3_600
"""For 16,000 pods on two cores; it only ends a hopeless wait."""
POLL_SECONDS = 10.0
"""Lists of thousands of plans are work for the API server too."""


def measure() -> list[Figure]:
    with control_plane(WORKER_CONCURRENCY=str(PLANS_AT_ONCE), SCANPLAN_CLAIM_NAME=CLAIM) as stage:
        stage.api.create(f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims", claim())
        kwok.start(stage, scan_seconds=None, size=SIZE)
        before, began = cpu_seconds(stage.operator.pid), time.monotonic()
        with step(f"{PLANS_AT_ONCE:,} plans of {SIZE.shards} shards, until all run") as progress:
            with ThreadPoolExecutor(CONNECTIONS) as pool:
                list(pool.map(lambda number: create(stage, f"plan-{number}"), range(PLANS_AT_ONCE)))
            wait(stage, Phase.RUNNING, progress.update)
        running = time.monotonic() - began
        kwok.play(stage, kwok.SCAN_SECONDS, SIZE)
        with step("Until all are Completed") as progress:
            wait(stage, Phase.COMPLETED, progress.update)
        cpu = cpu_seconds(stage.operator.pid) - before
        delays = behind(stage)
        of = f"{PLANS_AT_ONCE:,} plans of {SIZE.shards} shards"
        return [
            Figure(f"crowd: plans done, {of}", len(delays), "plans", at_least(PLANS_AT_ONCE)),
            Figure(f"crowd: leases lost, {of}", 0 if stage.operator.alive else 1, "leases", at_most(0)),
            Figure(f"crowd: operator's memory, peak, {of}", peak_mib(stage.operator.pid), "MiB", at_most(200)),
            Figure(f"crowd: status behind the Job, p50, {of}", percentile(delays, 50), "s"),
            Figure(f"crowd: status behind the Job, p99, {of}", percentile(delays, 99), "s", at_most(1)),
            Figure(f"crowd: operator's CPU for a plan, {of}", 1000 * cpu / PLANS_AT_ONCE, "ms"),
            Figure(f"crowd: until all run, {of}", running, "s"),
            Figure(f"crowd: until all are done, {of}", time.monotonic() - began, "s"),
        ]


def claim() -> dict[str, object]:
    """A claim that pods of all nodes can mount."""
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"metadata": {"name": CLAIM}, "spec": spec}


def create(stage: Stage, name: str) -> None:
    stage.api.create(PLANS.format(NAMESPACE), scanplan(name, runId=name, **shards(SIZE.shards)))


def wait(stage: Stage, phase: Phase, tell: Callable[[str], None]) -> None:
    """Wait until all plans are in this phase."""

    def reached() -> bool:
        plans = stage.api.list(PLANS.format(NAMESPACE))
        count = [plan.get("status", {}).get("phase") for plan in plans].count(phase)
        tell(f"{count:,}, {peak_mib(stage.operator.pid):.0f} MiB")
        return count >= PLANS_AT_ONCE

    eventually(reached, within=PATIENCE_SECONDS, interval=POLL_SECONDS)


def behind(stage: Stage) -> list[float]:
    """For each plan that is Completed, the seconds from the last status of its Job to its own."""
    ended, settled = {}, {}
    for write in log.writes(stage.audit_log, NAMESPACE):
        if write.resource == "jobs/status":
            ended[write.name] = write.at
        elif write.resource == "scanplans/status":
            settled[write.name] = write.at
    done = [plan for plan in stage.api.list(PLANS.format(NAMESPACE)) if plan["status"]["phase"] == Phase.COMPLETED]
    return [settled[plan["metadata"]["name"]] - ended[plan["status"]["jobRef"]["name"]] for plan in done]
