"""The consoles of all commands: answers go to standard output, everything else to standard error.

On a terminal, both have colours and live updates. In a pipe, they are plain lines of any length, for grep and for logs.

Names, messages and log lines come from clusters and scanned hosts, which may be hostile. So everything is printed through here:
control characters and bidirectional overrides are shown as replacement characters, and have no effect.

A reader may close the pipe before the end (`| head`). The command then goes on without a reader, since its exit code may be an
answer too. Only output that never ends by itself ends with its reader.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from scanplan.report import text

PIPED_WIDTH = 10_000
"""Width in characters where there is no terminal, so that no line is folded."""


class Unread(Exception):
    """Nobody reads an output that does not end by itself, or only with a scan."""


class Terminal(Console):
    """A console that replaces control characters in every text. Only Rich's own controls have an effect."""

    endless = False
    """Whether the output does not end by itself, or only with a scan."""

    def on_broken_pipe(self) -> None:
        """Go on without a reader. Raises Unread where the output is endless."""
        _discard(self.file)
        if self.endless:
            raise Unread

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(text.visible(segment.text), segment.style)


def answers(*, endless: bool = False) -> Terminal:
    """The console for answers, on standard output. An endless one raises Unread once nobody reads it."""
    console = Terminal(highlight=False, soft_wrap=True, markup=False, emoji=False)
    console = console if console.is_terminal else written_to(sys.stdout)
    console.endless = endless
    return console


def written_to(file: IO[str]) -> Terminal:
    """Whether standard output is a file or a pipe."""
    return Terminal(file=file, highlight=False, soft_wrap=True, markup=False, emoji=False, width=PIPED_WIDTH)


def remarks() -> Terminal:
    """The console for remarks and errors, on standard error."""
    return Terminal(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


def line(value: object) -> Text:
    """A text from a cluster or a host as one line, so that it can't look like further lines of output."""
    return Text(text.line(value, PIPED_WIDTH))


def write_json(value: Any) -> None:
    """Print JSON in ASCII: control characters are escaped, and no value changes."""
    answers().print_json(data=value, ensure_ascii=True)


def pour(parts: Iterable[bytes], target: BinaryIO, *, endless: bool = False) -> None:
    """Write bytes unchanged to a file or a pipe. On a terminal, replace control characters.

    All parts are taken, also where nobody reads them any more. An endless output raises Unread then.
    """
    for part in parts:
        with _perhaps_unread(target, endless):
            target.write(_made_visible(part) if target.isatty() else part)
    with _perhaps_unread(target, endless):
        target.flush()


@contextmanager
def _perhaps_unread(target: BinaryIO, endless: bool) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        _discard(target)
        if endless:
            raise Unread from None


def _discard(file: IO[Any]) -> None:
    """Lead a file to nowhere: what is buffered for a closed pipe would fail again at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, file.fileno())
    os.close(nowhere)


def _made_visible(part: bytes) -> bytes:
    return text.visible(part.decode(errors="replace")).encode()


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
