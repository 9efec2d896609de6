"""Where commands write: answers to standard output, everything else to standard error.

On a terminal both have colours and what moves; piped, they are plain lines of any length, for grep and for logs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

PIPED_WIDTH = 10_000
"""No line is folded for a screen that isn't there."""


def answers() -> Console:
    """Standard output."""
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(highlight=False, soft_wrap=True, width=PIPED_WIDTH)


def remarks() -> Console:
    """Standard error."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def say(message: str, style: str = "") -> None:
    """A remark, as it is: texts from clusters and hosts are never read as markup."""
    remarks().print(Text(message, style))


def warn(message: str) -> None:
    """A remark that nobody should miss."""
    say(f"warning: {message}", "yellow")


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show on a terminal that something takes its time."""
    console = remarks()
    if not console.is_terminal:
        yield
        return
    with console.status(Text(what)):
        yield
