"""A run's findings over time, over HTTP: filtered and sorted on a thread, from the history beside a result."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
from aiohttp import web

from scanplan.api import layout
from scanplan.api.documents.words import Severity
from scanplan.findings import history
from scanplan.findings.exceptions import ScanException
from scanplan.findings.history import Entry
from scanplan.findings.listing import Which, listed
from scanplan.web.artifacts.files import open_below

DEFAULT_LIMIT = 100
MOST = 1_000


def asked(request: web.Request) -> tuple[Which, frozenset[Severity], int]:
    """What a request asks for: states, severities, and how many at most.

    Raises:
        web.HTTPBadRequest: a value that is none of those.
    """
    query = request.query
    try:
        which = Which(query.get("state", Which.OPEN.value))
        names = [name for name in query.get("severity", "").split(",") if name]
        severities = frozenset(map(Severity, names)) or frozenset(Severity)
        limit = int(query.get("limit", DEFAULT_LIMIT))
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"state, severity or limit can't be read: {error}") from None
    if not 0 <= limit <= MOST:
        raise web.HTTPBadRequest(text=f"limit is 0 to {MOST}")
    return which, severities, limit


def answer(
    root: Path,
    folder: PurePosixPath,
    which: Which,
    severities: frozenset[Severity],
    limit: int,
    suppressed: Callable[[Entry], ScanException | None] = lambda _: None,
) -> dict[str, Any]:
    """The findings that were asked for.

    Args:
        suppressed: says which exception a finding falls under now.

    Raises:
        FileNotFoundError: the history is not on this volume.
    """
    with os.fdopen(open_below(root, folder / layout.HISTORY), "rb") as lines:
        items, counts = listed(history.entries(history.bounded(lines)), which, severities, limit)
    now = datetime.now(UTC)
    return {
        "total": counts.total(),
        "by_severity": {severity.value: counts[severity] for severity in Severity if counts[severity]},
        "items": [shown(entry, suppressed(entry), now) for entry in items],
    }


def shown(entry: Entry, suppressed: ScanException | None, now: datetime) -> dict[str, Any]:
    """A finding over time, as the API shows it."""
    item = {**msgspec.structs.asdict(entry), "severity": entry.severity.value, "state": entry.state.value}
    try:
        item["age_days"] = max(0, (now - datetime.fromisoformat(entry.first_seen)).days)
    except (ValueError, TypeError):
        item["age_days"] = None  # somebody else wrote this time
    item["suppressed"] = suppressed and {
        "exception": suppressed.name,
        "status": suppressed.status,
        "reason": suppressed.reason,
        "expires_at": suppressed.expires_at.astimezone(UTC).isoformat(),
    }
    return item
