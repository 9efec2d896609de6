"""What one decision of the pure core costs, at each turn of a plan's life: no cluster, no process, only values."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import replace
from typing import Any

from scanplan.core.observed.jobs import JobView
from scanplan.core.planning.task import Plan
from scanplan.core.reconcile import reconcile
from scanplan.core.reconcile.decision import Observed
from tests.bench.figure import Figure, at_most, percentile
from tests.console import step
from tests.unit.core import objects

ROUNDS = 2_000
MICROSECONDS = 1e6


def measure() -> list[Figure]:
    """All turns together have the target; each has a figure of its own besides."""
    samples: defaultdict[str, list[float]] = defaultdict(list)
    with step("Decisions of the pure core"):
        for _ in range(ROUNDS):
            for turn, observed in life().items():
                samples[turn].append(microseconds(observed))
    together = [sample for turn in samples.values() for sample in turn]
    return [
        Figure("reconcile: p50", percentile(together, 50), "µs", at_most(100)),
        *(Figure(f"reconcile: {turn}, p50", percentile(each, 50), "µs") for turn, each in samples.items()),
    ]


def life() -> dict[str, Observed]:
    """What an operator with the lease observes of a plan of two shards, from its first event to rest."""
    plan = objects.plan()
    running = objects.plan(objects.running_status(plan))
    settled = objects.plan(objects.completed_status(running))
    job, ended = objects.job(plan), objects.complete(of=plan)
    pods = (objects.succeeded(0), objects.succeeded(1, objects.merged()))
    # As watches bring them: what a plan remembers of itself from one decision to the next (its digests), it has yet to learn.
    plan, running, settled = replace(plan), replace(running), replace(settled)
    return {
        "new": seen(plan),
        "its Job to be made": seen(plan, inputs=objects.INPUTS),
        "its pods have started": seen(plan, job, inputs=objects.INPUTS),
        "no news": seen(running, job),
        "its Job has ended": seen(running, ended),
        "its result": seen(running, ended, pods=pods),
        "settled": seen(settled, ended),
    }


def seen(plan: Plan, job: JobView | None = None, **more: Any) -> Observed:
    """The plan with the Job that it owns, if there is one, where no other operator can be at work."""
    return Observed(
        plan=plan,
        policy=objects.POLICY,
        jobs={job.name: job} if job else {},
        owned=(job,) if job else (),
        doubted=frozenset(),
        plans={plan.uid},
        **more,
    )


def microseconds(observed: Observed) -> float:
    """What one decision takes."""
    began = time.perf_counter()
    reconcile.reconcile(observed, objects.NOW)
    return MICROSECONDS * (time.perf_counter() - began)
