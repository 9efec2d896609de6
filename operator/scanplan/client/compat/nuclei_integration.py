"""Converts Nuclei's events into internal findings: one documented, versioned form for a project's own programs.

A fingerprint (template, protocol, matcher, place, extracted values) identifies a finding. It is the same in every run, and the
finding store uses it to keep each finding once. Everything that Nuclei wrote stays in the artifacts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from scanplan.api import wire
from scanplan.api.documents.words import Severity
from scanplan.findings import fingerprint
from scanplan.runner.artifacts import durable

FINDING_VERSION: Literal[1] = 1
_WORST_SCORE = 10
_SEVERITIES = {severity.value: severity for severity in Severity}


class InternalFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding, version 1. Within a version, fields are only added."""

    version: Literal[1] = FINDING_VERSION
    fingerprint: str
    """32 hex digits; the same finding has the same fingerprint in every run."""
    template_id: str
    name: str
    severity: Severity
    protocol: str
    """Nuclei's ``type``: http, dns, ssl, network, …"""
    host: str
    port: str
    matched_at: str
    """The URL, or host:port, where it matched."""
    matcher_name: str
    extracted_results: tuple[str, ...]
    description: str
    remediation: str
    tags: tuple[str, ...]
    references: tuple[str, ...]
    cve_ids: tuple[str, ...]
    cwe_ids: tuple[str, ...]
    cvss_score: float | None
    seen_at: str
    """RFC 3339 time at which Nuclei found it; may be empty."""


def to_internal_findings(
    result: Mapping[str, Any] | Path | Iterable[bytes | Mapping[str, Any]],
) -> list[InternalFinding]:
    """The findings of a scan.

    Args:
        result: what `nuclei_wrapper.scan_endpoints` returned, the path of an NDJSON artifact, or events, decoded or as lines.
    """
    events = result.get("findings", ()) if isinstance(result, Mapping) else result
    return list(iterate(events))


def iterate(events: Path | Iterable[bytes | Mapping[str, Any]]) -> Iterator[InternalFinding]:
    """Like `to_internal_findings`, but one at a time, for artifacts larger than memory. Lines that are no findings are skipped."""
    if isinstance(events, Path):
        with durable.open_regular(events) as lines:
            yield from iterate(lines)
        return
    for event in events:
        line = event if isinstance(event, bytes) else msgspec.json.encode(event)
        finding = parse(line)
        if finding is not None:
            yield finding


def parse(line: bytes) -> InternalFinding | None:
    """One line of Nuclei's JSONL output; None where it is no finding."""
    try:
        event: Any = msgspec.json.decode(line)
    except wire.UNREADABLE:
        return None
    if not isinstance(event, dict) or not isinstance(event.get("template-id"), str):
        return None
    info = _mapping(event.get("info"))
    classification = _mapping(info.get("classification"))
    score = classification.get("cvss-score")
    return InternalFinding(
        fingerprint=fingerprint.of(line).hex(),
        template_id=event["template-id"],
        name=_text(info.get("name")),
        severity=_SEVERITIES.get(_text(info.get("severity")).lower(), Severity.UNKNOWN),
        protocol=_text(event.get("type")),
        host=_text(event.get("host")),
        port=_text(event.get("port")),
        matched_at=_text(event.get("matched-at")),
        matcher_name=_text(event.get("matcher-name")),
        extracted_results=_texts(event.get("extracted-results")),
        description=_text(info.get("description")),
        remediation=_text(info.get("remediation")),
        tags=_texts(info.get("tags")),
        references=_texts(info.get("reference")),
        cve_ids=_texts(classification.get("cve-id")),
        cwe_ids=_texts(classification.get("cwe-id")),
        cvss_score=float(score) if isinstance(score, (int, float)) and 0 <= score <= _WORST_SCORE else None,
        seen_at=_text(event.get("timestamp")),
    )


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _texts(value: object) -> tuple[str, ...]:
    """Nuclei writes lists, comma-separated text, or nothing."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(map(str, value)) if isinstance(value, list) else ()
