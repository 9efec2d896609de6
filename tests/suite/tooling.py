"""Whether the tests of the cluster tooling are due: in CI, and where what they test has changed since they last passed here."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from tests.suite import history
from tests.suite.lanes import TESTS, TOOLING


def is_due() -> bool:
    """Whether they have to run now."""
    try:
        return bool(os.environ.get("CI")) or _file().read_text() != digest()
    except OSError:
        return True


def passed(tested: str) -> None:
    """Remember that they have passed where the tooling had this digest."""
    _file().parent.mkdir(parents=True, exist_ok=True)
    _file().write_text(tested)


def digest() -> str:
    """SHA-256 of the tooling, and of its tests."""
    found = hashlib.sha256()
    for path in sorted([*(TESTS / "cluster").rglob("*"), TESTS / TOOLING]):
        if path.is_file() and "__pycache__" not in path.parts:
            found.update(f"{path.relative_to(TESTS)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _file() -> Path:
    return history.file().with_name("tooling-tested")
