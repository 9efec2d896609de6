"""`make test` itself. Lost otherwise: a folder of tests that no lane runs, or a failure that the summary hides."""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import cluster
from tests.kubectl import eventually
from tests.suite import __main__ as suite
from tests.suite import history, results, tooling
from tests.suite.lanes import APART, LANES, TESTS, TOOLING, elsewhere, folders

JUNIT = """<testsuites><testsuite>
<testcase classname="tests.unit.test_a" name="test_good" time="1.5"/>
<testcase classname="tests.unit.test_a" name="test_bad" time="0.5"><failure/></testcase>
<testcase classname="tests.unit.test_a" name="test_torn_down_badly" time="0.1"/>
<testcase classname="tests.unit.test_a" name="test_torn_down_badly" time="0.2"><error/></testcase>
<testcase classname="tests.unit.test_a" name="test_left_out" time="0"><skipped/></testcase>
</testsuite></testsuites>"""


@pytest.fixture(autouse=True)
def temporary_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Lanes have their temporary folders below the test's own: those that fail on purpose keep theirs."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_every_folder_of_tests_is_in_one_lane() -> None:
    planned = [path for lane in LANES.values() for path in lane if not path.endswith(".py")]
    assert sorted(planned) == sorted(folders() - set(APART))


def test_every_file_that_a_lane_names_is_there_and_run_by_it() -> None:
    named = {path for lane in LANES.values() for path in lane if path.endswith(".py")}
    assert [path for path in named if not (TESTS / path).is_file()] == []
    left_out = {path for lane in LANES for path in elsewhere(lane)}
    assert left_out <= named
    assert not any(set(elsewhere(lane)) & set(paths) for lane, paths in LANES.items())


def test_unit_tests_lie_where_their_module_does() -> None:
    """A test file with the name of a module or package lies in the folder of that module."""
    unit, product = TESTS / "unit", TESTS.parent / "operator/scanplan"
    strays = []
    for file in unit.rglob("test_*.py"):
        place, name = file.relative_to(unit).parent, file.stem.removeprefix("test_")
        part = product / place.parts[0] if place.parts else product
        if not part.is_dir():
            continue  # a part of the tests, such as docs or suite
        namesakes = {path.parent.relative_to(product) for path in part.rglob("*") if path.stem == name}
        if not (product / place).is_dir() or (namesakes and place not in namesakes):
            strays.append(file.name)
    assert strays == []


def test_results_count_each_test_once(tmp_path: Path) -> None:
    file = tmp_path / "lane.xml"
    file.write_text(JUNIT)
    found = results.read(file)
    assert (found.passed, found.failed, found.skipped) == (1, 2, 1)
    assert results.slowest([found], 1) == [("tests/unit/test_a::test_good", 1.5)]


