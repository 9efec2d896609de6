"""``scanplan reference``: writes docs/reference.md."""

from __future__ import annotations

import sys

from scanplan.api.schema.reference import markdown
from scanplan.cli.output.terminal import pour


def reference() -> None:
    """Print the reference of ScanPlan's fields as Markdown."""
    pour([markdown().encode()], sys.stdout.buffer)
