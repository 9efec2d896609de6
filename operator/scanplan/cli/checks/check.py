"""One check of a cluster, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from rich.text import Text

from scanplan.cli.output.failure import Failure, Forbidden
from scanplan.cli.output.terminal import answers


class Verdict(StrEnum):
    """The result of a check."""

    WELL = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


SETTINGS_UNREAD = "the operator's settings can't be read"
"""What a check says that needs the settings and does not have them."""
STYLES = {Verdict.WELL: "green", Verdict.WARNING: "yellow", Verdict.FAILED: "bold red", Verdict.UNKNOWN: "dim"}


@dataclass(frozen=True)
class Check:
    """One check: what it looked at, its verdict, and what to do."""

    what: str
    verdict: Verdict
    seen: str
    advice: str = ""

    @classmethod
    def failed_to_look(cls, what: str, failure: Failure) -> Check:
        """A check that could not be made. What the user may not read is unknown, which is no failure."""
        if isinstance(failure, Forbidden):
            return cls(what, Verdict.UNKNOWN, failure.message)
        return cls(what, Verdict.FAILED, failure.message, failure.hint)

    def print(self) -> None:
        """Show it on a line, with the advice below."""
        answers().print(Text(f"{self.verdict.value:8} ", STYLES[self.verdict]) + Text(f"{self.what}: {self.seen}"))
        if self.advice:
            answers().print(Text(f"         try: {self.advice}", "dim"))


def tried(what: str, look: Callable[[], Check]) -> Check:
    """The check that `look` returns. If `look` fails, a check named `what` that says why."""
    try:
        return look()
    except Failure as failure:
        return Check.failed_to_look(what, failure)
