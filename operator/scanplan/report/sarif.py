"""Findings as SARIF 2.1.0, in the form that GitHub's code scanning accepts.

SARIF is made for files and lines; a finding here is at a network address. GitHub refuses a whole file for one address with a
scheme. So an address becomes a relative path of host, port and path, and the exact address is its logical location. Raw requests
and responses are left out. Anybody who may read a repository may read its alerts, and responses may hold secrets.

GitHub's rules: https://docs.github.com/en/code-security/reference/code-scanning/sarif-files/sarif-support
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from scanplan.api.documents.records import ScanMetadata
from scanplan.api.documents.words import Severity
from scanplan.api.times import format_day
from scanplan.findings.exceptions import ScanException
from scanplan.findings.history import Entry, State
from scanplan.findings.lookup import Life, nowhere
from scanplan.report import text
from scanplan.report.finding import Finding, parse
from scanplan.report.scan import remarks

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
MAX_RESULTS = 25_000
"""GitHub refuses a run with more results."""
MAX_RULES = 25_000
MAX_TAGS = 20
MAX_TEXT = 1_024
"""GitHub's bound on descriptions."""
MAX_PATH = 1_000

LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
    Severity.UNKNOWN: "note",
}
_SCORES = {
    Severity.CRITICAL: (9.0, 10.0, 9.5),
    Severity.HIGH: (7.0, 8.9, 8.0),
    Severity.MEDIUM: (4.0, 6.9, 5.5),
    Severity.LOW: (0.1, 3.9, 2.0),
}
"""Lowest, highest and usual CVSS score of a severity. A score outside of these bounds is replaced by the usual one: GitHub would
show another severity than our counts do."""

_encode = msgspec.json.Encoder().encode
Json = dict[str, Any]


def render(
    scan: ScanMetadata,
    findings: Iterable[Finding],
    version: str,
    *,
    counts: Callable[[], Mapping[Severity, int]] | None = None,
    life: Life = nowhere,
    resolved: Iterable[tuple[Entry, ScanException | None]] = (),
) -> Iterator[bytes]:
    """The SARIF file, result by result; memory grows with the number of templates only.

    Args:
        findings: all of the scan's, or those that the reader asked for. Where there are more than `MAX_RESULTS`, the most severe
            are kept, and a notification says how many are missing.
        version: of this program.
        counts: counts `findings` by severity. It is asked only if the scan has more than `MAX_RESULTS`. None: they are all of the
            scan's.
        life: finds what is known of a finding from earlier scans: with an earlier scan, results have a `baselineState`.
        resolved: findings that are gone, to be written as absent, each with the exception that it falls under. GitHub and
            DefectDojo would show them as if they were there.
    """
    compared = scan.history is not None and bool(scan.history.since)
    room = _Quota(_counted(scan, counts) if scan.findings.total > MAX_RESULTS else {})
    rules: dict[str, tuple[int, Json]] = {}
    separator = b""
    yield b'{"$schema":' + _encode(SCHEMA) + b',"version":"2.1.0","runs":[{"results":['
    for finding in findings:
        known = finding.template_id in rules or len(rules) < MAX_RULES
        if not room.take(finding.severity, known=known):
            continue
        index, _ = rules.setdefault(finding.template_id, (len(rules), _rule(finding)))
        yield separator + _encode(_result(finding, index) | _over_time(life(finding.identity), compared=compared))
        separator = b","
    for entry, suppressed in resolved:
        finding = _gone(entry, suppressed)
        if room.take(finding.severity, known=finding.template_id in rules or len(rules) < MAX_RULES):
            index, _ = rules.setdefault(finding.template_id, (len(rules), _rule(finding)))
            yield separator + _encode(_result(finding, index) | {"baselineState": "absent"})
            separator = b","
    driver = {
        "name": "Nuclei",
        "informationUri": "https://github.com/projectdiscovery/nuclei",
        **({"version": scan.scanner.nuclei_version.removeprefix("v")} if scan.scanner.nuclei_version else {}),
        "properties": {"reporter": f"scanplan {version}"},
        "rules": [rule for _, rule in rules.values()],
    }
    rest = {
        "tool": {"driver": driver},
        "automationDetails": {"id": _category(scan)},
        "invocations": [_invocation(scan, room.refused)],
        "columnKind": "unicodeCodePoints",
        "properties": {"taskKey": scan.key, "templatesDigest": scan.scanner.templates_digest},
    }
    yield b"]," + _encode(rest)[1:] + b"]}\n"


