"""The record of one finding: what a scan said of it, with request and response, as text that is safe to show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, BinaryIO

import msgspec

from scanplan.findings import fingerprint, history
from scanplan.findings.history import Entry
from scanplan.findings.identity import identity
from scanplan.report import rows, text
from scanplan.report.finding import Finding, parse

MOST_LINE_BYTES = 8 << 20
_MOST_ITEMS = 50


def find(file: BinaryIO, entry: Entry) -> tuple[Finding, bytes] | None:
    """The newest record of a finding in a file of findings, and its line; None where it is not there.

    Most lines are passed over without being decoded: they don't name the template.
    """
    name = msgspec.json.encode(entry.template)
    other = None
    for line in history.bounded(file, MOST_LINE_BYTES):
        if name in line and identity(line) == entry.identity:
            if fingerprint.of(line).hex() == entry.fingerprint:
                return parse(line), line
            other = other or line
    return (parse(other), other) if other else None


def shown(finding: Finding) -> dict[str, Any]:
    """What the page shows of it. Texts are cut, and have no invisible characters."""
    return {
        "description": text.block(finding.description, rows.MAX_PARAGRAPH).strip(),
        "impact": text.block(finding.impact, rows.MAX_PARAGRAPH).strip(),
        "remediation": text.block(finding.remediation, rows.MAX_PARAGRAPH).strip(),
        "references": [
            {"text": text.line(each, rows.MAX_PARAGRAPH), "address": text.web_address(each)}
            for each in finding.references[:_MOST_ITEMS]
        ],
        "tags": _lines(finding.tags),
        "cve": _lines(finding.cve),
        "cwe": _lines(finding.cwe),
        "cvss": " ".join(filter(None, (f"{finding.cvss_score:g}" if finding.cvss_score else "", finding.cvss_vector))),
        "extracted": _lines(finding.extracted),
        "time": finding.timestamp,
        "request": text.block(finding.request, rows.MAX_REQUEST),
        "response": text.block(finding.response, rows.MAX_RESPONSE),
        "curl": text.block(finding.curl, rows.MAX_REQUEST),
    }


def _lines(values: Iterable[str]) -> list[str]:
    return [text.line(each, rows.MAX_PARAGRAPH) for each in list(values)[:_MOST_ITEMS]]
