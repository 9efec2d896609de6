"""How much sooner a scan of 1,000 endpoints ends in eight shards than in one: real pods, targets that answer in 50 ms.

Each shard may send so many requests a second, as the plan says, so that it is this rate that bounds a scan, and neither the two
cores nor the targets: eight shards are then allowed to be eight times as fast. They fall short by starting pods and merging.
"""

from __future__ import annotations

from tests.bench.figure import Figure, at_least
from tests.bench.node import DELAY, Node, node
from tests.console import step

ENDPOINTS = 1_000
SHARDS = 8
RATE = 75
"""Requests a second of one shard."""
TEMPLATES = "http/"
HOSTS = tuple(f"target-{number}" for number in range(SHARDS))
"""No host is in two shards: with one for each, all shards are of the same size."""


def measure() -> list[Figure]:
    with node() as on:
        on.stage.web_application(*HOSTS, delay=DELAY)
        many, one = scan(on, SHARDS), scan(on, 1)
        return [
            Figure(f"shards: {ENDPOINTS:,} endpoints in 1 shard", one, "s"),
            Figure(f"shards: {ENDPOINTS:,} endpoints in {SHARDS} shards", many, "s"),
            Figure("shards: share of what parallelism allows", one / many / SHARDS, "×", at_least(0.8)),
        ]


def scan(on: Node, shards: int) -> float:
    """Scan all endpoints in so many shards at once; returns the plan's seconds."""
    name = f"in-{shards}"
    plan = on.stage.plan(
        name,
        templates=[TEMPLATES],
        scanner={"rateLimit": RATE},
        sharding={"maxEndpointsPerShard": ENDPOINTS // shards, "parallelism": shards},
        endpoints=[f"{on.stage.endpoint(HOSTS[number % SHARDS])}/{number}" for number in range(ENDPOINTS)],
    )
    with step(f"{ENDPOINTS:,} endpoints, shards: {shards}"):
        on.stage.apply(plan)
        on.stage.kubectl("wait", "--for=condition=Succeeded", f"scanplan/{name}", "--timeout=480s")
    status = on.stage.status(name)
    assert (status["shards"]["total"], status["endpointsScanned"]) == (shards, ENDPOINTS), status
    return on.life(name)
