"""Entries of histories for tests of the findings view."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from scanplan.api.documents.words import Severity
from scanplan.findings.history import Entry, State
from scanplan.web.findings.index import Index

MOST = 64 << 20


def entry(number: int = 1, **changes: Any) -> Entry:
    """A finding whose identity is made of a number."""
    members: dict[str, Any] = {
        "identity": f"{number:032x}",
        "fingerprint": hashlib.sha256(str(number).encode()).hexdigest(),
        "severity": Severity.HIGH,
        "name": "Exposed Git configuration",
        "template": "git-config",
        "matcher": "",
        "host": "a.example",
        "where": f"https://a.example/{number}",
        "target": "https://a.example",
        "state": State.OPEN,
        "first_seen": "2026-11-01T06:00:00.000Z",
        "last_seen": "2026-11-20T06:00:00.000Z",
    }
    return Entry(**members | changes)


def index(entries: Iterable[Entry], most_bytes: int = MOST) -> Index:
    """An index of one run's findings."""
    return Index([(each, 0) for each in sorted(entries, key=lambda each: each.identity)], most_bytes)