def _counted(scan: ScanMetadata, counts: Callable[[], Mapping[Severity, int]] | None) -> Mapping[Severity, int]:
    """How many findings there are to write, by severity."""
    return counts() if counts else {severity: getattr(scan.findings, severity.value) for severity in Severity}


class _Quota:
    """How many findings of each severity are written, the most severe first."""

    def __init__(self, counts: Mapping[Severity, int]) -> None:
        """`counts`: the findings that are to be written."""
        self.refused = 0
        self._left = MAX_RESULTS
        before = itertools.accumulate((counts.get(severity, 0) for severity in Severity), initial=0)
        self._limit = {
            severity: MAX_RESULTS - min(MAX_RESULTS, count) for severity, count in zip(Severity, before, strict=False)
        }

    def take(self, severity: Severity, *, known: bool) -> bool:
        if not known or not self._left or not self._limit[severity]:
            self.refused += 1
            return False
        self._left -= 1
        self._limit[severity] -= 1
        return True


def _rule(finding: Finding) -> Json:
    references = [link for reference in finding.references if (link := text.web_address(reference))]
    advice = _advice(finding, references)
    tags = [
        "security",
        *(f"external/cwe/{cwe.lower()}" for cwe in map(text.line, finding.cwe)),
        *finding.cve,
        *finding.tags,
    ]
    properties: Json = {"tags": list(dict.fromkeys(text.line(tag, 100) for tag in tags if tag))[:MAX_TAGS]}
    if score := _score(finding):
        properties["security-severity"] = score
    rule: Json = {
        "id": finding.template_id,
        "shortDescription": {"text": finding.name},
        "fullDescription": {"text": _paragraph(finding.description) or finding.name},
        "help": {"text": advice or finding.name},
        "defaultConfiguration": {"level": LEVELS[finding.severity]},
        "properties": properties,
    }
    if finding.name != finding.template_id:
        rule["name"] = finding.name
    if references:
        rule["helpUri"] = references[0]
    return rule


def _advice(finding: Finding, references: list[str]) -> str:
    impact, remediation = _paragraph(finding.impact), _paragraph(finding.remediation)
    parts = (
        _paragraph(finding.description),
        f"Impact: {impact}" if impact else "",
        f"Remediation: {remediation}" if remediation else "",
        *references,
    )
    return "\n\n".join(filter(None, parts))


def _result(finding: Finding, rule: int) -> Json:
    details = [finding.matcher, *(text.line(value, 200) for value in finding.extracted[:5])]
    shown = ", ".join(filter(None, details))
    message = f"{finding.name} at {finding.matched_at or finding.host}{f' ({shown})' if shown else ''}"
    return {
        "ruleId": finding.template_id,
        "ruleIndex": rule,
        "level": LEVELS[finding.severity],
        "message": {"text": text.cut(message, MAX_TEXT)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": place(finding.matched_at or finding.host)},
                    "region": {"startLine": 1},
                },
                "logicalLocations": [{"fullyQualifiedName": finding.matched_at or finding.host, "kind": "resource"}],
            }
        ],
        # GitHub uses the first name, other readers use ours.
        "partialFingerprints": {
            "primaryLocationLineHash": finding.fingerprint,
            "scanplan/v1": finding.fingerprint,
            "scanplan/identity/v1": finding.identity,
        },
        "properties": {"severity": finding.severity.value, "host": finding.host, "timestamp": finding.timestamp},
        **_suppressions(finding),
    }