@pytest.mark.parametrize("content", [None, "", "<testsuites>"])
def test_a_lane_that_died_has_no_results(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "lane.xml"
    if content is not None:
        file.write_text(content)
    assert results.read(file) == results.Results()


def test_a_lane_that_died_has_not_the_results_of_the_run_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suite, "OUTPUT", tmp_path)
    (tmp_path / "chart.xml").write_text(JUNIT)
    lane = suite.start("chart", [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    lane.process.wait()
    assert suite.report([lane]) == 1
    assert capsys.readouterr().out.endswith("\n0 passed, 0 failed, 0 skipped\n")


def test_an_unknown_lane_is_an_error_that_names_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert suite.main(["nodes"]) == 2
    assert f"no such lane: nodes; there are {', '.join(LANES)}" in capsys.readouterr().err


@pytest.mark.parametrize(("seconds", "text"), [(3.2, "3 s"), (185, "3 min 05 s")])
def test_times_are_for_people(seconds: float, text: str) -> None:
    assert suite.minutes(seconds) == text


def test_the_tooling_is_tested_where_it_has_changed_and_in_ci(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    assert f"tests/{TOOLING}" in suite.tests_of("clusters", [])
    tooling.passed(tooling.digest())
    assert f"tests/{TOOLING}" not in suite.tests_of("clusters", [])
    monkeypatch.setattr(tooling, "digest", lambda: "of a change")
    assert f"tests/{TOOLING}" in suite.tests_of("clusters", [])
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CI", "true")
    assert f"tests/{TOOLING}" in suite.tests_of("clusters", [])


WAITING = """
import pathlib, time, pytest

@pytest.fixture
def cluster():
    yield
    pathlib.Path("ended").touch()

def test_waiting(cluster):
    pathlib.Path("begun").touch()
    time.sleep(600)
"""


def test_a_lane_that_is_ended_ends_what_it_has_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lost otherwise: gigabytes of memory, to clusters of each run that somebody stops."""
    (tmp_path / "test_waiting.py").write_text(WAITING)
    monkeypatch.setattr(suite, "OUTPUT", tmp_path)
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(TESTS.parent))
    lane = suite.start("chart", [sys.executable, "-m", "pytest", "-p", "tests.suite.interruption", "test_waiting.py"])
    eventually((tmp_path / "begun").exists)
    suite.end([lane])
    assert (tmp_path / "ended").exists(), lane.log.read_text()
    assert lane.process.returncode == pytest.ExitCode.INTERRUPTED
    assert not lane.temporary.exists()
    assert capsys.readouterr().out == "Ending chart, and their clusters\n"


def test_a_lane_that_does_not_end_in_time_leaves_no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Lost otherwise: the same, where a lane waits for something that takes longer."""
    down: list[str] = []
    monkeypatch.setattr(suite, "OUTPUT", tmp_path)
    monkeypatch.setattr(suite, "ENDING_SECONDS", 0.0)
    lane = suite.start("chart", [sys.executable, "-c", "import signal; signal.sigwait([signal.SIGINT])"])
    names = [f"tests-{lane.process.pid}", f"second-{lane.process.pid}", f"tests-{lane.process.pid}0", "dev"]
    found = [SimpleNamespace(name=name, down=partial(down.append, name)) for name in names]
    monkeypatch.setattr(cluster, "clusters", lambda: found)
    suite.end([lane])
    assert down == names[:2]
    down.clear()
    suite.end([lane])
    assert down == [], "it has ended by itself"


@pytest.mark.parametrize(
    ("code", "expected"), [(0, ["lint", "programs", "local", "chart"]), (1, ["lint", "programs", "local"])]
)
def test_lanes_wait_for_their_programs_and_are_not_run_without(
    code: int, expected: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = tmp_path / "local begun"
    until_local_has_begun = (
        f"import pathlib, sys, time\nwhile not pathlib.Path({str(begun)!r}).exists(): time.sleep(0.01)\n"
    )
    commands = {
        "lint": "pass",
        "programs": f"{until_local_has_begun}sys.exit({code})",
        "local": f"import pathlib; pathlib.Path({str(begun)!r}).touch()",
        "chart": "pass",
    }
    of = {name: [sys.executable, "-c", command] for name, command in commands.items()}
    monkeypatch.setattr(suite, "OUTPUT", tmp_path)
    monkeypatch.setattr(suite, "WITHOUT_TESTS", {name: of[name] for name in suite.WITHOUT_TESTS})
    monkeypatch.setattr(suite, "tests_of", lambda name, _: of[name])
    lanes = [suite.start(name, of[name]) for name in suite.WITHOUT_TESTS]
    suite.run(["chart", "local"], [], lanes)
    assert [lane.name for lane in lanes] == expected
    assert suite.report(lanes) == (1 if code else suite.NO_TESTS)
    assert ("===== programs: exit code 1 =====" in capsys.readouterr().out) == bool(code)


@pytest.mark.parametrize("code", [0, 1])
def test_what_is_left_by_a_killed_program_stays_only_if_its_lane_failed(
    code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lost otherwise: space on the disk, to hundreds of files a run; and keys of clusters, which some of them hold."""
    monkeypatch.setattr(suite, "OUTPUT", tmp_path)
    begun = [suite.start(name, [sys.executable, "-c", "pass"]) for name in suite.WITHOUT_TESTS]
    killed = f"import os, sys, tempfile; os.close(tempfile.mkstemp()[0]); sys.exit({code})"
    monkeypatch.setattr(suite, "tests_of", lambda *_: [sys.executable, "-c", killed])
    suite.run(["chart"], [], begun)
    assert [lane.name for lane in begun if lane.temporary.exists()] == ["chart"] * code
    assert suite.report(begun) == (1 if code else suite.NO_TESTS)
    assert ("Its temporary files are in" in capsys.readouterr().out) == bool(code)


def test_only_a_whole_run_says_how_long_all_takes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    ended: Any = SimpleNamespace(returncode=0)
    lanes = [suite.Lane("chart", ended, 0.0, tmp_path, 61.0)]
    suite.remember(lanes, None, "")
    assert history.read() == {"chart": 61.0}
    suite.remember(lanes, 90.0, "")
    assert history.read() == {"chart": 61.0, suite.ALL: 90.0}
    ended.returncode = 1
    suite.remember(lanes, 10.0, "")
    assert history.read() == {"chart": 61.0, suite.ALL: 90.0}, "a run that failed says nothing of it"
