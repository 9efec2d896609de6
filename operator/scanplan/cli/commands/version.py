"""``scanplan version``."""

from __future__ import annotations

import typer

import scanplan


def version() -> None:
    """Print the version."""
    typer.echo(scanplan.__version__)
