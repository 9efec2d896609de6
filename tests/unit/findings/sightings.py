"""Sightings and records that the tests of histories are about."""

from __future__ import annotations

from typing import Any

from scanplan.api.documents.words import Severity
from scanplan.findings import history
from scanplan.findings.history import Sighting


def sighting(number: int = 1, **changes: Any) -> Sighting:
    """A sighting whose identity is made of a number."""
    members: dict[str, Any] = {
        "identity": f"{number:032x}",
        "fingerprint": f"{number:032x}",
        "severity": Severity.HIGH,
        "name": "A name",
        "template": "t",
        "matcher": "",
        "host": "a.example",
        "where": "http://a.example/x",
        "target": "http://a.example",
    }
    return Sighting(**members | changes)


def records(*sightings: Sighting) -> list[bytes]:
    """Sorted records of a scan."""
    return sorted(map(history.record, sightings))
