"""Rows 3, 4 and 5: watches that lag, skip, double, contradict themselves, break, or fall silent."""

from __future__ import annotations

import time
from typing import Literal

from tests.faults.case import Case, Laboratory
from tests.faults.faults import BrokenStreams, Confusion, Lag, Unreachable
from tests.faults.lives import LIVES
from tests.faults.matrix import Outcome, repeated, row
from tests.faults.oracle import Verdict
from tests.integration.scene import shards

LAG_SECONDS = 10.0
WATCHES = 2
"""Of Jobs and of plans."""


@row("3", "stale reads: the watches lag by 10 s", 20)
def lagging_watches(laboratory: Laboratory) -> Outcome:
    """Every life, seen ten seconds late; the time counts from the life's last event."""

    def attempt(name: str) -> Verdict:
        life, settings = LIVES[name]
        with laboratory.case(f"{name} late", **settings) as case:
            case.proxy.faults = (Lag(LAG_SECONDS),)
            life(case)
            case.fault_ends()
            return case.judge(20)

    names = ("single", "retried", "collected", "cancelled", "superseded", "shared", "queued", "suspended")
    return Outcome(laboratory.each(attempt, names), f"{len(names)} lives")


@row("4", "events missed, doubled, reordered", 10)
def confused_watches(laboratory: Laboratory) -> Outcome:
    met: list[int] = []

    def attempt(work: tuple[str, int]) -> Verdict:
        name, seed = work
        life, settings = LIVES[name]
        with laboratory.case(f"{name} confused {seed}", **settings) as case:
            confusion = Confusion(seed)
            case.proxy.faults = (confusion,)
            life(case)
            case.fault_ends()
            verdict = case.judge(10)
            met.append(confusion.met)
            return verdict

    def unseen(what: str) -> Verdict:
        """Something is deleted while nobody watches, and the next list no longer has it."""
        with laboratory.case(f"{what} deleted unseen", WORKER_CONCURRENCY="1") as case:
            return deleted_unseen(case, what)

    works = [(name, seed) for seed in repeated(1, 5) for name in LIVES]
    verdicts = laboratory.each(attempt, works) + laboratory.each(unseen, ("job", "plan"))
    return Outcome(verdicts, f"{sum(met)} edits of the streams, 2 deletions unseen")


def deleted_unseen(case: Case, what: str) -> Verdict:
    streams = BrokenStreams("gone")
    case.proxy.faults = (streams,)
    case.node.hold = True
    case.apply("first")
    job = case.running("first")["jobRef"]
    case.apply("second")
    case.phase("Queued", "second")
    case.until(lambda: streams.opened >= WATCHES, "the watches to begin")
    case.proxy.faults = (Unreachable(), streams)
    streams.broken = True
    time.sleep(1)
    if what == "job":
        case.delete_job(job["name"])
        case.until(lambda: not case.pods_of(job["name"]), "the pods' end")
    else:
        case.delete("first")
        case.until(lambda: job["name"] not in case.jobs(), "the Job's end")
    case.node.hold = False
    case.proxy.faults = ()
    case.fault_ends()
    return case.judge(10, job_uids=2 if what == "job" else 1)


How = Literal["gone", "error", "torn", "cut", "silent"]
_WITHIN: dict[How, float] = {"gone": 10, "error": 30, "torn": 10, "cut": 10, "silent": 90}


def _broken(how: How) -> None:
    @row(f"5 {how}", f"watch: {_WORDS[how]}", _WITHIN[how])
    def run(laboratory: Laboratory) -> Outcome:
        with laboratory.case(f"watch {how}") as case:
            return broken_streams(case, how)


_WORDS: dict[How, str] = {
    "gone": "410 Gone",
    "error": "ERROR 500",
    "torn": "cut inside a chunk",
    "cut": "cut",
    "silent": "half open, silent",
}


def broken_streams(case: Case, how: How) -> Outcome:
    """The streams break while the end of a scan, an edit and a new plan are on their way through them."""
    streams = BrokenStreams(how)
    case.proxy.faults = (streams,)
    case.node.hold = True
    for name in ("ending", "edited"):
        case.apply(name, **shards(2))
    for name in ("ending", "edited"):
        case.running(name, pods=2)
    case.until(lambda: streams.opened >= WATCHES, "the watches to begin")
    streams.broken = True
    case.node.hold_if = lambda _, __: False
    case.edit("edited", suspend=True)
    case.node.hold = False
    case.apply("new")
    case.until(lambda: streams.met >= (1 if how == "error" else WATCHES), "the streams to break")
    case.fault_ends()
    verdict = case.judge(_WITHIN[how])
    return Outcome([verdict], f"{streams.met} streams, {case.deployment.starts - 1} restarts")


for each in _WORDS:
    _broken(each)