def _suppressions(finding: Finding) -> Json:
    """SARIF's word for an exception (3.27.23 and 3.35). GitHub does not read it."""
    found = finding.suppressed
    if found is None:
        return {}
    told = text.cut(f"{found.status}: {text.line(found.reason)}" if found.reason else found.status, MAX_TEXT)
    properties = {"exception": found.name, "expiresAt": format_day(found.expires_at), "owner": found.owner}
    return {
        "suppressions": [{"kind": "external", "status": "accepted", "justification": told, "properties": properties}]
    }


def _over_time(life: Entry | None, *, compared: bool) -> Json:
    """What earlier scans know of a result (SARIF 2.1.0, 3.27.24 and 3.48.3); a state only where there was an earlier scan."""
    if life is None:
        return {}
    state: Json = {"baselineState": "unchanged" if life.state is State.OPEN else "new"} if compared else {}
    return {"provenance": {"firstDetectionTimeUtc": life.first_seen, "lastDetectionTimeUtc": life.last_seen}} | state


def _gone(entry: Entry, suppressed: ScanException | None) -> Finding:
    """A finding that no record of this scan has, made from its history."""
    known = parse(
        _encode(
            {
                "template-id": entry.template,
                "info": {"name": entry.name, "severity": entry.severity.value},
                "matcher-name": entry.matcher,
                "host": entry.host,
                "matched-at": entry.where,
                "timestamp": entry.last_seen,
            }
        )
    )
    return msgspec.structs.replace(known, fingerprint=bytes.fromhex(entry.fingerprint).hex(), suppressed=suppressed)


def place(address: str) -> str:
    """An address as a relative path: `https://a.example:8443/x?y` is `a.example/8443/x`; never empty."""
    try:
        parts = urlsplit(address if "//" in address else f"//{address}")
        segments = [parts.hostname or "", str(parts.port or ""), *parts.path.split("/")]
    except ValueError:
        segments = address.split("/")
    shown = [quote(segment, safe="-._~") for segment in segments if segment not in {"", ".", ".."}]
    return "/".join(shown)[:MAX_PATH].rstrip("/%") or "unknown"


def _score(finding: Finding) -> str:
    """GitHub's `security-severity`, a score as text; empty for findings that are no weakness."""
    if finding.severity not in _SCORES:
        return ""
    least, most, usual = _SCORES[finding.severity]
    score = finding.cvss_score
    return f"{score if score is not None and least <= score <= most else usual:.1f}"


def _paragraph(value: str) -> str:
    return text.block(value, MAX_TEXT).strip()


def _category(scan: ScanMetadata) -> str:
    """What GitHub groups alerts by: all of the id up to its last slash, so each plan needs one of its own.

    The run is not in it: a later run of the same plan closes the alerts that it finds no more.
    """
    parts = [scan.project_id, *([scan.plan.namespace, scan.plan.name] if scan.plan.name else [scan.run_id])]
    return f"scanplan/{'/'.join(quote(part, safe='') for part in parts)}/"


def _invocation(scan: ScanMetadata, refused: int) -> Json:
    said = remarks(scan)
    if refused:
        said.append(f"{refused:,} findings are left out: GitHub takes at most {MAX_RESULTS:,}.")
    for shard in scan.unfinished[:100]:
        error = shard.error
        why = f": {error.reason}: {text.line(error.message)}" if error else ""
        said.append(f"Shard {shard.shard} is {shard.outcome.value}{why}")
    invocation: Json = {
        "executionSuccessful": scan.complete,
        "toolExecutionNotifications": [{"level": "warning", "message": {"text": text.line(one)}} for one in said],
    }
    if scan.started_at and scan.finished_at:
        invocation |= {"startTimeUtc": scan.started_at, "endTimeUtc": scan.finished_at}
    return invocation
