"""Row 19: the soak. Plans, edits and faults of all kinds mixed at random by one seed, which replays the same script.

The script (who does what, when) is made first and printed by `SOAK_PRINT=1`; how the machine interleaves it is its own business, so
a replay is as close as that of concurrent programs can be. `SOAK_SEED`, `SOAK_PLANS` and `SOAK_SECONDS` set it from outside.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from scanplan.api.exit_codes import ExitCode
from tests.faults.case import FULL, Case, Laboratory
from tests.faults.faults import BrokenStreams, Confusion, Lag, Trouble, Unreachable
from tests.faults.matrix import Outcome, row
from tests.faults.node import Ending
from tests.faults.proxy import Fault
from tests.integration.apiserver import JOBS, PLANS, PODS, Refused
from tests.integration.scene import shards

SEED = int(os.environ.get("SOAK_SEED", "20261124"))
PLANS_IN_ALL = int(os.environ.get("SOAK_PLANS", "200" if FULL else "40"))
SECONDS = float(os.environ.get("SOAK_SECONDS", "600" if FULL else "40"))
SHARED = 8
"""One in so many plans asks for what another one has asked for."""


@dataclass(frozen=True)
class Step:
    """One act of the script."""

    at: float
    """Seconds from the start."""
    what: str
    plan: str
    detail: int = 0


def script(seed: int, plans: int, seconds: float) -> list[Step]:
    """All that is going to happen, in order."""
    chance = random.Random(seed)  # noqa: S311 - a script
    steps: list[Step] = []
    for number in range(plans):
        made = chance.uniform(0, seconds * 0.8)
        steps.append(Step(made, "make", f"plan-{number}", chance.randrange(1 << 30)))
        for what in chance.choices(
            ["suspend", "resume", "cancel", "rerun", "edit", "delete", "delete job", "label", "kill pod", "nothing"],
            weights=[2, 2, 1, 2, 2, 1, 2, 3, 3, 6],
            k=2,
        ):
            steps.append(Step(chance.uniform(made, seconds), what, f"plan-{number}", chance.randrange(1 << 30)))
            if what == "suspend":  # sooner or later somebody resumes it
                steps.append(Step(seconds, "resume", f"plan-{number}"))
    faults = ["kill", "kill", "trouble", "lag", "confuse", "cut", "gone", "error", "unreachable"]
    moment = 1.0
    while moment < seconds:
        steps.append(Step(moment, f"fault {chance.choice(faults)}", "", chance.randrange(1 << 30)))
        moment += chance.uniform(0.5, 4.0)
    return sorted(steps, key=lambda step: (step.at, step.plan, step.what))


def play(case: Case, steps: list[Step]) -> Counter[str]:
    """Do it; returns how often each kind of act took place."""
    done: Counter[str] = Counter()
    chance = random.Random(SEED)  # noqa: S311 - a script
    endings = [Ending(), Ending(), Ending(), Ending(ExitCode.TEMPORARY), Ending(137, report=False, reason="OOMKilled")]
    case.node.script = lambda _, before: chance.choice(endings) if before < 2 else Ending()
    begun = time.monotonic()
    for step in steps:
        time.sleep(max(0.0, begun + step.at - time.monotonic()))
        with contextlib.suppress(KeyError):
            try:
                _fault(case, step) if step.what.startswith("fault") else _act(case, step)
                done[step.what] += 1
            except Refused as error:  # it is gone, or its rules say no
                if error.status not in {404, 409, 422}:
                    raise
    case.proxy.faults = ()
    return done


def _fault(case: Case, step: Step) -> None:
    kind = step.what.removeprefix("fault ")
    if kind == "kill":
        case.deployment.kill()
        return
    streams: dict[str, Fault] = {
        "trouble": Trouble(0.3, step.detail, hang_seconds=1.0),
        "lag": Lag(2.0),
        "confuse": Confusion(step.detail),
        "unreachable": Unreachable(),
    }
    breaking = BrokenStreams(kind if kind in {"cut", "gone", "error"} else "cut")  # type: ignore[arg-type]
    case.proxy.faults = (streams[kind],) if kind in streams else (breaking,)
    breaking.broken = True


def _act(case: Case, step: Step) -> None:
    name, detail = step.plan, step.detail
    plans, jobs, pods = (path.format(case.namespace) for path in (PLANS, JOBS, PODS))
    match step.what:
        case "make":
            spec: dict[str, Any] = shards(1 + detail % 3)
            if detail % SHARED == 0:
                spec["runId"] = "shared"
            case.apply(name, **spec)
        case "suspend" | "resume":
            case.edit(name, suspend=step.what == "suspend")
        case "cancel":
            case.edit(name, cancel=True)
        case "rerun":
            case.edit(name, rerun=str(detail), cancel=False)
        case "edit":
            case.edit(name, **shards(1 + detail % 4))
        case "delete":
            case.delete(name)
        case "delete job":
            job = case.status(name)["jobRef"]["name"]
            case.api.delete(f"{jobs}/{job}", propagationPolicy="Background" if detail % 2 else "Foreground")
        case "label":
            case.api.patch(f"{plans}/{name}", {"metadata": {"labels": {"team": str(detail)}}})
        case "kill pod":
            running = [pod for pod in case.pods("Running") if name in str(pod["metadata"]["annotations"])]
            for pod in running[:1]:
                case.api.delete(f"{pods}/{pod['metadata']['name']}")


@row("19", "random soak: the above mixed, seeded and replayable", 60)
def soak(laboratory: Laboratory) -> Outcome:
    steps = script(SEED, PLANS_IN_ALL, SECONDS)
    if os.environ.get("SOAK_PRINT"):
        print(*steps, sep="\n")
    with laboratory.case(f"soak {SEED}", WORKER_CONCURRENCY="12") as case:
        done = play(case, steps)
        case.fault_ends()
        deleted = done["delete job"] + done["delete"]
        verdict = case.judge(60, job_uids=1 + deleted)
    faults = sum(count for what, count in done.items() if what.startswith("fault"))
    met = f"seed {SEED}: {PLANS_IN_ALL} plans in {SECONDS:.0f} s, {done.total() - faults} acts, {faults} faults"
    return Outcome([verdict], f"{met}, {case.deployment.starts} starts")
