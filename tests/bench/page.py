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


def joined(before: str, measured: str) -> str:
    """The rows of a table, where those of the measured families take the place of their former ones."""
    head, new = measured.splitlines()[:2], measured.splitlines()[2:]
    families = {_family(line) for line in new}
    old = [line for line in before.splitlines() if line.startswith("| ") and line not in head]
    place = next((number for number, line in enumerate(old) if _family(line) in families), len(old))
    kept = [[line for line in part if _family(line) not in families] for part in (old[:place], old[place:])]
    return "\n".join([*head, *kept[0], *new, *kept[1]]) + "\n"


def _family(line: str) -> str:
    return line.removeprefix("| ").partition(" |")[0].partition(":")[0]


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
    document, page = json.loads(measured.read_text()), PAGE.read_text()
    before = page.partition(BEGIN)[2].partition(END)[0]
    PAGE.write_text(with_rows(page, joined(before, rows(document))))
    if charts := growth.points(document["figures"]):
        PLOT.write_text(growth.svg(charts))
