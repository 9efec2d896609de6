"""Severity options: which findings to show, and from which severity on a pipeline fails."""

from __future__ import annotations

from typing import Annotated

import typer

from scanplan.api.documents.words import Severity
from scanplan.cli.output.failure import USAGE, Failure

Wanted = Annotated[
    list[str] | None,
    typer.Option(
        "--severity",
        metavar="SEVERITY,...",
        help="Only these severities: critical, high, medium, low, info, unknown. Several, or several times.",
        show_default=False,
    ),
]
FailOn = Annotated[
    Severity | None,
    typer.Option(
        help="Exit with 1 where there is a finding of this severity or a more severe one.", show_default=False
    ),
]


OnlyNew = Annotated[
    bool,
    typer.Option(
        "--new", help="--fail-on looks only at findings that this scan has seen for the first time, or that came back."
    ),
]


def parsed(wanted: list[str] | None) -> frozenset[Severity]:
    """Parse a severity option, ``high,critical`` or repeated; an empty option means all severities.

    Raises:
        Failure: a name is not a severity.
    """
    names = [name.strip().lower() for text in wanted or () for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in set(Severity)]:
        raise Failure(f"--severity {unknown[0]!r}: there is no such severity", ", ".join(Severity), USAGE)
    return frozenset(map(Severity, names)) or frozenset(Severity)


def at_least(severity: Severity) -> frozenset[Severity]:
    """This severity and all more severe ones. `unknown` is the least severe."""
    order = list(Severity)
    return frozenset(order[: order.index(severity) + 1])
