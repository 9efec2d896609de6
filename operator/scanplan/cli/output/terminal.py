"""The consoles of all commands: answers go to standard output, everything else to standard error.

On a terminal, both have colours and live updates. In a pipe, they are plain lines of any length, for grep and for logs.

Names, messages and log lines come from clusters and scanned hosts, which may be hostile. So everything is printed through here:
control characters and bidirectional overrides are shown as replacement characters, and have no effect.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from scanplan.report import text as texts

PIPED_WIDTH = 10_000
"""No line is folded for a screen that isn't there."""


class Terminal(Console):
    """A console whose texts are all made visible, whatever is printed and in whatever way. Only Rich's own controls act."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(texts.visible(segment.text), segment.style)


def answers() -> Terminal:
    """Standard output."""
    console = Terminal(highlight=False, soft_wrap=True, markup=False, emoji=False)
    return console if console.is_terminal else written_to(sys.stdout)


def written_to(file: IO[str]) -> Terminal:
    """A file, or a pipe."""
    return Terminal(file=file, highlight=False, soft_wrap=True, markup=False, emoji=False, width=PIPED_WIDTH)


def remarks() -> Terminal:
    """Standard error."""
    return Terminal(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


def line(value: object) -> Text:
    """A text from elsewhere as one line of an answer, or a cell of a table: it can't pretend to be further lines."""
    return Text(texts.line(value, PIPED_WIDTH))


def write_json(value: Any) -> None:
    """An answer for programs, as JSON. It is ASCII: what a terminal would obey is escaped, and no value is changed."""
    answers().print_json(data=value, ensure_ascii=True)


def pour(parts: Iterable[bytes], target: BinaryIO) -> None:
    """Write an answer for programs as it is, to a file or a pipe; on a terminal, made visible."""
    for part in parts:
        target.write(_made_visible(part) if target.isatty() else part)
    target.flush()


def _made_visible(part: bytes) -> bytes:
    return texts.visible(part.decode(errors="replace")).encode()


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
