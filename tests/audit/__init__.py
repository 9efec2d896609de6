"""Looks for known vulnerabilities in what the project depends on and ships: `python -m tests.audit`, or `make audit`.

OSV-Scanner reads the locked Python and npm packages, and images that were saved as archives. It compares them with the
advisory database, which it downloads, or which `--database` names where there is no network. Without a database nothing
was audited, and this says so; with `--required` it fails.

The Go modules of the tests' tools are not audited: they run nowhere but in test clusters, and no user gets them.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from tests import golang
from tests.cluster.local import binaries
from tests.ecosystem import programs

ROOT = Path(__file__).parents[2]
SOURCE = binaries.TOOLS / "osv-scanner"
LOCKS = (*sorted(ROOT.glob("requirements/*.txt")), ROOT / "tests/ecosystem/axe/package-lock.json")
FOUND_ONE = 1
"""The scanner's exit code where it has found a vulnerability; every other one than 0 means that it has failed."""


class Outcome(Enum):
    """How an audit came out; the value is this program's exit code."""

    CLEAN = os.EX_OK
    FOUND = 1
    UNAUDITED = os.EX_UNAVAILABLE
    """There is no database to compare with."""
    BROKEN = os.EX_SOFTWARE


def judged(code: int, database: bool) -> Outcome:
    """What an exit code of the scanner means. Without a database, none of them says that something is clean."""
    if code == FOUND_ONE:
        return Outcome.FOUND
    if not database:
        return Outcome.UNAUDITED
    return Outcome.CLEAN if code == 0 else Outcome.BROKEN


def audit(archives: Sequence[Path] = (), database: Path | None = None, locks: Sequence[Path] = LOCKS) -> Outcome:
    """Audit locks and image archives; returns the worst outcome. The scanner prints what it finds.

    Args:
        database: a folder with the advisory database; without one it is downloaded.
    """
    scanner = programs.path(SOURCE, "osv-scanner")
    folder = database or golang.cache().parent / "advisories"
    options = ["--offline-vulnerabilities", *(() if database else ("--download-offline-databases",))]
    files = [option for lock in locks for option in ("--lockfile", f"{_kind(lock)}:{lock}")]
    looks = [["source", *files], *(["image", "--archive", str(archive)] for archive in archives)]
    environment = {**os.environ, "OSV_SCANNER_LOCAL_DB_CACHE_DIRECTORY": str(folder)}
    outcomes = []
    for look in looks:
        code = subprocess.run([scanner, "scan", *look, *options], env=environment, check=False).returncode
        outcomes.append(judged(code, any(folder.rglob("all.zip"))))
    return next(each for each in (Outcome.FOUND, Outcome.BROKEN, Outcome.UNAUDITED, Outcome.CLEAN) if each in outcomes)


def _kind(lock: Path) -> str:
    """The scanner's name for the format of a lock."""
    return "requirements.txt" if lock.suffix == ".txt" else lock.name
