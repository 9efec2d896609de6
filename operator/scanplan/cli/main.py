"""``scanplan``: the command line.

Commands are thin: they read options, call one function of another package and print the outcome. Exit codes follow sysexits(3).
"""

from __future__ import annotations

import typer

from scanplan.cli.output.help import SETTINGS
from scanplan.cli.output.lazy import LazyCommands

app = typer.Typer(
    name="scanplan",
    help="Nuclei at the scale of a cluster: ScanPlans become Kubernetes Jobs, findings land on a volume.",
    cls=LazyCommands,
    context_settings=SETTINGS,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def scanplan() -> None:
    """Nuclei at the scale of a cluster: ScanPlans become Kubernetes Jobs, findings land on a volume."""


def main() -> None:
    """Entry point of the console script."""
    app()
