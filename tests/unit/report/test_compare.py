"""Why two scans may differ although nothing has changed: otherwise people look for a fix that nobody made."""

from __future__ import annotations

from scanplan.report import compare
from tests.unit.report import events


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
