"""What a benchmark hands over: figures with their targets, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table


@dataclass(frozen=True)
class Target:
    """A bound on a value: at most, or at least."""

    bound: float
    at_least: bool = False

    def met(self, value: float) -> bool:
        """Whether a value is within the bound; NaN never is."""
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}"


def at_most(bound: float) -> Target:
    return Target(bound)


def at_least(bound: float) -> Target:
    return Target(bound, at_least=True)


@dataclass(frozen=True)
class Figure:
    """One measured value. A figure without a target is there to be compared with others."""

    name: str
    value: float
    unit: str
    target: Target | None = None

    @property
    def met(self) -> bool | None:
        return None if self.target is None else self.target.met(self.value)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": round(self.value, 4),
            "unit": self.unit,
            "target": None if self.target is None else str(self.target),
            "met": self.met,
        }


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that at least `percent` % of all samples don't exceed (nearest rank).

    Raises:
        ValueError: there is no sample.
    """
    if not samples:
        raise ValueError("there is nothing to take a percentile of")
    rank = max(1, math.ceil(len(samples) * percent / 100))
    return sorted(samples)[rank - 1]


def table(figures: Iterable[Figure]) -> Table:
    """Value beside target, and whether it was met."""
    shown = Table("figure", "value", "unit", "target", "")
    for figure in figures:
        verdict = {None: "", True: "met", False: "[red]missed[/red]"}[figure.met]
        target = "" if figure.target is None else str(figure.target)
        shown.add_row(figure.name, f"{figure.value:.2f}", figure.unit, target, verdict)
    return shown


def save(figures: Iterable[Figure], path: Path) -> None:
    """Write `{"figures": […]}`; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"figures": [figure.as_json() for figure in figures]}
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
