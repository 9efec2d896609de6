"""One finding as rows of the report's table: a summary that is always visible, and details that open below it.

A row and its raw exchange are separate pieces. So a report that runs out of room drops raw exchanges before it drops findings.
All escaping happens here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from scanplan.api.documents.words import Severity
from scanplan.api.times import format_day
from scanplan.findings.history import Entry, State
from scanplan.report import text
from scanplan.report.finding import Finding

MAX_PARAGRAPH = 2_000
MAX_REQUEST = 4_000
MAX_RESPONSE = 8_000
_MAX_LIST = 20


def opening(severity: Severity, life: Entry | None, *, suppressed: bool) -> bytes:
    """The begin of a finding's table body, which `head` continues: what has become of it over time."""
    state = life.state.value if life else ""
    fresh = state in {State.NEW, State.REOPENED}
    new = ' data-new=""' if fresh else ""
    mark = f' data-state="{state}"{new}' if state else ""
    mark += ' data-suppressed=""' if suppressed else ""
    since = f' <span class="quiet">since {_line(life.first_seen[:10])}</span>' if life and not fresh else ""
    badge = f' <span class="new">{state}</span>' if fresh else since
    return (
        f'<tbody class="finding" data-severity="{severity.value}"{mark}>'
        f'<tr><td><span class="severity {severity.value}">{severity.value}</span>{badge}</td>'
    ).encode()


def head(finding: Finding) -> bytes:
    """The second part: the rest of its row, and the start of the details cell, which `raw` continues."""
    matcher = f' <span class="quiet">{_line(finding.matcher)}</span>' if finding.matcher else ""
    return (
        f'<td><button type="button">{_line(finding.name)}</button>{matcher}{_suppressed(finding)}</td>'
        f"<td><code>{_line(finding.matched_at)}</code></td><td><code>{_line(finding.template_id)}</code></td></tr>"
        f'<tr class="more"><td colspan="4">{_about(finding)}'
    ).encode()


def raw(finding: Finding) -> bytes:
    """The third part: request, response and curl command."""
    return "".join(
        f'<h3>{title}</h3><pre tabindex="0">{escape(text.block(content, limit).rstrip())}</pre>'
        for title, content, limit in (
            ("Request", finding.request, MAX_REQUEST),
            ("Response", finding.response, MAX_RESPONSE),
            ("Try it", finding.curl, MAX_REQUEST),
        )
        if content
    ).encode()


TAIL = b"</td></tr></tbody>\n"


def links(addresses: Iterable[str]) -> str:
    """A list of references. Only http(s) addresses become links."""
    items = []
    for address in list(addresses)[:_MAX_LIST]:
        href = text.web_address(address)
        shown = _line(address)
        items.append(
            f'<a href="{escape(href)}" rel="noopener noreferrer" target="_blank">{shown}</a>' if href else shown
        )
    return "<br>".join(items)


def _suppressed(finding: Finding) -> str:
    """The exception that it falls under, and until when."""
    if finding.suppressed is None:
        return ""
    words = f"{finding.suppressed.status} until {format_day(finding.suppressed.expires_at)}"
    return f' <span class="quiet">{_line(words)} ({_line(finding.suppressed.name)})</span>'


def _about(finding: Finding) -> str:
    paragraphs = "".join(
        f'{heading}<p class="text">{escape(text.block(content, MAX_PARAGRAPH).strip())}</p>'
        for heading, content in (
            ("", finding.description),
            ("<h3>Impact</h3>", finding.impact),
            ("<h3>Remediation</h3>", finding.remediation),
        )
        if content
    )
    score = "" if finding.cvss_score is None else f"{finding.cvss_score:g}"
    facts = {
        "Extracted": "<br>".join(f"<code>{_line(value)}</code>" for value in finding.extracted[:_MAX_LIST]),
        "CVE": _line(", ".join(finding.cve)),
        "CWE": _line(", ".join(finding.cwe)),
        "CVSS": _line(" ".join(filter(None, (score, finding.cvss_vector)))),
        "References": links(finding.references),
        "Tags": _line(", ".join(finding.tags)),
        "Seen": _line(finding.timestamp),
    }
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts.items() if value)
    return f"{paragraphs}<dl>{listed}</dl>"


def _line(value: str) -> str:
    return escape(text.line(value, MAX_PARAGRAPH))
