"""Finds one finding of a result by the beginning of its fingerprint or identity."""

from __future__ import annotations

import re

from scanplan.cli.output.failure import USAGE, Failure, NotFound
from scanplan.cli.result_source import Result
from scanplan.findings import fingerprint
from scanplan.findings.identity import identity
from scanplan.report.finding import Finding, parse

SHORTEST = 6
"""Characters of a fingerprint that name a finding."""


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
