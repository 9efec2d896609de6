"""What is new and what is fixed between two runs: a wrong answer sends people after the wrong things."""

from __future__ import annotations

from scanplan.report import compare
from tests.unit.report import events


def test_new_fixed_and_unchanged_by_what_a_finding_is_not_when_it_was_seen() -> None:
    kept, gone, fresh = (events.event(**{"matched-at": f"https://h/{name}"}) for name in ("kept", "gone", "fresh"))
    grave = events.event(**{"matched-at": "https://h/grave", "info": {"severity": "critical"}})
    seen_again = {**kept, "timestamp": "2027-01-01T00:00:00Z", "response": "another"}
    result = compare.difference(events.read([kept, kept, gone]), events.read([seen_again, fresh, grave, fresh]))
    assert [finding.matched_at for finding in result.new] == ["https://h/grave", "https://h/fresh"]
    assert [finding.matched_at for finding in result.fixed] == ["https://h/gone"]
    assert result.unchanged == 1


def test_scans_that_looked_for_different_things_say_so() -> None:
    before = events.record()
    assert compare.unlike(before, events.record()) == []
    after = events.record(
        templates=["dns/"],
        severityLevels=["high"],
        endpoints=3,
        scanner={"nucleiVersion": "v4", "templatesDigest": "e"},
    )
    said = " ".join(compare.unlike(before, after))
    assert "different templates" in said
    assert "different severities" in said
    assert "different endpoints (2 and 3)" in said
    assert "v3.10.0 found the earlier, v4 the later" in said
