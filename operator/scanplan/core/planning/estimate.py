"""How much a scan takes: pods, memory and hours, from counts and from what was measured.

The formulas are on the page docs/how-to/size-a-cluster.md. The coefficients are of Nuclei 3.11.1, and of answers of a few bytes;
`make bench ONLY=estimate` measures them again, with the program that NUCLEI_BIN names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

BASE_MIB = 150.0
"""Nuclei's memory, whatever it scans: `make bench ONLY=estimate`."""
TEMPLATE_MIB = 0.022
"""For each template of a step: `make bench ONLY=estimate`, 700 against 5,000 templates."""
ENDPOINT_MIB = 0.25
"""For each endpoint of a step: `make bench ONLY=estimate`, 30 against 200 endpoints."""
REQUEST_MIB = 0.07
"""For each request that may be under way: `make bench ONLY=estimate`, 10 against 50 templates and hosts at the same time."""
RUNNER_MIB = 40.0
"""The runner beside Nuclei: 26 to 55 MiB (docs/how-to/sizing.md, "Scan pods")."""
POD_SECONDS = 3.0
"""A pod's start and end, with the operator's part: `make bench ONLY=against-job`, a plan of one endpoint."""
START_SECONDS = 2.0
"""A start and an end of Nuclei: `make bench ONLY=estimate`, one template."""
LOAD_SECONDS = 0.002
"""For each template that Nuclei loads: `make bench ONLY=estimate`, 5,000 templates."""


@dataclass(frozen=True)
class Step:
    """One run of Nuclei."""

    templates: int
    endpoints: int


@dataclass(frozen=True)
class Estimate:
    """What a scan takes."""

    pods: int
    """One for each shard; retries and a collector come on top."""
    pods_at_once: int
    steps: int
    """Runs of Nuclei in the longest shard."""
    memory_mib: float
    """Of a pod at its peak."""
    seconds: float
    """Of the whole scan, where no host is slow and nothing is tried again."""

    @property
    def memory_at_once_mib(self) -> float:
        """Of all pods that run at the same time."""
        return self.memory_mib * self.pods_at_once


def memory_mib(step: Step, concurrency: int, bulk_size: int) -> float:
    """A pod's memory at the peak of a step.

    Args:
        concurrency: templates that Nuclei runs at the same time.
        bulk_size: endpoints that each of them asks at the same time.
    """
    under_way = min(step.templates, concurrency) * min(step.endpoints, bulk_size)
    nuclei = BASE_MIB + TEMPLATE_MIB * step.templates + ENDPOINT_MIB * step.endpoints + REQUEST_MIB * under_way
    return RUNNER_MIB + nuclei


def shard_seconds(requests: int, rate: float, steps: Sequence[Step]) -> float:
    """How long a shard takes.

    Args:
        requests: of the shard.
        rate: requests a second that it may send.
    """
    loading = sum(START_SECONDS + LOAD_SECONDS * step.templates for step in steps)
    return POD_SECONDS + loading + requests / rate


def of_scan(
    shards: int, parallelism: int, requests: int, rate: float, steps: Sequence[Step], concurrency: int, bulk_size: int
) -> Estimate:
    """What a scan takes.

    Args:
        requests: of the longest shard.
        rate: requests a second that a shard may send.
        steps: of the longest shard.
    """
    return Estimate(
        pods=shards,
        pods_at_once=parallelism,
        steps=len(steps),
        memory_mib=max((memory_mib(step, concurrency, bulk_size) for step in steps), default=0.0),
        seconds=math.ceil(shards / parallelism) * shard_seconds(requests, rate, steps),
    )
