"""The lives of plans: between them they bring the operator to every write that it knows.

Each is a story of a user and a node, told in steps that wait for what a user can see; so it goes on as soon as an operator does,
however often that one has died, and any two runs of a life end alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scanplan.api.exit_codes import ExitCode
from tests.faults.case import Case
from tests.faults.node import Ending
from tests.integration.scene import hosts, shards

Life = Callable[[Case], None]


def single(case: Case) -> None:
    """One shard, from apply to Completed."""
    case.node.hold = True
    case.apply()
    case.running()
    case.node.hold = False
    case.phase("Completed")


def retried(case: Case) -> None:
    """Three shards, of which one fails and is tried again."""
    case.node.hold = True
    case.node.script = lambda shard, before: Ending(ExitCode.TEMPORARY) if (shard, before) == (1, 0) else Ending()
    case.apply(**shards(3))
    name = case.running(pods=3)["jobRef"]["name"]
    case.node.hold_if = lambda shard, before: (shard, before) != (1, 0)
    case.node.hold = False
    case.until(lambda: case.jobs()[name]["status"].get("failed") == 1, "a failed pod")
    case.phase("Retrying")
    case.until(lambda: len(case.pods_of(name, "Running")) == 3, "another attempt")
    case.node.hold_if = lambda shard, _: shard != 1
    case.phase("Running")
    case.node.hold_if = lambda _, __: False
    case.phase("Completed")


def documented(case: Case) -> None:
    """A list of endpoints too long for an annotation."""
    case.node.hold = True
    case.apply(endpoints=hosts(1000, prefix="a-name-of-some-length-"), sharding={"maxEndpointsPerShard": 500})
    case.running()
    case.node.hold = False
    case.phase("Completed")


def collected(case: Case) -> None:
    """Two shards, of which one fails for good: what there is has to be collected."""
    case.node.hold = True
    case.node.script = lambda shard, _: Ending(ExitCode.SHARD_FATAL) if shard == 1 else Ending()
    case.apply(**shards(2))
    case.running(pods=2)
    case.node.hold_collectors = True
    case.node.hold = False
    case.phase("Running", reason="Collecting")
    case.node.hold_collectors = False
    case.phase("Failed")


def suspended(case: Case) -> None:
    """Suspended while it runs, and resumed."""
    case.node.hold = True
    case.apply(**shards(2))
    case.running(pods=2)
    case.node.hold_stopping = True
    case.edit(suspend=True)
    case.phase("Running", reason="Suspended")
    case.node.hold_stopping = False
    case.phase("Suspended")
    case.edit(suspend=False)
    case.running(pods=2)
    case.node.hold = False
    case.phase("Completed")


def cancelled(case: Case) -> None:
    """Cancelled while it runs: what was found is kept."""
    case.node.hold = True
    case.apply()
    case.running()
    case.node.hold_stopping = True
    case.edit(cancel=True)
    case.phase("Pending", reason="WaitingForPods")
    case.node.hold_collectors = True
    case.node.hold = case.node.hold_stopping = False
    case.phase("Running", reason="Collecting")
    case.node.hold_collectors = False
    case.phase("Cancelled")


def superseded(case: Case) -> None:
    """Edited while it runs, so that another scan takes its place."""
    case.node.hold = True
    case.apply()
    before = case.running()["taskId"]
    case.edit(endpoints=hosts(2))
    case.until(lambda: case.status().get("taskId") != before, "another task")
    case.running()
    case.until(lambda: before not in case.jobs(), "the end of the first Job")
    case.node.hold = False
    case.phase("Completed")


def shared(case: Case) -> None:
    """Two plans with one scan, of which one is cancelled."""
    case.node.hold = True
    case.apply("first", runId="shared")
    case.running("first")
    case.apply("second", runId="shared")
    case.running("second")
    case.edit("first", cancel=True)
    case.phase("Cancelled", "first")
    case.node.hold = False
    case.phase("Completed", "second")


def taken_over(case: Case) -> None:
    """A plan that finds its result there already."""
    case.node.hold = True
    case.apply("first", runId="shared")
    case.running("first")
    case.node.hold = False
    case.phase("Completed", "first")
    case.apply("second", runId="shared")
    case.phase("Completed", "second")


def tuned(case: Case) -> None:
    """Live fields edited while it runs, and again when it has ended."""
    case.node.hold = True
    case.apply(**shards(3))
    case.running(pods=3)
    case.edit(sharding={"maxEndpointsPerShard": 1, "parallelism": 2}, ttlSecondsAfterFinished=900, deadlineSeconds=7200)
    case.until(lambda: case.job()["spec"]["parallelism"] == 2, "less parallelism")
    case.phase("Running")
    case.node.hold = False
    case.phase("Completed")
    case.edit(ttlSecondsAfterFinished=1200)
    case.until(lambda: case.job()["spec"]["ttlSecondsAfterFinished"] == 1200, "a longer TTL")
    case.phase("Completed")


def corrected(case: Case) -> None:
    """A plan that can't run as written, until it is corrected."""
    case.apply(endpoints=["http://169.254.169.254"])
    case.phase("Failed", reason="TargetDenied")
    case.node.hold = True
    case.edit(endpoints=hosts(1))
    case.running()
    case.node.hold = False
    case.phase("Completed")


def queued(case: Case) -> None:
    """A plan that waits for another one's slot."""
    case.node.hold = True
    case.apply("first")
    case.running("first")
    case.apply("second")
    case.phase("Queued", "second")
    case.node.hold_if = lambda _, __: (
        len(case.pods()) > 1
    )  # by what the node has seen itself: the Job may be seen later
    case.node.hold = False
    case.phase("Completed", "first")
    case.running("second")
    case.node.hold_if = lambda _, __: False
    case.phase("Completed", "second")


LIVES: dict[str, tuple[Life, dict[str, Any]]] = {
    "single": (single, {}),
    "retried": (retried, {}),
    "documented": (documented, {}),
    "collected": (collected, {}),
    "suspended": (suspended, {}),
    "cancelled": (cancelled, {}),
    "superseded": (superseded, {}),
    "shared": (shared, {}),
    "taken over": (taken_over, {}),
    "tuned": (tuned, {}),
    "corrected": (corrected, {}),
    "queued": (queued, {"WORKER_CONCURRENCY": "1"}),
}
"""Each with the operator's settings that it needs."""
