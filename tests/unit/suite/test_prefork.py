"""Processes that tests fork. Lost otherwise: a test of a death or of an exit code that is not the program's own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tests.prefork
from tests.cluster import programs
from tests.kubectl import eventually
from tests.prefork import Prefork, Process

ENVIRONMENT = {"PATH": os.environ["PATH"], "GREETING": "hello"}


@pytest.fixture(scope="module")
def prefork() -> Iterator[Prefork]:
    made = Prefork(["colorsys"])
    yield made
    made.close()


@pytest.fixture
def start(prefork: Prefork, tmp_path: Path) -> Callable[[str], Process]:
    def run(argument: str) -> Process:
        with (tmp_path / "output").open("wb") as output:
            return prefork.start(("tests.unit.suite.forked", argument), ENVIRONMENT, output.fileno())

    return run


@pytest.mark.parametrize("code", [0, 3])
def test_it_has_arguments_environment_and_output_of_its_own(
    start: Callable[[str], Process], tmp_path: Path, code: int
) -> None:
    assert start(str(code)).wait(60) == code
    said, error = (tmp_path / "output").read_text().splitlines()
    assert json.loads(said) == [[str(code)], ENVIRONMENT, True, ""]
    assert error == "this is an error"


def test_it_reads_what_it_is_given(prefork: Prefork, tmp_path: Path) -> None:
    (tmp_path / "input").write_text("two\nlines")
    with (tmp_path / "output").open("wb") as output, (tmp_path / "input").open() as given:
        process = prefork.start(("tests.unit.suite.forked", "0"), ENVIRONMENT, output.fileno(), given=given.fileno())
    assert process.wait(60) == 0
    assert json.loads((tmp_path / "output").read_text().splitlines()[0])[-1] == "two\nlines"


def test_a_run_has_all_that_a_new_interpreter_has(prefork: Prefork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tests.prefork, "operators", lambda: prefork)
    done = tests.prefork.run(("tests.unit.suite.forked", "3"), ENVIRONMENT, given="a line")
    assert (done.returncode, done.stderr) == (3, "this is an error\n")
    assert json.loads(done.stdout) == [["3"], ENVIRONMENT, True, "a line"]


def test_a_run_that_takes_too_long_is_ended(prefork: Prefork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tests.prefork, "operators", lambda: prefork)
    with pytest.raises(subprocess.TimeoutExpired) as raised:
        tests.prefork.run(("tests.unit.suite.forked", "wait"), ENVIRONMENT, patience=0.0)
    eventually(lambda: not programs.lives(int(str(raised.value.cmd).removeprefix("process "))))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_alone(start: Callable[[str], Process], tmp_path: Path, number: signal.Signals) -> None:
    first = start("wait")
    (tmp_path / "output").rename(tmp_path / "output of the first")
    second = start("wait")
    eventually(lambda: "error" in (tmp_path / "output").read_text())
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(0.0)
    os.kill(second.pid, number)
    assert second.wait(60) == -number
    assert first.poll() is None
    first.kill()
    assert first.wait(60) == -signal.SIGKILL
    first.terminate()  # it has ended, and its PID may be another's


def test_many_start_at_once_and_each_end_is_told(prefork: Prefork, tmp_path: Path) -> None:
    with (tmp_path / "output").open("wb") as output:
        made = [
            prefork.start(("tests.unit.suite.forked", str(code)), ENVIRONMENT, output.fileno()) for code in range(8)
        ]
    assert [process.wait(60) for process in made] == list(range(8))
    assert len({process.pid for process in made}) == 8


def test_it_ends_with_the_tests_however_these_end(tmp_path: Path) -> None:
    """Else an operator of tests that were killed goes on for hours, at the API servers of later ones."""
    made = Prefork(["colorsys"])
    with (tmp_path / "output").open("wb") as output:
        started = made.start(("tests.unit.suite.forked", "wait"), ENVIRONMENT, output.fileno())
    eventually(lambda: "error" in (tmp_path / "output").read_text())
    made.close()
    eventually(lambda: not programs.lives(started.pid))
