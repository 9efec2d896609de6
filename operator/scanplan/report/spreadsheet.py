"""Findings as CSV, for spreadsheets.

One line a finding (RFC 4180), without raw requests and responses. Content comes from scanned hosts, so a cell that a spreadsheet
would take for a formula is made a text (https://owasp.org/www-community/attacks/CSV_Injection).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from scanplan.api.times import format_day
from scanplan.findings.lookup import Life, nowhere
from scanplan.report import text
from scanplan.report.finding import Finding

COLUMNS = (
    "severity",
    "name",
    "template",
    "host",
    "matched_at",
    "matcher",
    "type",
    "extracted",
    "cve",
    "cwe",
    "cvss_score",
    "description",
    "impact",
    "remediation",
    "references",
    "tags",
    "timestamp",
    "fingerprint",
    "suppressed_by",
    "suppressed_as",
    "suppressed_until",
    "identity",
    "state",
    "first_seen",
    "last_seen",
    "times_seen",
)
MAX_CELL = 30_000
"""Characters; Excel takes 32,767."""
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "|", "%")


def render(findings: Iterable[Finding], life: Life = nowhere) -> Iterator[bytes]:
    """The CSV, line by line, with a header; UTF-8.

    Args:
        life: finds what is known of a finding from earlier scans.
    """
    yield _line(COLUMNS)
    for finding in findings:
        known = life(finding.identity)
        yield _line(
            (
                finding.severity.value,
                finding.name,
                finding.template_id,
                finding.host,
                finding.matched_at,
                finding.matcher,
                finding.type,
                " | ".join(finding.extracted),
                " ".join(finding.cve),
                " ".join(finding.cwe),
                "" if finding.cvss_score is None else f"{finding.cvss_score:g}",
                finding.description,
                finding.impact,
                finding.remediation,
                " ".join(finding.references),
                " ".join(finding.tags),
                finding.timestamp,
                finding.fingerprint,
                *_suppression(finding),
                finding.identity,
                known.state.value if known else "",
                known.first_seen if known else "",
                known.last_seen if known else "",
                str(known.times_seen) if known else "",
            )
        )


def _suppression(finding: Finding) -> tuple[str, str, str]:
    suppressed = finding.suppressed
    return (suppressed.name, suppressed.status, format_day(suppressed.expires_at)) if suppressed else ("", "", "")


def cell(value: str) -> str:
    """A cell that no spreadsheet takes for a formula: one line, with an apostrophe before a dangerous first character."""
    shown = text.line(value, MAX_CELL)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def _line(values: Iterable[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL).writerow(map(cell, values))
    return line.getvalue().encode()
