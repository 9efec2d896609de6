"""How fast the operator turns a backlog of plans into Jobs, beside a client that posts the same manifests at once.

The plans are made while no operator runs. Both rates are by the audit log, from the first Job's acknowledgement to the last's, so
that the operator's start is not in it; the pods of both stay without a node.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.bench import log
from tests.bench.figure import Figure, at_least
from tests.bench.lives import bare_job
from tests.bench.stage import BARE, CONNECTIONS, NAMESPACE, Stage, control_plane
from tests.console import step
from tests.integration.apiserver import JOBS, PLANS, PODS
from tests.integration.scene import scanplan
from tests.kubectl import eventually

BACKLOG = 1_000


def measure() -> list[Figure]:
    with control_plane() as stage, ThreadPoolExecutor(CONNECTIONS) as pool:
        stage.operator.kill()
        plans = [scanplan(f"plan-{number}", runId=f"plan-{number}") for number in range(BACKLOG)]
        list(pool.map(lambda plan: stage.api.create(PLANS.format(NAMESPACE), plan), plans))
        with step(f"A backlog of {BACKLOG:,} plans"):
            stage.operator.start()
            eventually(lambda: len(posted(stage, NAMESPACE)) >= BACKLOG, within=300, interval=2)
        stage.operator.kill()
        with step("The Job controller makes their pods, so that it has as little left to do as before"):
            pods = PODS.format(NAMESPACE)
            eventually(lambda: len(stage.api.list(pods)) >= BACKLOG, within=300, interval=2)
        jobs = stage.api.list(JOBS.format(NAMESPACE))
        bodies = [bare_job(job, job["metadata"]["name"]) for job in jobs]
        with step(f"{BACKLOG:,} bare Jobs"):
            list(pool.map(lambda body: stage.api.create(JOBS.format(BARE), body), bodies))
            eventually(lambda: len(posted(stage, BARE)) >= BACKLOG)
        ours, bare = rate(posted(stage, NAMESPACE)), rate(posted(stage, BARE))
        of = f"{BACKLOG:,} plans"
        return [
            Figure(f"backlog: Jobs a second, {of}", ours, "1/s"),
            Figure(f"backlog: raw POSTs a second, {of}", bare, "1/s"),
            Figure(f"backlog: share of raw POSTs, {of}", ours / bare, "×", at_least(0.6)),
        ]


def posted(stage: Stage, namespace: str) -> list[float]:
    """When each Job of a namespace was acknowledged, oldest first."""
    writes = log.writes(stage.audit_log, namespace)
    return sorted(write.at for write in writes if (write.verb, write.resource) == ("create", "jobs"))


def rate(times: list[float]) -> float:
    """Events a second, from the first to the last."""
    return (len(times) - 1) / (times[-1] - times[0])
