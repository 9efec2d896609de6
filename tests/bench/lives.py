"""Whole lives of plans, one after the other: how soon the operator acts, and what a plan costs.

Each plan is created, its pod is run by a stand-in kubelet, and its status becomes Completed; then a bare client posts the same
Job under another name where no operator looks, and lets it come to rest. Times of the operator are between two answers of the API
server, by its audit log; that of the bare client is between its request and the answer, by its own clock.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.bench import log
from tests.bench.figure import Figure, at_most, percentile
from tests.bench.stage import BARE, NAMESPACE, Stage, control_plane, cpu_seconds, resident_mib
from tests.console import step
from tests.integration import audit
from tests.integration.apiserver import JOBS, PLANS, Object
from tests.integration.scene import scanplan
from tests.kubectl import eventually

PLANS_MEASURED = 100
SETTLE_SECONDS = 5.0
"""Until the lists that every start makes are over."""
OF_THE_TEMPLATE = ("batch.kubernetes.io/controller-uid", "controller-uid", "batch.kubernetes.io/job-name", "job-name")
"""Labels that the API server puts there for one Job alone."""


def measure() -> list[Figure]:
    with control_plane() as stage:
        idle = resident_mib(stage.operator.pid)
        live(stage, "warm-up")
        time.sleep(SETTLE_SECONDS)
        asked = len(list(audit.requests(stage.audit_log, NAMESPACE)))
        before, began = cpu_seconds(stage.operator.pid), time.monotonic()
        jobs: dict[str, str] = {}
        bare: list[float] = []
        with step("Lives of plans, beside bare Jobs") as progress:
            for number in range(PLANS_MEASURED):
                name = f"plan-{number}"
                job = live(stage, name)
                jobs[name] = job["metadata"]["name"]
                bare.append(post_bare(stage, job, name))
                progress.update(f"{number + 1}/{PLANS_MEASURED}")
        cpu, took = cpu_seconds(stage.operator.pid) - before, time.monotonic() - began
        requests = list(audit.requests(stage.audit_log, NAMESPACE))[asked:]
        at_rest = cpu_at_rest(stage, took)
        return [
            *latencies(list(log.writes(stage.audit_log, NAMESPACE)), jobs, bare),
            *calls(requests, len(jobs)),
            Figure("cpu-per-plan", 1000 * cpu / len(jobs), "ms"),
            Figure("cpu-per-plan: without idle", 1000 * (cpu - at_rest) / len(jobs), "ms", at_most(14)),
            Figure("memory-idle", idle, "MiB", at_most(80)),
        ]


def live(stage: Stage, name: str) -> Object:
    """A plan's whole life; returns its Job."""
    stage.api.create(PLANS.format(NAMESPACE), scanplan(name, runId=name))
    stage.scene.complete(name)
    return stage.scene.job_of(name)


def post_bare(stage: Stage, job: Object, name: str) -> float:
    """Post a copy of a Job as any client would; returns the seconds of the post, when the Job controller has done its part too.

    So the next plan finds the cluster as much at rest as this Job did; and it is not deleted, which would go on beside that plan.
    """
    path = JOBS.format(BARE)
    body = bare_job(job, name)
    began = time.monotonic()
    stage.api.create(path, body)
    took = time.monotonic() - began
    eventually(lambda: (stage.api.get(f"{path}/{name}") or {})["status"].get("active"), interval=0.05)
    return took


def bare_job(job: Object, name: str) -> Object:
    """The manifest that a Job was made of, without what ties it to its plan or was added by the API server."""
    spec: dict[str, Any] = {key: value for key, value in job["spec"].items() if key != "selector"}
    template = spec["template"]
    labels = {key: value for key, value in template["metadata"]["labels"].items() if key not in OF_THE_TEMPLATE}
    metadata = {**template["metadata"], "labels": labels}
    metadata.pop("creationTimestamp", None)
    spec["template"] = {**template, "metadata": metadata}
    own = {key: job["metadata"][key] for key in ("labels", "annotations") if key in job["metadata"]}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, **own}, "spec": spec}


def cpu_at_rest(stage: Stage, seconds: float) -> float:
    """What the operator uses in so many seconds in which nothing happens: lease, watches, comparisons."""
    with step(f"At rest for the {seconds:.0f} s that this took"):
        time.sleep(SETTLE_SECONDS)
        before = cpu_seconds(stage.operator.pid)
        time.sleep(seconds)
        return cpu_seconds(stage.operator.pid) - before


def latencies(writes: Sequence[log.Answer], jobs: dict[str, str], bare: Sequence[float]) -> list[Figure]:
    """From the plan's creation to its Job's, and from the Job's last status to the plan's."""
    ended = {write.name: write.at for write in writes if not write.by_operator and write.resource == "jobs/status"}
    settled = {write.name: write.at for write in writes if write.by_operator and write.resource == "scanplans/status"}
    until_job = starts(writes, jobs)
    ends = [1000 * (settled[plan] - ended[job]) for plan, job in jobs.items()]
    posts = [1000 * seconds for seconds in bare]
    above = percentile(until_job, 99) - percentile(posts, 99)
    return [
        Figure("create-latency: bare POST, p50", percentile(posts, 50), "ms"),
        Figure("create-latency: bare POST, p99", percentile(posts, 99), "ms"),
        Figure("create-latency: p50", percentile(until_job, 50), "ms"),
        Figure("create-latency: p99", percentile(until_job, 99), "ms"),
        Figure("create-latency: p50 / bare POST", percentile(until_job, 50) / percentile(posts, 50), "×", at_most(2.5)),
        Figure("create-latency: p99 above bare POST", above, "ms", at_most(40)),
        Figure("status-latency: p50", percentile(ends, 50), "ms", at_most(30)),
        Figure("status-latency: p99", percentile(ends, 99), "ms", at_most(100)),
    ]


def starts(writes: Sequence[log.Answer], jobs: dict[str, str]) -> list[float]:
    """Milliseconds from the answer to each plan's creation to the answer to its Job's."""
    created = {write.name: write.at for write in writes if (write.verb, write.resource) == ("create", "scanplans")}
    posted = {write.name: write.at for write in writes if (write.verb, write.resource) == ("create", "jobs")}
    return [1000 * (posted[job] - created[plan]) for plan, job in jobs.items()]


def calls(requests: Sequence[audit.Request], plans: int) -> list[Figure]:
    """The operator's requests a plan, but for the watches; the claim is read now and then for all plans."""
    counted = Counter("write" if request.is_write else "read" for request in requests if request.verb != "watch")
    return [
        Figure("writes-per-plan", counted["write"] / plans, "requests", at_most(3)),
        Figure("reads-per-plan", counted["read"] / plans, "requests", at_most(1)),
    ]
