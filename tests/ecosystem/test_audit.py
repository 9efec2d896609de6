"""The audit finds what the advisory database knows, and never takes silence for health."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tests.audit import Outcome, audit

pytestmark = pytest.mark.ecosystem

LOCK = "planted==1.0.0 --hash=sha256:" + "0" * 64 + "\n"


def database(folder: Path, fixed: str) -> Path:
    """An advisory database with one advisory: of the package `planted`, until a version that is fixed."""
    affected = {
        "package": {"ecosystem": "PyPI", "name": "planted"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
    }
    advisory = {
        "schema_version": "1.6.0",
        "id": "PYSEC-0000-1",
        "modified": "2026-01-01T00:00:00Z",
        "summary": "planted",
        "affected": [affected],
    }
    path = folder / "osv-scanner" / "PyPI" / "all.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("PYSEC-0000-1.json", json.dumps(advisory))
    return folder


@pytest.mark.parametrize(("fixed", "outcome"), [("2.0.0", Outcome.FOUND), ("1.0.0", Outcome.CLEAN)])
def test_a_package_with_an_advisory_is_found(tmp_path: Path, fixed: str, outcome: Outcome) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text(LOCK)
    assert audit(database=database(tmp_path / "database", fixed), locks=[lock]) is outcome


def test_without_a_database_nothing_counts_as_audited(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text(LOCK)
    (tmp_path / "empty").mkdir()
    assert audit(database=tmp_path / "empty", locks=[lock]) is Outcome.UNAUDITED
