"""The rows of the fault matrix, as far as a control plane is enough for them (`test_node` has those that need real pods).

A row is a function from the laboratory to the verdicts of its runs; it is registered with its number, its words and its N.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.faults.case import FULL, Laboratory
from tests.faults.oracle import Verdict


@dataclass(frozen=True)
class Outcome:
    """What a row has shown: its verdicts, and what it has done to get them."""

    verdicts: Sequence[Verdict]
    met: str


Run = Callable[[Laboratory], Outcome]


@dataclass(frozen=True)
class Row:
    """A row: number, fault in a few words, N in seconds."""

    number: str
    fault: str
    within: float
    run: Run
    exclusive: bool
    """It breaks what all share, so it runs by itself."""


ROWS: dict[str, Row] = {}


def row(number: str, fault: str, within: float, *, exclusive: bool = False) -> Callable[[Run], Run]:
    """Register a row."""

    def register(run: Run) -> Run:
        ROWS[number] = Row(number, fault, within, run, exclusive)
        return run

    return register


def repeated(short: int, full: int) -> range:
    """So many runs, by the form."""
    return range(full if FULL else short)
