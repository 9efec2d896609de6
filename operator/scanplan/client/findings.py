"""A project's finding store: each finding once, with the time and run in which it was first and last seen.

The store is an SQLite file in the project's folder, so it needs no setup. Any number of processes may add to it. The artifacts
stay the source: adding the same findings again only changes when they were last seen.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from scanplan.api import wire
from scanplan.api.v1alpha1.scanplan import RUN_NAME
from scanplan.client.compat import nuclei_integration
from scanplan.client.compat.nuclei_integration import InternalFinding
from scanplan.client.errors import InvalidPayload, QueueUnavailable
from scanplan.client.settings import load_settings

PROJECTS = "projects"
STORE = "findings.sqlite3"
_BUSY_SECONDS = 30.0
_BATCH = 1_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS findings (
    fingerprint TEXT PRIMARY KEY, severity TEXT NOT NULL, first_seen TEXT NOT NULL, last_seen TEXT NOT NULL,
    first_run TEXT NOT NULL, last_run TEXT NOT NULL, finding BLOB NOT NULL
) WITHOUT ROWID
"""
_PAGE = """
SELECT fingerprint, first_seen, last_seen, first_run, last_run, finding FROM findings
WHERE fingerprint > ? ORDER BY fingerprint LIMIT ?
"""
_UPSERT = """
INSERT INTO findings VALUES (?1, ?2, ?3, ?3, ?4, ?4, ?5)
ON CONFLICT (fingerprint) DO UPDATE SET last_seen = MAX(last_seen, ?3), last_run = ?4, severity = ?2, finding = ?5
"""


class StoredFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A finding and its history."""

    finding: InternalFinding
    first_seen: str
    last_seen: str
    """RFC 3339 time in UTC, by the clock of the process that added it."""
    first_run: str
    last_run: str


def append_findings(project_id: str, findings: Iterable[InternalFinding], run_id: str = "") -> int:
    """Add findings to the project's store.

    Args:
        run_id: the run that found them, for first_run and last_run.

    Returns:
        How many were not known before.

    Raises:
        InvalidPayload: a project id that is no name.
        QueueUnavailable: the store is locked for long, or damaged.
    """
    return _append(load_settings().data_directory, project_id, run_id, findings)


def feed(root: Path, project_id: str, run_id: str, artifact: Path) -> int:
    """Add all findings of an NDJSON artifact to the project's store below `root`; returns how many are new."""
    return _append(root, project_id, run_id, nuclei_integration.iterate(artifact))


def stored_findings(project_id: str) -> Iterator[StoredFinding]:
    """The project's findings, by fingerprint. Findings may be added meanwhile: a reader holds up nobody."""
    last = ""
    with _open(load_settings().data_directory, project_id) as store:
        while rows := store.execute(_PAGE, (last, _BATCH)).fetchall():
            for last, first_seen, last_seen, first_run, last_run, finding in rows:  # noqa: B007 - where the next page begins
                yield StoredFinding(
                    finding=wire.decode(finding, InternalFinding),
                    first_seen=first_seen,
                    last_seen=last_seen,
                    first_run=first_run,
                    last_run=last_run,
                )


def project_folder(root: Path, project_id: str) -> Path:
    """The project's folder below the data directory.

    Raises:
        InvalidPayload: a project id that is no name.
    """
    if not re.fullmatch(RUN_NAME, project_id):
        raise InvalidPayload(f"{project_id!r} is not a project id: letters, digits, '-', '_' and '.', no slash")
    return root / PROJECTS / project_id


def _append(root: Path, project_id: str, run_id: str, findings: Iterable[InternalFinding]) -> int:
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    new = 0
    source = iter(findings)
    with _open(root, project_id) as store:
        while batch := list(itertools.islice(source, _BATCH)):
            rows = [
                (finding.fingerprint, finding.severity.value, now, run_id, msgspec.json.encode(finding))
                for finding in batch
            ]
            with store:  # one transaction
                store.execute("BEGIN IMMEDIATE")
                before = _count(store)
                store.executemany(_UPSERT, rows)
                new += _count(store) - before
    return new


def _count(store: sqlite3.Connection) -> int:
    return int(store.execute("SELECT COUNT(*) FROM findings").fetchone()[0])


@contextlib.contextmanager
def _open(root: Path, project_id: str) -> Iterator[sqlite3.Connection]:
    folder = project_folder(root, project_id)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.closing(sqlite3.connect(folder / STORE, timeout=_BUSY_SECONDS)) as store:
            store.execute(_SCHEMA)
            yield store
    except sqlite3.Error as error:
        raise QueueUnavailable(f"the finding store {folder / STORE} can't be used: {error}") from error
