"""Drafts a ScanException for one finding, in words that a reviewer can read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from scanplan.api import labels
from scanplan.api.times import format_time
from scanplan.api.v1alpha1.scanexception import MAX_NAME, Disposition, Match
from scanplan.findings import exceptions
from scanplan.findings.exceptions import ScanException, Suppressor
from scanplan.findings.history import Entry
from scanplan.findings.identity import address, identity
from scanplan.report.finding import Finding

_HOST = re.compile(r"[A-Za-z0-9_.:\[\]-]+")


@dataclass(frozen=True, slots=True)
class Subject:
    """The finding that an exception is drafted for."""

    template: str
    matcher: str
    host: str
    matched_at: str
    """The URL or host:port where it was found."""
    identity: str
    falls_under: Callable[[ScanException], bool]
    """Whether it falls under an exception that has not expired."""


def of_record(finding: Finding, raw: bytes) -> Subject:
    """A finding by its record.

    Args:
        raw: the finding's line.
    """
    mark = identity(raw)
    return Subject(
        finding.template_id,
        finding.matcher,
        finding.host,
        finding.matched_at,
        mark,
        lambda exception: _in_time(exception)(raw) is not None,
    )


def of_entry(entry: Entry) -> Subject:
    """A finding by its line of a history."""
    return Subject(
        entry.template,
        entry.matcher,
        entry.host,
        entry.where,
        entry.identity,
        lambda exception: _in_time(exception).of_entry(entry) is not None,
    )


def manifest(
    subject: Subject, *, reason: str, status: Disposition, end: datetime, owner: str = "", ticket: str = ""
) -> dict[str, Any]:
    """The exception. It matches template, host, path and matcher; where no pattern can say these, the finding's identity."""
    host, path = place(subject)
    match: dict[str, list[str]] = {"templates": [subject.template]}
    if host:
        match["hosts"] = [host]
    if path:
        match["paths"] = [path]
    if subject.matcher:
        match["matchers"] = [subject.matcher]
    if not _says(match, subject, end):
        match = {"fingerprints": [subject.identity]}
    spec: dict[str, Any] = {"match": match, "status": status.value, "reason": reason}
    spec |= {key: value for key, value in (("owner", owner), ("ticket", ticket)) if value}
    spec["expiresAt"] = format_time(end)
    slug = re.sub(r"[^a-z0-9]+", "-", f"{subject.template}-{subject.host}".lower()).strip("-")
    name = f"{slug[: MAX_NAME - 7].strip('-') or 'finding'}-{subject.identity[:6]}"
    return {
        "apiVersion": labels.API_VERSION,
        "kind": labels.EXCEPTION_KIND,
        "metadata": {"name": name},
        "spec": spec,
    }


def place(subject: Subject) -> tuple[str, str]:
    """Host (with port, where it is known) and path of a finding, as patterns of an exception; empty where there is none."""
    traits = exceptions.traits(subject.template, subject.matcher, subject.host, subject.matched_at)
    host = f"[{traits.host}]" if ":" in traits.host else traits.host
    host = f"{host}:{traits.port}" if traits.port else host
    path = address(subject.matched_at).path.partition("?")[0] if "/" in subject.matched_at.partition("://")[2] else ""
    return host if _HOST.fullmatch(host) else "", path if path.startswith("/") else ""


def _says(match: dict[str, list[str]], subject: Subject, end: datetime) -> bool:
    """Whether a match is valid, and its finding falls under it: a scanned host may answer with what no pattern can say."""
    wanted = {"metadata": {"name": "x"}, "spec": {"match": match, "expiresAt": end.isoformat()}}
    try:
        Match.model_validate(match)
    except ValidationError:
        return False
    return subject.falls_under(exceptions.read(wanted))


def _in_time(exception: ScanException) -> Suppressor:
    return Suppressor([exception], exception.expires_at - timedelta(seconds=1))
