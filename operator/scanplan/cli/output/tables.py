"""Prints findings as a table: most severe first, with colours on a terminal."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from scanplan.api.documents.words import Severity
from scanplan.findings.history import Entry
from scanplan.report.finding import RANK, Finding

STYLES = {
    Severity.CRITICAL: "bold magenta",
    Severity.HIGH: "red",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "cyan",
    Severity.INFO: "dim",
    Severity.UNKNOWN: "dim",
}
SHORT = 10
"""Characters of a fingerprint that a table shows; commands take it by its beginning."""


def severity_of(finding: Mapping[str, Any]) -> Severity:
    """A finding's severity; `unknown` for any value that we do not know."""
    return Severity.of(finding.get("info", {}).get("severity", ""))


def findings_table(findings: Iterable[Mapping[str, Any]]) -> Table:
    """A table of Nuclei events.

    Args:
        findings: decoded JSONL events. Their texts come from scanned hosts, so they are never read as markup.
    """
    rows = sorted(findings, key=lambda finding: (RANK[severity_of(finding)], str(finding.get("template-id", ""))))
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


def ranked(findings: Iterable[Finding], most: int) -> tuple[list[Finding], Counter[Severity]]:
    """The `most` most severe findings, sorted, and the number of findings of each severity. Only the former are kept in memory."""
    counts: Counter[Severity] = Counter()

    def counted() -> Iterator[Finding]:
        for finding in findings:
            counts[finding.severity] += 1
            yield finding

    return heapq.nsmallest(
        most, counted(), key=lambda each: (RANK[each.severity], each.template_id, each.matched_at)
    ), counts


def report_table(rows: Iterable[Finding], marks: Iterable[str] = ()) -> Table:
    """A table of parsed findings, in the given order.

    Args:
        marks: words for each row, such as its exception; without marks the table has no such column.
    """
    marked = list(marks)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ([""] if marked else []) + ["SEVERITY", "FINDING", "WHERE", "TEMPLATE", "FINGERPRINT"]:
        table.add_column(column, overflow="fold")
    for number, finding in enumerate(rows):
        table.add_row(
            *([Text(marked[number])] if marked else []),
            Text(finding.severity.value, STYLES[finding.severity]),
            Text(finding.name),
            Text(finding.matched_at or finding.host),
            Text(finding.template_id),
            Text(finding.fingerprint[:SHORT]),
        )
    return table


def lives_table(rows: Iterable[Entry], marks: Iterable[str]) -> Table:
    """A table of findings over time, in the given order.

    Args:
        marks: what has become of each, in words.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "SEVERITY", "FINDING", "WHERE", "TEMPLATE", "SINCE", "LAST SEEN", "SCANS"):
        table.add_column(column, overflow="fold")
    for entry, mark in zip(rows, marks, strict=True):
        table.add_row(
            Text(mark),
            Text(entry.severity.value, STYLES[entry.severity]),
            _text(entry.name),
            _text(entry.where),
            _text(entry.template),
            _text(entry.first_seen[:10]),
            _text(entry.last_seen[:10]),
            Text(f"{entry.times_seen:,}"),
        )
    return table


def counted_words(counts: Mapping[Severity, int]) -> Text:
    """A line such as ``12 findings: 3 critical, 9 low``, in the colours of the severities."""
    total = sum(counts.values())
    words = Text(f"{total:,} finding{'' if total == 1 else 's'}{': ' if total else ''}")
    parts = [
        Text(f"{counts[severity]:,} {severity.value}", STYLES[severity])
        for severity in Severity
        if counts.get(severity)
    ]
    return words + Text(", ").join(parts)


def _text(value: object) -> Text:
    """Text without control characters, which a hostile host could use to draw on the terminal."""
    return Text(
        "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in str(value))
    )
