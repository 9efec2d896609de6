"""What is built once on a machine, however many processes need it."""

from __future__ import annotations

import contextlib
import fcntl
import signal
from collections.abc import Iterator
from pathlib import Path

from tests.console import step


@contextlib.contextmanager
def alone(lock: Path, what: str) -> Iterator[None]:
    """One process builds at a time; another one waits, and then finds the work done.

    A build, or the wait for one, does not count as the time of the test that needs it first: on a slow machine a build takes
    longer than a test may.

    Args:
        lock: the file that they share.
        what: what is built, in a word.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file, _time_limit_suspended():
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step(f"Waiting for another process that builds {what}"):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _time_limit_suspended() -> Iterator[None]:
    """Stop the timer by which pytest-timeout ends tests: https://github.com/pytest-dev/pytest-timeout#timeout-methods."""
    left, interval = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left, interval)
