"""Finds one finding of a result by the beginning of its fingerprint or identity."""

from __future__ import annotations

import re
from datetime import timedelta

from scanplan.cli.output.failure import USAGE, Failure, NotFound
from scanplan.cli.result_source import Result
from scanplan.findings import exceptions, fingerprint
from scanplan.findings.exceptions import ScanException, Suppressor
from scanplan.findings.identity import address, identity
from scanplan.report.finding import Finding, parse

SHORTEST = 6
"""Characters of a fingerprint that name a finding."""
_HOST = re.compile(r"[A-Za-z0-9_.:\[\]-]+")


def found(result: Result, mark: str) -> tuple[Finding, bytes]:
    """The finding, and its line.

    Raises:
        NotFound: the result has none, or several that begin so.
    """
    mark = mark.strip().lower()
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST},64}}", mark):
        hint = f"scanplan results {result.name} shows fingerprints"
        raise Failure(f"{mark!r} is no fingerprint: at least {SHORTEST} characters of 0-9 and a-f", hint, USAGE)
    matches: dict[str, bytes] = {}
    with result.findings.path.open("rb") as lines:
        for line in lines:
            own, lasting = fingerprint.of(line).hex(), identity(line)
            if own.startswith(mark) or lasting.startswith(mark):
                matches.setdefault(lasting, line)
    if not matches:
        raise NotFound(f"{result.name} has no finding {mark}", f"scanplan results {result.name}")
    if len(matches) > 1:
        raise Failure(f"{len(matches)} findings of {result.name} begin with {mark}: give more of it", code=USAGE)
    (line,) = matches.values()
    return parse(line, result.findings.suppressed), line


def falls_under(exception: ScanException, line: bytes) -> bool:
    """Whether a finding falls under an exception that has not expired."""
    before = exception.expires_at - timedelta(seconds=1)
    return Suppressor([exception], before)(line) is not None


def place(finding: Finding) -> tuple[str, str]:
    """Host (with port, where it is known) and path of a finding, as patterns of an exception; empty where there is none."""
    traits = exceptions.traits(finding.template_id, finding.matcher, finding.host, finding.matched_at)
    host = f"[{traits.host}]" if ":" in traits.host else traits.host
    host = f"{host}:{traits.port}" if traits.port else host
    path = address(finding.matched_at).path.partition("?")[0] if "/" in finding.matched_at.partition("://")[2] else ""
    return host if _HOST.fullmatch(host) else "", path if path.startswith("/") else ""
