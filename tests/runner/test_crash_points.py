"""A crash at every single step on the claim: whatever step it was, the next attempt makes the result whole.

The runner runs in a forked process that kills itself right before its n-th operation on the claim (every open, link,
rename, mkdir, removal; Python reports them as audit events), for every n until it comes through.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from scanplan.api import layout
from scanplan.api.documents.report import HistoryCounts
from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import Outcome
from scanplan.findings import history
from scanplan.findings.history import State
from scanplan.runner.artifacts import publish
from scanplan.runner.artifacts.merging import history as artifacts_history
from scanplan.runner.artifacts.merging import sightings
from scanplan.runner.collect import collect
from scanplan.runner.nuclei.launch.installation import Installation
from scanplan.runner.shard import run_shard
from tests.unit.runner.artifacts.merging.test_history import TWO, Run
from tests.unit.runner.documents import finding

from .conftest import Bench, identity

MOST_STEPS = 500
RAN = ("t", "gone", "back", "more")


def crash_before_step(step: int, claim: Path) -> None:
    """Arrange for SIGKILL right before this process' n-th operation below `claim`."""
    left = step

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event.startswith(("open", "os.")) and (
            any(str(claim) in str(argument) for argument in arguments[:2]) or in_an_open_folder(event, arguments)
        ):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def in_an_open_folder(event: str, arguments: tuple[object, ...]) -> bool:
    """Whether this changes something by a bare name, in a folder that is held open."""
    if not isinstance(name := arguments[0], str) or "/" in name or not name:
        return False
    if event == "open":
        return isinstance(flags := arguments[2], int) and bool(flags & os.O_CREAT)
    return event in ("os.mkdir", "os.link", "os.rename")


def attempt_in_a_fork(bench: Bench, step: int, how: str) -> bool:
    """Scan or collect, killed before the step; True where it came through."""
    installation = Installation.from_environment(bench.variables(0))
    child = os.fork()
    if child == 0:
        try:
            crash_before_step(step, bench.run.parent)
            if how == "collect":
                collect(bench.document, bench.run)
            else:
                run_shard(bench.document, 0, bench.run, installation=installation)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return not os.WIFSIGNALED(status)


@pytest.mark.skipif("NUCLEI_BIN" in os.environ, reason="what crashes here is the runner, and the real Nuclei is slower")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pytest's plugins may have threads; the child starts none
@pytest.mark.parametrize("start", ["new", "many findings", "after a kill", "collector"])
def test_a_crash_before_any_step_is_made_good(bench: Bench, start: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if start == "many findings":
        leave_sightings(monkeypatch)
    bench.options = {"templates": ("http/exposures/", "http/technologies/")}
    folder = bench.folder
    expected: Counter[tuple[str, ...]] | None = None
    for step in range(1, MOST_STEPS):
        bench.run = folder / f"claim-{step}" / "ui_projects" / "nightly"
        if start in ("after a kill", "collector"):
            leave_a_killed_attempt(bench)
        came_through = attempt_in_a_fork(bench, step, "collect" if start == "collector" else "scan")
        if not came_through:
            check_what_is_visible(bench)
        report = run_shard(bench.document, 0, bench.run, installation=Installation.from_environment(bench.variables(0)))
        assert report.error is None, f"step {step}: {report.error}"
        assert report.outcome is Outcome.COMPLETE
        assert report.merged is not None
        assert report.merged.complete
        found = Counter(identity(finding) for finding in bench.findings())
        expected = expected or found
        assert found == expected, f"step {step}"
        lives = history_of(bench)
        assert set(lives) == {(State.NEW, 1)}, f"step {step}"
        assert len(lives) <= len(found)
        for record in publish.published(bench.shard_folder()):
            assert publish.intact(bench.shard_folder(), record), f"step {step}"
        if came_through:
            assert step > 10
            return
    raise AssertionError("it never came through")


def leave_sightings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have attempts leave their sightings, and merges read them, as with very many findings."""
    monkeypatch.setattr(sightings, "LEAST", -1)
    monkeypatch.setattr(artifacts_history, "READ_ALL", -1)


def history_of(bench: Bench) -> list[tuple[State, int]]:
    """State and count of scans of each finding in the merged history."""
    with (bench.merged / layout.HISTORY).open("rb") as lines:
        return [(entry.state, entry.times_seen) for entry in history.entries(lines)]


def leave_a_killed_attempt(bench: Bench) -> None:
    """An attempt that had found something real, and half a line more."""
    first = run_shard(bench.document, 0, bench.run, installation=Installation.from_environment(bench.variables(0)))
    assert first.error is None
    place = bench.shard_folder() / "attempt-1"
    lines = (place / layout.FINDINGS).read_bytes().splitlines(keepends=True)
    for path in (place / layout.FINDINGS, place / layout.SHARD_RECORD, bench.merged / layout.METADATA):
        path.unlink()
    for name in (layout.FINDINGS, layout.HISTORY):
        (bench.merged / name).unlink()
    (place / publish.GROWING).write_bytes(b"".join(lines[:2]) + lines[2][:30])


def check_what_is_visible(bench: Bench) -> None:
    """Nothing half written is under its final name."""
    for path in bench.run.rglob("*.json"):
        if not path.name.startswith("."):
            json.loads(path.read_bytes())
    for path in (*bench.run.rglob(layout.FINDINGS), *bench.run.rglob(layout.HISTORY)):
        content = path.read_bytes()
        assert content == b"" or content.endswith(b"\n")
        for line in content.splitlines():
            json.loads(line)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("findings", ["few findings", "many findings"])
@pytest.mark.parametrize("whole", ["all shards", "a shard is missing"])
def test_a_merge_that_resolves_is_the_same_after_any_kill(
    tmp_path: Path, findings: str, whole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: when a finding was resolved or came back, told anew by each collector that repeats a merge."""
    if findings == "many findings":
        leave_sightings(monkeypatch)
    run = Run(tmp_path / "run", TWO, 2)
    two_scans(run)
    run.begin()
    run.publish(0, finding("t"), finding("back"), finding("more"), ran=RAN)
    if whole == "all shards":
        run.publish(1, ran=RAN)
    expected: tuple[bytes, HistoryCounts | None] | None = None
    for step in range(MOST_STEPS):  # 0: it comes through at once
        claim = tmp_path / f"claim-{step}"
        shutil.copytree(run.folder, claim, symlinks=True)
        came_through = killed_collector(run.task, claim, step)
        report = collect(run.task, claim)
        assert report.merged is not None
        content = (claim / run.place.relative_to(run.folder) / layout.HISTORY).read_bytes()
        expected = expected or (content, report.merged.history)
        assert (content, report.merged.history) == expected, f"step {step}"
        if step and came_through:
            states = {entry.template: entry.state.value for entry in history.entries(content.splitlines())}
            gone = "resolved" if whole == "all shards" else "open"
            assert states == {"t": "open", "back": "reopened", "more": "new", "gone": gone}
            return
    raise AssertionError("it never came through")


def two_scans(run: Run) -> None:
    """A run with a finding that stays, one that is resolved, and one that will be gone."""
    for first in (True, False):
        run.begin()
        seen = ["t", "gone", "back"] if first else ["t", "gone"]
        run.publish(0, *map(finding, seen), ran=RAN)
        run.publish(1, ran=RAN)
        run.merge()


def killed_collector(task: TaskDocument, claim: Path, step: int) -> bool:
    """Collect, killed before the step; True where it came through."""
    child = os.fork()
    if child == 0:
        try:
            crash_before_step(step, claim)
            collect(task, claim)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return not os.WIFSIGNALED(status)
