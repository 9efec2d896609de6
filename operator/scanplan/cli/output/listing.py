"""Lists objects of the cluster as kubectl does: a line each, under heads in capitals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from scanplan.cli.output.terminal import answers, line, say


def in_order(objects: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Objects by namespace and name."""
    return sorted(objects, key=lambda each: (each["metadata"]["namespace"], each["metadata"]["name"]))


def show(heads: Iterable[str], rows: Sequence[Sequence[object]], nothing: str, *, folds: bool = False) -> None:
    """Print rows.

    Args:
        rows: a cell for each head; what is no `Text` may come from anybody, and is never read as markup.
        nothing: is said where there are none.
        folds: long cells take several lines, instead of being cut.
    """
    if not rows:
        say(nothing)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        if folds:
            table.add_column(head, overflow="fold")
        else:
            table.add_column(head, no_wrap=True)
    for row in rows:
        table.add_row(*(each if isinstance(each, Text) else line(str(each)) for each in row))
    answers().print(table)
