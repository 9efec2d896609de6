"""Nuclei events and scan records for tests, ordinary and hostile."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from scanplan.api.documents.records import ScanMetadata
from scanplan.api.documents.words import Severity
from scanplan.findings.history import Entry, State
from scanplan.report import finding, page, scan
from scanplan.report.finding import Finding

HOSTILE = (
    "<script>alert('script')</script>",
    "</script><script>alert('closed')</script>",
    "</style><img src=x onerror=alert('style')>",
    "\"><svg onload=alert('svg')>",
    "' onmouseover=alert('attribute') autofocus onfocus=alert('focus') x='",
    "<iframe src=\"javascript:alert('frame')\"></iframe>",
    "<form action=https://evil.example/><input name=q><button>go</button></form>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<base href=https://evil.example/>",
    "--><!--<b>comment</b>-->",
    "</title><h1>title</h1>",
    "&lt;script&gt;alert('entity')&lt;/script&gt;",
    "\x1b]0;terminal\x07\x1b[31m\u202eoverride\u2066\x00\x9b",
    "${alert('template')} {{alert('moustache')}}",
)
"""What a scanned host might answer with."""
HOSTILE_ADDRESSES = (
    "javascript:alert('reference')",
    "data:text/html,<script>alert('data')</script>",
    " JaVaScRiPt:alert(1)",
)


def event(**members: Any) -> dict[str, Any]:
    """A finding as Nuclei writes it; `info` is merged, other members are replaced."""
    information = {
        "name": "Exposed Git configuration",
        "severity": "medium",
        "description": "The repository can be downloaded.",
        "tags": ["exposure", "git"],
        "reference": ["https://cwe.example/527"],
        "classification": {"cve-id": None, "cwe-id": ["cwe-527"], "cvss-score": 5.3},
        **members.pop("info", {}),
    }
    return {
        "template-id": "git-config",
        "info": information,
        "type": "http",
        "host": "app.example.com",
        "port": "443",
        "matched-at": "https://app.example.com/.git/config",
        "request": "GET /.git/config HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
        "response": "HTTP/1.1 200 OK\r\n\r\n[core]\n",
        "timestamp": "2026-11-24T06:39:24.554844465Z",
        "matcher-status": True,
        **members,
    }


def lines(events: Iterable[Mapping[str, Any]]) -> list[bytes]:
    """The merged file's lines."""
    return [json.dumps(one).encode() + b"\n" for one in events]


def read(events: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """The findings as the reports get them."""
    return list(finding.read(lines(events)))


def record(findings: Iterable[Finding] = (), **members: Any) -> ScanMetadata:
    """A scan's record whose counts are those of its findings."""
    counts = {severity.value: 0 for severity in Severity}
    for one in findings:
        counts[one.severity.value] += 1
    known = {
        "key": "scan:acme:nightly:0:0:0",
        "projectId": "acme",
        "runId": "nightly",
        "plan": {"namespace": "team-a", "name": "nightly"},
        "complete": True,
        "startedAt": "2026-11-24T06:39:20.000Z",
        "finishedAt": "2026-11-24T06:40:20.000Z",
        "durationMs": 60000,
        "templates": ["http/"],
        "severityLevels": [],
        "scanner": {"nucleiVersion": "v3.10.0", "templatesDigest": "d" * 64, "templatesLoaded": 18},
        "templateDigests": ["d" * 64],
        "endpoints": 2,
        "endpointsScanned": 2,
        "endpointsUnreachable": 0,
        "findings": counts,
        "shards": [shard()],
        "files": [],
    }
    return scan.read_scan(msgspec.json.encode({**known, **members}))


def shard(number: int = 0, **members: Any) -> dict[str, Any]:
    """A shard in a scan's record."""
    known = {
        "shard": number,
        "content": "c" * 64,
        "outcome": "complete",
        "endpoints": 2,
        "endpointsScanned": 2,
        "endpointsUnreachable": [],
        "attempts": [],
    }
    return known | members


def failed(number: int, reason: str, message: str) -> dict[str, Any]:
    """A shard in a scan's record that has failed, and why."""
    attempt = {
        "attempt": 1,
        "outcome": "failed",
        "error": {"class": "Temporary", "reason": reason, "message": message},
        "startedAt": "2026-11-24T06:39:20.000Z",
        "finishedAt": "2026-11-24T06:40:20.000Z",
        "findings": 0,
    }
    return shard(number, outcome="failed", endpoints=5, endpointsScanned=0, attempts=[attempt])


def hostile() -> list[dict[str, Any]]:
    """Events with something hostile in every member."""
    numbered = enumerate(itertools.product(HOSTILE, ("critical", "info")))
    return [
        event(
            **{
                "template-id": text,
                "info": {
                    "name": text,
                    "severity": severity,
                    "description": text,
                    "impact": text,
                    "remediation": text,
                    "reference": [text, *HOSTILE_ADDRESSES, f"https://ok.example/{text}"],
                    "tags": [text],
                    "classification": {"cve-id": [text], "cwe-id": [text], "cvss-metrics": text},
                },
                "type": text,
                "host": text,
                "matched-at": f"https://app.example.com/{number}/{text}",
                "matcher-name": text,
                "extracted-results": [text],
                "request": text,
                "response": text,
                "curl-command": text,
                "timestamp": text,
            }
        )
        for number, (text, severity) in numbered
    ]


def rendered(findings: list[Finding], scan: ScanMetadata | None = None, **options: Any) -> str:
    """The HTML report of these findings."""
    return b"".join(page.render(scan or record(findings), findings, "1.2.3", **options)).decode()


def life(finding: Finding, **changes: Any) -> Entry:
    """What is known of a finding that has been open since the 20th."""
    members: dict[str, Any] = {
        "identity": finding.identity,
        "fingerprint": finding.fingerprint,
        "severity": finding.severity,
        "name": finding.name,
        "template": finding.template_id,
        "matcher": finding.matcher,
        "host": finding.host,
        "where": finding.matched_at,
        "target": finding.matched_at,
        "state": State.OPEN,
        "first_seen": "2026-11-20T06:00:00.000Z",
        "last_seen": "2026-11-24T06:00:00.000Z",
        "times_seen": 5,
    }
    return Entry(**members | changes)
