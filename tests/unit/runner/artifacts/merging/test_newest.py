"""What a pod tells of new findings: the most severe by name, without those that somebody has accepted, within its message."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from scanplan.api.documents.report import TERMINATION_MESSAGE_BYTES, ShardReport
from scanplan.api.documents.words import Outcome, Severity, encode
from scanplan.core.status import findings
from scanplan.findings.exceptions import Handed, Match, ScanException
from scanplan.findings.history import Sighting
from scanplan.runner import report
from scanplan.runner.artifacts.merging.newest import EXAMPLES_BYTES, Newest
from scanplan.runner.artifacts.merging.suppression import Suppression
from tests.unit.core import objects

MOMENT = "2026-11-27T02:00:00Z"


def sighting(severity: str = "high", template: str = "open-admin", host: str = "app.example.com", **more: str) -> bytes:
    found = Sighting(
        identity="0" * 32,
        fingerprint="1" * 32,
        severity=Severity(severity),
        name=more.get("name", "Open admin"),
        template=template,
        matcher="",
        host=host,
        where=more.get("where", f"https://{host}/admin?token=secret#part"),
        target=f"https://{host}",
    )
    return msgspec.json.encode(found)


def newest(*found: tuple[str, bytes], exceptions: tuple[ScanException, ...] = ()) -> Newest:
    handed = Handed(time=datetime(2026, 11, 27, tzinfo=UTC), exceptions=exceptions) if exceptions else None
    result = Newest(Suppression(handed, 1_764_000_000.0), MOMENT)
    for severity, record in found:
        result.take(list(Severity).index(Severity(severity)), record[:-1])
    return result


def test_the_most_severe_are_named_and_all_are_counted() -> None:
    low = [("low", sighting("low", f"low-{number}")) for number in range(30)]
    told = newest(*low, ("critical", sighting("critical", "worst")), ("medium", sighting("medium", "middle"))).told()
    assert (told.counts.low, told.counts.critical, told.counts.medium) == (30, 1, 1)
    assert [each.template for each in told.examples][:3] == ["worst", "middle", "low-0"]
    assert 3 <= len(told.examples) <= 10


def test_a_finding_is_named_without_its_query() -> None:
    (example,) = newest(("high", sighting())).told().examples
    assert example.where == "https://app.example.com/admin"


def test_what_falls_under_an_exception_is_not_told() -> None:
    accepted = ScanException(
        name="known", match=Match(templates=("open-admin",)), expires_at=datetime(2027, 6, 1, tzinfo=UTC)
    )
    told = newest(("high", sighting()), ("high", sighting(template="other")), exceptions=(accepted,)).told()
    assert told.counts.high == 1
    assert [each.template for each in told.examples] == ["other"]


def test_hostile_names_stay_within_the_termination_message() -> None:
    long = {"name": "\x00" * 250, "where": "\u202e" * 2_048}
    told = newest(*(("critical", sighting("critical", "\x01" * 250, **long)) for _ in range(20))).told()
    assert told.counts.critical == 20
    assert len(msgspec.json.encode(told.examples)) <= EXAMPLES_BYTES + 2
    merged = objects.merged()
    history = msgspec.structs.replace(merged.history, told=told) if merged.history else None
    merged = msgspec.structs.replace(merged, history=history, endpoints_remark="€" * 2_000)
    full = ShardReport(shard=0, attempt=1, outcome=Outcome.COMPLETE, merged=merged, warnings=("w" * 200,) * 8)
    assert len(encode(report.fitted(full))) <= TERMINATION_MESSAGE_BYTES
    status = findings.told(merged)
    assert status is None or status.by_severity == {"critical": 20}
