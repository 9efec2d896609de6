"""Findings as a table for people: gravest first, in the terminal's colours where there is a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from scanplan.api.task import Severity

STYLES = {
    Severity.CRITICAL: "bold magenta",
    Severity.HIGH: "red",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "cyan",
    Severity.INFO: "dim",
    Severity.UNKNOWN: "dim",
}
_ORDER = {severity: rank for rank, severity in enumerate(Severity)}


def severity_of(finding: Mapping[str, Any]) -> Severity:
    """A finding's severity; what Nuclei doesn't know, or we don't, is unknown."""
    try:
        return Severity(finding.get("info", {}).get("severity", ""))
    except ValueError:
        return Severity.UNKNOWN


def findings_table(findings: Iterable[Mapping[str, Any]]) -> Table:
    """A table of Nuclei events.

    Args:
        findings: decoded JSONL events. Their texts come from scanned hosts, so they are never read as markup.
    """
    rows = sorted(findings, key=lambda finding: (_ORDER[severity_of(finding)], str(finding.get("template-id", ""))))
    table = Table(title=f"{len(rows)} findings", title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    for column in ("SEVERITY", "FINDING", "WHERE", "TEMPLATE"):
        table.add_column(column, overflow="fold")
    for finding in rows:
        severity = severity_of(finding)
        table.add_row(
            Text(severity.value, STYLES[severity]),
            _text(finding.get("info", {}).get("name", "")),
            _text(finding.get("matched-at", finding.get("host", ""))),
            _text(finding.get("template-id", "")),
        )
    return table


def _text(value: object) -> Text:
    """Text without control characters, which a hostile host could use to draw on the terminal."""
    return Text(
        "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in str(value))
    )
