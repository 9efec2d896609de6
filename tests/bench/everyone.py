"""All that the API server writes for a plan of one shard, whoever asks for it, beside a bare Job of the same manifest.

kwok runs the pods, so that node, scheduler and controllers write what they do anywhere; Events count too, and what was refused: it
cost a request. Apart from them is what Kubernetes writes to the claim that all scans share, as it begins and ceases to be used.
"""

from __future__ import annotations

import time
from collections import Counter

from tests.bench import kwok, log
from tests.bench.burst import burst, is_complete, is_completed
from tests.bench.figure import Figure, at_most
from tests.bench.lives import bare_job
from tests.bench.stage import BARE, NAMESPACE, Stage, control_plane
from tests.console import step
from tests.integration.apiserver import JOBS, PLANS
from tests.integration.scene import scanplan

PLANS_MEASURED = 50
CLAIMS = "persistentvolumeclaims"
SETTLE_SECONDS = 10.0
"""Until the last Events are written, which come in batches."""


def measure() -> list[Figure]:
    with control_plane() as stage:
        kwok.start(stage)
        stage.api.create(PLANS.format(NAMESPACE), scanplan("warm-up", runId="warm-up"))
        stage.scene.phase("Completed", "warm-up")
        time.sleep(SETTLE_SECONDS)
        before = {namespace: writes(stage, namespace) for namespace in (NAMESPACE, BARE)}
        plans = [scanplan(f"plan-{number}", runId=f"plan-{number}") for number in range(PLANS_MEASURED)]
        with step(f"{PLANS_MEASURED} plans, and as many bare Jobs"):
            burst(stage, PLANS.format(NAMESPACE), plans, is_completed)
            jobs = stage.api.list(JOBS.format(NAMESPACE))[:PLANS_MEASURED]
            bodies = [bare_job(job, job["metadata"]["name"]) for job in jobs]
            burst(stage, JOBS.format(BARE), bodies, is_complete)
            time.sleep(SETTLE_SECONDS)
        counted = {namespace: writes(stage, namespace) - already for namespace, already in before.items()}

        def each(namespace: str, *, of_claim: bool = False) -> float:
            return sum(count for of, count in counted[namespace].items() if of == of_claim) / PLANS_MEASURED

        return [
            Figure("writes-by-everyone: bare Job", each(BARE), "requests"),
            Figure("writes-by-everyone: plan", each(NAMESPACE), "requests", at_most(15)),
            Figure("writes-by-everyone: to the claim, plan", each(NAMESPACE, of_claim=True), "requests"),
        ]


def writes(stage: Stage, namespace: str) -> Counter[bool]:
    """So far, by whether they were to the claim."""
    return Counter(CLAIMS in answer.resource for answer in log.tried(stage.audit_log, namespace))
