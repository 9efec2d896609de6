"""What thousands of Jobs that are none of ours cost the operator: nothing, if the watch is filtered by the server.

They are in the very namespace that it watches, suspended, so that no pods come of them; meanwhile others are created, end and are
deleted all the time. Jobs without completions end by themselves, by the real Job controller.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

from tests.bench import lives, log
from tests.bench.figure import Figure, at_most, percentile
from tests.bench.stage import CONNECTIONS, NAMESPACE, Stage, control_plane, cpu_seconds, resident_mib
from tests.console import step
from tests.integration.apiserver import JOBS, Object

UNRELATED = 10_000
CHURN = 10
"""Jobs a second that are created, end, and are deleted."""
KEPT = 50
"""So many of these are there at a time."""
WINDOW_SECONDS = 60
PLANS_MEASURED = 40
CONTAINER = {"name": "main", "image": "registry.example/other:1"}


class Rest(NamedTuple):
    """What the operator takes while nothing of ours happens."""

    cpu: float
    """Milliseconds a second."""
    memory: float
    """MiB."""


def measure() -> list[Figure]:
    """The two rests come one after the other, so that no plan is between them.

    What may be is the operator's first comparison (`shell.resync`), after which it holds 1.3 MiB more, with and without other Jobs.
    """
    with control_plane() as stage:
        lives.live(stage, "warm-up")
        latency_without = latency(stage, "without")
        without = rest(stage)
        seed(stage)
        with churn(stage):
            among = rest(stage)
            latency_among = latency(stage, "among")
        of = f"{UNRELATED:,} Jobs"
        return [
            Figure("unrelated-jobs: CPU at rest, without", without.cpu, "ms/s"),
            Figure(f"unrelated-jobs: CPU at rest, {of}", among.cpu, "ms/s"),
            Figure("unrelated-jobs: CPU, more", among.cpu - without.cpu, "ms/s", at_most(0.5)),
            Figure("unrelated-jobs: memory, without", without.memory, "MiB"),
            Figure(f"unrelated-jobs: memory, {of}", among.memory, "MiB"),
            Figure("unrelated-jobs: memory, more", among.memory - without.memory, "MiB", at_most(2)),
            Figure("unrelated-jobs: create-latency p50 / bare POST, without", latency_without, "×"),
            Figure(f"unrelated-jobs: create-latency p50 / bare POST, {of}", latency_among, "×"),
        ]


def rest(stage: Stage) -> Rest:
    """Leave the operator alone for a while, and see what it takes."""
    pid = stage.operator.pid
    with step(f"The operator at rest for {WINDOW_SECONDS} s"):
        time.sleep(lives.SETTLE_SECONDS)
        before = cpu_seconds(pid)
        time.sleep(WINDOW_SECONDS)
        return Rest(1000 * (cpu_seconds(pid) - before) / WINDOW_SECONDS, resident_mib(pid))


def latency(stage: Stage, name: str) -> float:
    """The median from a plan's creation to its Job's, by that of a bare client's POST of the same Job, in turns."""
    jobs: dict[str, str] = {}
    posts = []
    with step(f"{PLANS_MEASURED} plans beside bare Jobs"):
        for number in range(PLANS_MEASURED):
            plan = f"{name}-{number}"
            job = lives.live(stage, plan)
            jobs[plan] = job["metadata"]["name"]
            posts.append(1000 * lives.post_bare(stage, job, plan))
    starts = lives.starts(list(log.writes(stage.audit_log, NAMESPACE)), jobs)
    return percentile(starts, 50) / percentile(posts, 50)


def seed(stage: Stage) -> None:
    """Make the suspended Jobs, over a few connections at once."""
    bodies = (unrelated(f"unrelated-{number}", suspend=True) for number in range(UNRELATED))
    path = JOBS.format(NAMESPACE)
    with step(f"{UNRELATED:,} suspended Jobs") as progress, ThreadPoolExecutor(CONNECTIONS) as pool:
        for done, _ in enumerate(pool.map(lambda body: stage.api.create(path, body), bodies), 1):
            progress.update(f"{done:,}")


@contextmanager
def churn(stage: Stage) -> Iterator[None]:
    """Jobs come, end and go while the block runs."""
    path, over = JOBS.format(NAMESPACE), threading.Event()

    def work() -> None:
        number = 0
        while not over.wait(1 / CHURN):
            stage.api.create(path, unrelated(f"churn-{number}", completions=0, parallelism=0))
            if number >= KEPT:
                stage.api.delete(f"{path}/churn-{number - KEPT}", propagationPolicy="Background")
            number += 1

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        try:
            yield
        finally:
            over.set()
        working.result()


def unrelated(name: str, **spec: bool | int) -> Object:
    """A Job of somebody else's."""
    template = {"spec": {"restartPolicy": "Never", "containers": [CONTAINER]}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template, **spec}}
