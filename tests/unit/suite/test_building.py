"""Builds on slow machines. Lost otherwise: all tests on a new machine, where the first ones are ended as they wait for a build."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from tests.building import alone
from tests.cluster.errors import BuildError
from tests.suite.lanes import TESTS

TIMED = """
import threading, time, pathlib, pytest
from tests.building import alone

LOCK = pathlib.Path("lock")
LIMIT = 1

@pytest.fixture
def built():
    with alone(LOCK, "nothing"):
        time.sleep(LIMIT + 0.5)

@pytest.fixture
def waited():
    def other():
        with alone(LOCK, "nothing"):
            begun.set()
            time.sleep(LIMIT + 0.5)
    begun = threading.Event()
    threading.Thread(target=other).start()
    begun.wait()
    with alone(LOCK, "nothing"):
        pass

@pytest.mark.timeout(LIMIT)
def test_that_builds(built):
    pass

@pytest.mark.timeout(LIMIT)
def test_that_waits(waited):
    pass

@pytest.mark.timeout(LIMIT)
def test_that_hangs(built):
    time.sleep(60)
"""


def test_a_build_does_not_count_as_the_time_of_a_test_and_what_follows_does(tmp_path: Path) -> None:
    (tmp_path / "test_timed.py").write_text(TIMED)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_timed.py"]
    ran = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(TESTS.parent)}, capture_output=True, text=True, check=False
    )
    assert re.findall(r"^FAILED \S+::(\w+) - Failed: Timeout", ran.stdout, re.MULTILINE) == ["test_that_hangs"]
    assert "1 failed, 2 passed" in ran.stdout


def test_a_build_that_fails_leaves_the_limit_as_it_was(tmp_path: Path) -> None:
    @alone(tmp_path / "folder" / "lock", "nothing")
    def fail() -> NoReturn:
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
        raise BuildError

    limited = signal.getitimer(signal.ITIMER_REAL) != (0.0, 0.0)
    with pytest.raises(BuildError):
        fail()
    assert (signal.getitimer(signal.ITIMER_REAL) != (0.0, 0.0)) == limited
