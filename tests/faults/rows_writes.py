"""Rows 1, 2 and 8: every write of every life, with the operator dying around it, its answer lost, or a second operator at work.

Which writes there are is found by running each life without a fault; a life that has one more has it covered without a word here.
"""

from __future__ import annotations

import threading
from collections import Counter

from tests.faults.case import FULL, Laboratory
from tests.faults.faults import How, at_writes
from tests.faults.lives import LIVES
from tests.faults.matrix import Outcome, row
from tests.faults.oracle import Broken, Verdict

_recording = threading.Lock()
_recorded: dict[str, Counter[str]] = {}


def record(laboratory: Laboratory, name: str) -> Counter[str]:
    """The writes of a life without any fault."""
    life, settings = LIVES[name]
    with laboratory.case(f"{name} undisturbed", **settings) as case:
        life(case)
        case.fault_ends()
        case.judge(10, job_uids=1)
        return case.digest()


def recordings(laboratory: Laboratory) -> dict[str, Counter[str]]:
    """The recordings of all lives, made once."""
    with _recording:
        if not _recorded:
            _recorded.update(zip(LIVES, laboratory.each(lambda name: record(laboratory, name), LIVES), strict=True))
        return _recorded


def disturbed(
    laboratory: Laboratory, name: str, how: How, within: float, only: int | None = None
) -> tuple[Verdict, list[str], Counter[str]]:
    """A life with a fault at every write (or only at one)."""
    life, settings = LIVES[name]
    label = f"{name} {how}" if only is None else f"{name} {how} {only}"
    with laboratory.case(label, **settings) as case:
        around = at_writes(how, case.deployment.kill, only)
        case.proxy.faults = (around,)
        life(case)
        case.fault_ends()
        verdict = case.judge(within)
        return verdict, around.met, case.digest()


def _every_write(laboratory: Laboratory, hows: tuple[How, ...], within: float) -> Outcome:
    recorded = recordings(laboratory)
    runs: list[tuple[str, How, int | None]] = [(name, how, None) for how in hows for name in LIVES]
    if FULL:  # each write by itself as well: the numbers are those of the recorded life
        runs += [(name, how, n) for how in hows for name in LIVES for n in range(recorded[name].total())]
    verdicts: list[Verdict] = []
    met: list[str] = []
    wrong: list[str] = []

    def attempt(run: tuple[str, How, int | None]) -> None:
        name, how, only = run
        try:
            verdict, at, digest = disturbed(laboratory, name, how, within, only)
        except AssertionError as error:
            wrong.append(f"{run}: {error}\n" + "\n".join(getattr(error, "__notes__", ())))
            return
        verdicts.append(verdict)
        met.extend(at)
        # An answer that was lost is no death: what is asked again then is the same, and may be asked for twice.
        missing, beyond = recorded[name] - digest, digest - recorded[name]
        if how != "lost" and (missing or beyond):
            wrong.append(f"{run}: missing {missing}, beyond {beyond}")

    laboratory.each(attempt, runs)
    if wrong:
        raise Broken("\n\n".join(wrong))
    return Outcome(
        verdicts, f"{len(met)} faults at the {sum(map(Counter.total, recorded.values()))} writes of {len(LIVES)} lives"
    )


@row("1", "operator killed before and after each write", 15)
def killed_around_every_write(laboratory: Laboratory) -> Outcome:
    return _every_write(laboratory, ("before", "after"), 15)


@row("2", "an answer lost", 10)
def answers_lost(laboratory: Laboratory) -> Outcome:
    return _every_write(laboratory, ("lost",), 10)


@row("8", "two operators at once", 10)
def two_operators(laboratory: Laboratory) -> Outcome:
    def attempt(name: str) -> Verdict:
        life, settings = LIVES[name]
        with laboratory.case(f"{name} twice", operators=2, **settings) as case:
            life(case)
            case.fault_ends()
            return case.judge(10)

    return Outcome(laboratory.each(attempt, LIVES), f"{len(LIVES)} lives")
