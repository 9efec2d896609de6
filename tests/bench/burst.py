"""Five hundred plans at once, until the last is Completed, beside as many bare Jobs of the same manifests.

kwok runs the pods; scheduler and Job controller are Kubernetes' own, once with raised limits on their requests, once as shipped.
Both rates are by the audit log, from the first creation's acknowledgement to that of the last status. Where the limits are raised
the machine's CPU is what bounds both, so what each process takes of it is here too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from scanplan.api.v1alpha1.scanplan import Phase
from tests.bench import kwok, log
from tests.bench.figure import Figure, at_least
from tests.bench.lives import bare_job
from tests.bench.stage import BARE, CONNECTIONS, NAMESPACE, Stage, control_plane, cpu_seconds, processes
from tests.console import step
from tests.integration.apiserver import JOBS, PLANS, Object
from tests.integration.scene import scanplan
from tests.kubectl import eventually

BURST = 500
PATIENCE_SECONDS = 240
"""For one of the four bursts; it only ends a hopeless one."""
POLL_SECONDS = 2.0
"""Lists of hundreds of objects are work for the API server too."""


def measure() -> list[Figure]:
    return [*beside("raised", kwok.RAISED), *beside("as shipped", kwok.SHIPPED)]


def beside(limits: str, paces: kwok.Paces) -> list[Figure]:
    """Both rates in one cluster, ours first. CPU is that of the cluster's processes and of the operator, not of this client."""
    with control_plane() as stage:
        kwok.start(stage, paces)
        stage.api.create(PLANS.format(NAMESPACE), scanplan("warm-up", runId="warm-up"))
        stage.scene.phase("Completed", "warm-up")
        plans = [scanplan(f"plan-{number}", runId=f"plan-{number}") for number in range(BURST)]
        pids = processes(stage)
        with step(f"{BURST} plans at once, limits {limits}"):
            of_plans = used(pids, lambda: burst(stage, PLANS.format(NAMESPACE), plans, is_completed))
        jobs = [bare_job(job, job["metadata"]["name"]) for job in stage.api.list(JOBS.format(NAMESPACE))][:BURST]
        with step(f"{BURST} bare Jobs at once, limits {limits}"):
            of_jobs = used(pids, lambda: burst(stage, JOBS.format(BARE), jobs, is_complete))
        ours = completed_a_second(stage, NAMESPACE, "scanplans", plans)
        bare = completed_a_second(stage, BARE, "jobs", jobs)
        target = at_least(0.7) if paces == kwok.RAISED else None
        return [
            Figure(f"burst: plans completed a second, limits {limits}", ours, "1/s"),
            Figure(f"burst: bare Jobs completed a second, limits {limits}", bare, "1/s"),
            Figure(f"burst: share of bare Jobs, limits {limits}", ours / bare, "×", target),
            Figure(f"burst: status writes for a plan, limits {limits}", status_writes(stage, plans), "requests"),
            Figure(f"burst: CPU of all for a plan, limits {limits}", sum(of_plans.values()), "ms"),
            Figure(f"burst: CPU of all for a bare Job, limits {limits}", sum(of_jobs.values()), "ms"),
            Figure(
                f"burst: CPU of a bare Job / of a plan, limits {limits}",
                sum(of_jobs.values()) / sum(of_plans.values()),
                "×",
            ),
            *(
                Figure(f"burst: CPU of {name}, {what}, limits {limits}", of[name], "ms")
                for name in sorted(pids)
                for what, of in (("plan", of_plans), ("bare Job", of_jobs))
            ),
        ]


def used(pids: dict[str, int], act: Callable[[], None]) -> dict[str, float]:
    """Milliseconds of CPU that each process takes for one of the burst."""
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    act()
    return {name: 1000 * (cpu_seconds(pid) - before[name]) / BURST for name, pid in pids.items()}


def status_writes(stage: Stage, plans: Sequence[Object]) -> float:
    """How often the status of a plan was written, on average."""
    names = {manifest["metadata"]["name"] for manifest in plans}
    writes = [write for write in log.writes(stage.audit_log, NAMESPACE) if write.name in names]
    return sum(write.resource == "scanplans/status" for write in writes) / len(names)


def burst(stage: Stage, path: str, manifests: Sequence[Object], done: Callable[[Object], bool]) -> None:
    """Create all over a few connections at once, and wait until all are done."""
    names = {manifest["metadata"]["name"] for manifest in manifests}
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda manifest: stage.api.create(path, manifest), manifests))

    def all_done() -> bool:
        return names <= {found["metadata"]["name"] for found in stage.api.list(path) if done(found)}

    eventually(all_done, within=PATIENCE_SECONDS, interval=POLL_SECONDS)


def is_completed(plan: Object) -> bool:
    return bool(plan.get("status", {}).get("phase") == Phase.COMPLETED)


def is_complete(job: Object) -> bool:
    return any(condition["type"] == "Complete" for condition in job["status"].get("conditions", ()))


def completed_a_second(stage: Stage, namespace: str, resource: str, manifests: Sequence[Object]) -> float:
    """From the first creation to the last write of a status, by whomever it was."""
    names = {manifest["metadata"]["name"] for manifest in manifests}
    writes = [write for write in log.writes(stage.audit_log, namespace) if write.name in names]
    first = min(write.at for write in writes if (write.verb, write.resource) == ("create", resource))
    last = max(write.at for write in writes if write.resource == f"{resource}/status")
    return len(names) / (last - first)
