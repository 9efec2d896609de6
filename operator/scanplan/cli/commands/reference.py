"""``scanplan reference``: writes docs/reference.md."""

from __future__ import annotations

import typer

from scanplan.api.schema import reference as page


def reference() -> None:
    """Print the reference of ScanPlan's fields as Markdown."""
    typer.echo(page.markdown(), nl=False)
