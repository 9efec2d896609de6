"""Checks of a cluster, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rich.text import Text

from scanplan.cli.output.terminal import answers


class Verdict(StrEnum):
    """The result of a check."""

    WELL = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


STYLES = {Verdict.WELL: "green", Verdict.WARNING: "yellow", Verdict.FAILED: "bold red", Verdict.UNKNOWN: "dim"}


@dataclass(frozen=True)
class Check:
    """One check: what it looked at, its verdict, and what to do."""

    what: str
    verdict: Verdict
    seen: str
    advice: str = ""

    def print(self) -> None:
        """Show it on a line, with the advice below."""
        answers().print(Text(f"{self.verdict.value:8} ", STYLES[self.verdict]) + Text(f"{self.what}: {self.seen}"))
        if self.advice:
            answers().print(Text(f"         try: {self.advice}", "dim"))
