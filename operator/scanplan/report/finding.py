"""A finding as the reports use it: one line of the merged file, with every member of the expected type.

Nuclei's events come from templates and scanned hosts, so any member may be missing or of another type. Reading never fails: a line
that can't be understood becomes a finding of unknown severity that says so. No report loses a finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from scanplan.api.documents.words import Severity
from scanplan.api.wire import UNREADABLE
from scanplan.findings import fingerprint
from scanplan.findings.exceptions import ScanException
from scanplan.findings.identity import identity
from scanplan.report import text

Suppressed = Callable[[bytes], ScanException | None]
"""Says which exception a line falls under, as `scanplan.findings.exceptions.Suppressor` does."""


def all_open(_line: bytes) -> None:
    """Says of each line that it falls under no exception."""


RANK = {severity: rank for rank, severity in enumerate(Severity)}
"""Rank by severity; 0 is the most severe."""

_NOTHING: Mapping[str, Any] = {}
_decode = msgspec.json.Decoder().decode


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding.

    Members marked "a line" are cleaned to one line (`scanplan.report.text.line`). All other texts are as the host sent them.
    """

    fingerprint: str
    """Hex; tells the records of one scan apart."""
    identity: str
    """Hex; the same for the same finding for its whole life."""
    severity: Severity
    template_id: str
    """A line."""
    name: str
    """A line."""
    host: str
    """A line: without port."""
    matched_at: str
    """A line: the URL or host:port where it was found."""
    type: str
    """A line: the protocol, such as http or dns."""
    matcher: str
    """A line: which matcher or extractor of the template it was; may be empty."""
    timestamp: str
    """A line: RFC 3339, by the scan pod's clock."""
    description: str
    impact: str
    remediation: str
    references: tuple[str, ...]
    tags: tuple[str, ...]
    cve: tuple[str, ...]
    cwe: tuple[str, ...]
    cvss_score: float | None
    cvss_vector: str
    extracted: tuple[str, ...]
    request: str
    response: str
    curl: str
    suppressed: ScanException | None = None
    """The exception that it falls under; None: it is open."""


def read(lines: Iterable[bytes], suppressed: Suppressed = all_open) -> Iterator[Finding]:
    """Parse the findings of a merged NDJSON file, in its order. Empty lines are skipped."""
    return (parse(line, suppressed) for line in lines if not line.isspace())


def parse(line: bytes, suppressed: Suppressed = all_open) -> Finding:
    """Parse one line. It never fails: a line that can't be read becomes a finding that says so."""
    try:
        event = _mapping(_decode(line))
    except UNREADABLE:
        event = {"info": {"name": "A finding that can't be read"}, "response": line[:10_000].decode(errors="replace")}
    information = _mapping(event.get("info"))
    classification = _mapping(information.get("classification"))
    matched_at = text.line(event.get("matched-at") or event.get("url") or event.get("host") or "")
    template = text.line(event.get("template-id") or "unknown", 250)
    return Finding(
        fingerprint=fingerprint.of(line).hex(),
        identity=identity(line),
        severity=Severity.of(information.get("severity")),
        template_id=template,
        name=text.line(information.get("name") or template, 250),
        host=_host(event, matched_at),
        matched_at=matched_at,
        type=text.line(event.get("type") or "", 50),
        matcher=text.line(event.get("matcher-name") or event.get("extractor-name") or "", 250),
        timestamp=text.line(event.get("timestamp") or "", 50),
        description=_text(information.get("description")),
        impact=_text(information.get("impact")),
        remediation=_text(information.get("remediation")),
        references=_list(information.get("reference")),
        tags=_list(information.get("tags")),
        cve=_list(classification.get("cve-id")),
        cwe=_list(classification.get("cwe-id")),
        cvss_score=_score(classification.get("cvss-score")),
        cvss_vector=text.line(classification.get("cvss-metrics") or "", 200),
        extracted=_list(event.get("extracted-results")),
        request=_text(event.get("request")),
        response=_text(event.get("response")),
        curl=_text(event.get("curl-command")),
        suppressed=suppressed(line),
    )


def severity_of(line: bytes) -> Severity:
    """The severity that `parse` gives a line, without the rest of it."""
    try:
        event = _mapping(_decode(line))
    except UNREADABLE:
        return Severity.UNKNOWN
    return Severity.of(_mapping(event.get("info")).get("severity"))


def counted(lines: Iterable[bytes], suppressed: Suppressed = all_open) -> Counter[Severity]:
    """How many findings `read` gives, by severity, without those that fall under an exception."""
    return Counter(severity_of(line) for line in lines if not line.isspace() and suppressed(line) is None)


def _host(event: Mapping[str, Any], matched_at: str) -> str:
    host = text.line(event.get("host") or "", 255)
    if host and "/" not in host:
        return host
    try:
        return urlsplit(host or matched_at).hostname or host or matched_at
    except ValueError:
        return host or matched_at


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else _NOTHING


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else str(value)


def _list(value: object) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(_text(item) for item in value if item is not None)
    return (_text(value),) if value else ()


def _score(value: object) -> float | None:
    """A CVSS base score, 0 to 10."""
    score = float(value) if isinstance(value, int | float) else -1.0
    return score if 0.0 < score <= 10.0 else None
