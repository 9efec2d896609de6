"""The table and the plot of docs/performance.md, out of build/bench.json: what was measured and what is written can't differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.bench import growth

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"
PLOT = ROOT / "docs" / "images" / "growth.svg"
BEGIN = "<!-- begin: python -m tests.bench report -->\n"
END = "<!-- end -->\n"
VERDICTS = {None: "", True: "met", False: "**missed**"}


def rows(document: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    lines = ["| figure | value | target | |", "|---|---|---|---|"]
    for figure in document["figures"]:
        value = f"{figure['value']:.2f} {figure['unit']}"
        lines.append(f"| {figure['name']} | {value} | {figure['target'] or ''} | {VERDICTS[figure['met']]} |")
    return "\n".join(lines) + "\n"


def with_rows(page: str, table: str) -> str:
    """The page with another table between its two marks.

    Raises:
        ValueError: a mark is missing.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has lost a mark: {BEGIN.strip()} or {END.strip()}")
    return before + begin + table + end + after


def write(measured: Path) -> None:
    document = json.loads(measured.read_text())
    PAGE.write_text(with_rows(PAGE.read_text(), rows(document)))
    if charts := growth.points(document["figures"]):
        PLOT.write_text(growth.svg(charts))
