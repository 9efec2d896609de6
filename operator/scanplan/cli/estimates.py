"""What a plan takes, for ``scanplan plan --estimate``: its shards' steps as the runner makes them, and the words for the result."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

from scanplan.api.times import format_duration
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.core.manifests import jobs
from scanplan.core.planning import quantities
from scanplan.core.planning.estimate import Estimate, Step, of_scan
from scanplan.core.planning.nuclei import rates
from scanplan.runner.nuclei.choosing.templates import Template
from scanplan.runner.work import Work

MOST_STEPS = 1_000
"""Steps of a shard that are worked out one by one; the rest of a longer one is taken to be alike."""


def rate_of(spec: ScanPlanSpec, longest: int, count: int) -> int:
    """Requests a second that the longest shard may send.

    Args:
        longest: endpoints of the longest shard.
        count: how many shards there are.
    """
    rate, per_host = rates.of_shard(spec, count), spec.scanner.max_requests_per_second_per_host
    return rate if per_host is None else min(rate, per_host * max(1, longest))


def of_plan(spec: ScanPlanSpec, templates: Sequence[Template], longest: int, count: int) -> Estimate:
    """What a plan takes; `longest` and `count` as in `rate_of`, `templates` are those that run."""
    rate, per_host = rate_of(spec, longest, count), spec.scanner.max_requests_per_second_per_host
    most = sys.maxsize if per_host is None else max(1, rates.of_shard(spec, count) // per_host)
    timeout, whole = spec.timeout_seconds, spec.selection.automatic
    work = Work(templates, longest, rate, most_endpoints=most, timeout_seconds=timeout, whole=whole)
    steps: list[Step] = []
    while len(steps) < MOST_STEPS and (span := work.next()) is not None:
        work.finish(span)
        work.measured(span, work.share(span) * work.requests / rate)
        steps.append(Step(span.end - span.first, span.end_endpoint - span.first_endpoint))
    if work.requests > work.done > 0:
        steps *= math.ceil(work.requests / work.done)
    return of_scan(
        shards=count,
        parallelism=jobs.parallelism(spec, count),
        requests=work.requests,
        rate=rate,
        steps=steps,
        concurrency=spec.scanner.concurrency,
        bulk_size=spec.scanner.bulk_size,
    )


def document(estimate: Estimate) -> dict[str, Any]:
    """For programs."""
    return {
        "pods": estimate.pods,
        "podsAtOnce": estimate.pods_at_once,
        "steps": estimate.steps,
        "memoryMiB": round(estimate.memory_mib),
        "memoryAtOnceMiB": round(estimate.memory_at_once_mib),
        "seconds": round(estimate.seconds),
    }


def rows(estimate: Estimate, limit: str) -> list[tuple[str, str]]:
    """For people.

    Args:
        limit: of a pod's memory, as the plan writes it; empty where it has none.
    """
    memory = f"about {estimate.memory_mib:,.0f} MiB a pod at its peak, {estimate.memory_at_once_mib:,.0f} MiB at a time"
    if limit and _bytes(limit) < estimate.memory_mib * (1 << 20):
        memory += f": more than podTemplate.resources.limits.memory, {limit}"
    runs = f"up to {estimate.steps:,} run{'s' if estimate.steps > 1 else ''} of Nuclei in each"
    return [
        ("pods", f"{estimate.pods:,}, {estimate.pods_at_once:,} at a time; {runs}"),
        ("memory", memory),
        ("in all", f"about {format_duration(round(estimate.seconds * 1000))}, with the starts of pods and of Nuclei"),
    ]


def _bytes(quantity: str) -> float:
    try:
        return quantities.quantity(quantity)
    except ValueError:  # which the API server refuses
        return math.inf
