"""How the project's tooling tells people what it is doing.

One word for the cluster, the images and the demo alike: a `step`. On a terminal it is a live line with the time
it has taken so far; in a log it is a plain line when it starts and one when it ends. Everything goes to
standard error, so that standard output stays a command's answer.

    with step("Starting the cluster") as s:
        s.update("3/7 kubelet")
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import rich.console
import rich.live
import rich.markup
import rich.spinner
import rich.text

console = rich.console.Console(stderr=True, highlight=False, soft_wrap=True)
"""Where steps are written; rich leaves colours out when it is no terminal or NO_COLOR is set."""

_PLAIN_INTERVAL = 5.0  # seconds between two updates of one step in a log
_open: "list[Step]" = []


class Step:
    """Something under way. Made by `step`; its user only calls `update`."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.detail = ""
        self._began = self._said = time.monotonic()
        self._indent = "  " * len(_open)
        self._live: rich.live.Live | None = None

    def update(self, detail: str) -> None:
        """Say how far it is, in a few words: "3/7 kubelet"."""
        self.detail = detail
        if not console.is_terminal and self.elapsed - (self._said - self._began) >= _PLAIN_INTERVAL:
            self._said = time.monotonic()
            console.print(f"{self._indent}  {self.title}: {detail} ({self.elapsed:.0f} s)", markup=False)

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    def _start(self) -> None:
        if console.is_terminal:
            spinner = rich.spinner.Spinner("dots")
            self._live = rich.live.Live(
                get_renderable=lambda: self._draw(spinner), console=console, transient=True, refresh_per_second=8
            )
            self._live.start()
        else:
            console.print(f"{self._indent}> {self.title}", markup=False)

    def _draw(self, spinner: rich.spinner.Spinner) -> rich.spinner.Spinner:
        detail = f"  {self.detail}" if self.detail else ""
        spinner.update(text=rich.text.Text(f"{self._indent}{self.title}{detail}  {self.elapsed:.0f} s"))
        return spinner

    def _make_way(self) -> None:
        """Give the live line to a step that begins within this one, which becomes its heading."""
        if self._live is not None:
            self._live.stop()
            self._live = None
            console.print(f"{self._indent}> {self.title}", markup=False)

    def _end(self, succeeded: bool) -> None:
        if self._live is not None:
            self._live.stop()
        mark = "[green]✓[/]" if succeeded else "[red]✗[/]"
        console.print(f"{self._indent}{mark} {rich.markup.escape(self.title)} [dim]({self.elapsed:.1f} s)[/]")


@contextmanager
def step(title: str) -> Iterator[Step]:
    """Tell what the block does while it runs, how long it took, and whether it succeeded.

    Steps nest: the outer one becomes the heading of the inner ones.
    """
    if _open:
        _open[-1]._make_way()
    this = Step(title)
    _open.append(this)
    this._start()
    succeeded = False
    try:
        yield this
        succeeded = True
    finally:
        _open.remove(this)
        this._end(succeeded)
