"""What the exit codes of the scanner of vulnerabilities are taken for."""

from __future__ import annotations

import pytest

from tests.audit import LOCKS, Outcome, judged


@pytest.mark.parametrize(
    ("code", "database", "outcome"),
    [
        (0, True, Outcome.CLEAN),
        (1, True, Outcome.FOUND),
        (1, False, Outcome.FOUND),
        (0, False, Outcome.UNAUDITED),
        (127, False, Outcome.UNAUDITED),
        (127, True, Outcome.BROKEN),
        (128, True, Outcome.BROKEN),
        (-9, True, Outcome.BROKEN),
    ],
)
def test_silence_is_never_taken_for_health(code: int, database: bool, outcome: Outcome) -> None:
    assert judged(code, database) is outcome


def test_all_locks_of_packages_are_audited() -> None:
    assert {lock.name for lock in LOCKS} >= {"operator.txt", "worker.txt", "runner.txt", "package-lock.json"}
    assert all(lock.exists() for lock in LOCKS)
