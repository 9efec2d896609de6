"""What the operator writes for the plans that could make it write more: many shards, a large task, a long scan, a wait for a slot.

A stand-in for the kubelet runs the pods. The operator has one slot in the namespace, so that a second plan has to wait.
"""

from __future__ import annotations

import time
from typing import Any

from scanplan.api.exit_codes import ExitCode
from tests.bench.figure import Figure, at_most
from tests.bench.stage import NAMESPACE, Stage, control_plane
from tests.console import step
from tests.integration import reports
from tests.integration.apiserver import PLANS
from tests.integration.kubelet import document_of, index_of
from tests.integration.scene import hosts, scanplan, shards

SHARDS = 100
ENDPOINTS = 1_000
"""With names of some length too many for an annotation."""
LONG_SECONDS = 30.0
"""Of a scan in which shards end one by one: three times the shortest time between two writes of progress."""
PROGRESS_SECONDS = 10.0
A_LIFE = 3
"""The Job, Running, and how it ended."""


def measure() -> list[Figure]:
    with control_plane(WORKER_CONCURRENCY="1") as stage:
        with step("Plans of many kinds"):
            create(stage, "many", **shards(SHARDS))
            stage.scene.complete("many")
            create(
                stage,
                "large",
                endpoints=hosts(ENDPOINTS, "a-host-of-the-long-list"),
                sharding={"maxEndpointsPerShard": ENDPOINTS},
            )
            stage.scene.complete("large")
            wait_for_slot(stage, "queued")
        with step(f"A scan of {LONG_SECONDS:.0f} s, of which a shard ends every {LONG_SECONDS / SHARDS:.1f} s"):
            seconds = run_long(stage, "long")
        more = (writes(stage, "long") - A_LIFE) / (seconds / PROGRESS_SECONDS)
        return [
            Figure(f"writes-of-shards: {SHARDS} shards", writes(stage, "many"), "requests", at_most(A_LIFE)),
            Figure("writes-of-shards: task in a ConfigMap", writes(stage, "large"), "requests", at_most(A_LIFE + 1)),
            Figure("writes-of-shards: queued first", writes(stage, "queued"), "requests", at_most(A_LIFE + 1)),
            Figure(
                f"writes-of-shards: more in each {PROGRESS_SECONDS:.0f} s of a long scan", more, "requests", at_most(1)
            ),
        ]


def create(stage: Stage, name: str, **spec: Any) -> None:
    stage.api.create(PLANS.format(NAMESPACE), scanplan(name, runId=name, **spec))


def wait_for_slot(stage: Stage, name: str) -> None:
    """A plan that finds no slot, and completes when another has."""
    create(stage, f"before-{name}")
    stage.scene.phase("Running", f"before-{name}")
    create(stage, name)
    stage.scene.phase("Queued", name)
    stage.scene.complete(f"before-{name}")
    stage.scene.complete(name)


def run_long(stage: Stage, name: str) -> float:
    """Run a plan's shards, which end one after the other; returns the seconds from the first one's start to the last one's end."""
    create(stage, name, **shards(SHARDS))
    pods = stage.scene.run(name, pods=SHARDS)
    began = time.monotonic()
    for number, pod in enumerate(pods, 1):
        time.sleep(max(0.0, began + number * LONG_SECONDS / SHARDS - time.monotonic()))
        last = reports.merged(document_of(pod)) if pod is pods[-1] else None
        stage.scene.kubelet.end(pod, ExitCode.OK, reports.complete(index_of(pod), last))
    seconds = time.monotonic() - began
    stage.scene.phase("Completed", name)
    return seconds


def writes(stage: Stage, name: str) -> int:
    """What the operator has written for a plan: it, its Job, and what is called after them."""
    names = (name, stage.scene.job_of(name)["metadata"]["name"])
    return sum(request.is_write and request.name.startswith(names) for request in stage.scene.requests())
