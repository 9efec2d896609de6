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
"""Width in characters where there is no terminal, so that no line is folded."""


class Terminal(Console):
    """A console that replaces control characters in every text. Only Rich's own controls have an effect."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(texts.visible(segment.text), segment.style)


def answers() -> Terminal:
    """The console for answers, on standard output."""
    console = Terminal(highlight=False, soft_wrap=True, markup=False, emoji=False)
    return console if console.is_terminal else written_to(sys.stdout)


def written_to(file: IO[str]) -> Terminal:
    """Whether standard output is a file or a pipe."""
    return Terminal(file=file, highlight=False, soft_wrap=True, markup=False, emoji=False, width=PIPED_WIDTH)


def remarks() -> Terminal:
    """The console for remarks and errors, on standard error."""
    return Terminal(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


def line(value: object) -> Text:
    """A text from a cluster or a host as one line, so that it can't look like further lines of output."""
    return Text(texts.line(value, PIPED_WIDTH))


def write_json(value: Any) -> None:
    """Print JSON in ASCII: control characters are escaped, and no value changes."""
    answers().print_json(data=value, ensure_ascii=True)


def pour(parts: Iterable[bytes], target: BinaryIO) -> None:
    """Write bytes unchanged to a file or a pipe. On a terminal, replace control characters."""
    for part in parts:
        target.write(_made_visible(part) if target.isatty() else part)
    target.flush()


def _made_visible(part: bytes) -> bytes:
    return texts.visible(part.decode(errors="replace")).encode()


def say(message: str, style: str = "") -> None:
    """Print a remark on standard error. Markup in it has no effect."""
    remarks().print(Text(message, style))


def warn(message: str) -> None:
    """Print a warning on standard error."""
    say(f"warning: {message}", "yellow")


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show a spinner on a terminal while the context lasts."""
    console = remarks()
    if not console.is_terminal:
        yield
        return
    with console.status(Text(what)):
        yield
