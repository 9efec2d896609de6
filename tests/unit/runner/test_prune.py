"""Retention must remove what it should, and never a run that somebody still needs."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanplan.api.errors import TemporaryError
from scanplan.runner.artifacts import durable, prune, records, removal, run_record
from scanplan.runner.artifacts.prune import Policy, RunOnDisk
from scanplan.runner.artifacts.records import RunRecord, TaskArtifacts

from .documents import document

HOUR = 3600.0


def tell(run_id: str, error: OSError) -> None:
    """For runs that must not be told of."""
    pytest.fail(f"{run_id}: {error}")


NOW = 1_800_000_000.0


def run(name: str, *, hours: float, size: int = 10, project: str = "acme", finished: bool = True) -> RunOnDisk:
    return RunOnDisk(run_id=name, project_id=project, bytes=size, changed_at=NOW - hours * HOUR, finished=finished)


def gone(runs: list[RunOnDisk], policy: Policy) -> list[tuple[str, str]]:
    return [(removal.run.run_id, removal.because) for removal in prune.plan(runs, policy, NOW)]


RUNS = [
    run("a", hours=2),
    run("b", hours=30),
    run("c", hours=50),
    run("d", hours=70),
    run("other", hours=60, project="globex"),
    run("waiting", hours=90, finished=False),
    run("running", hours=0.2, finished=False),
]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Policy(), []),
        (Policy(runs_per_project=3), [("d", "number"), ("c", "number")]),
        (Policy(age_seconds=55 * HOUR), [("d", "age"), ("other", "age")]),
        (Policy(total_bytes=45), [("d", "size"), ("other", "size"), ("c", "size")]),
        (Policy(runs_per_project=4, age_seconds=65 * HOUR, total_bytes=50), [("d", "age"), ("other", "size")]),
        (
            Policy(runs_per_project=0, unfinished_seconds=0),
            [
                ("waiting", "number"),
                ("d", "number"),
                ("other", "number"),
                ("c", "number"),
                ("b", "number"),
                ("a", "number"),
            ],
        ),
        (Policy(total_bytes=0), [("d", "size"), ("other", "size"), ("c", "size"), ("b", "size"), ("a", "size")]),
    ],
)
def test_limits(policy: Policy, expected: list[tuple[str, str]]) -> None:
    assert gone(RUNS, policy) == expected


@given(
    st.lists(
        st.builds(
            run,
            st.uuids().map(str),
            hours=st.floats(0, 500),
            size=st.integers(0, 100),
            project=st.sampled_from("ab"),
            finished=st.booleans(),
        ),
        max_size=20,
    ),
    st.builds(
        Policy,
        runs_per_project=st.none() | st.integers(0, 5),
        age_seconds=st.none() | st.floats(0, 400 * HOUR),
        total_bytes=st.none() | st.integers(0, 500),
    ),
)
def test_whatever_the_policy_no_living_run_goes_and_another_look_finds_no_more(
    runs: list[RunOnDisk], policy: Policy
) -> None:
    removals = prune.plan(runs, policy, NOW)
    names = {removal.run.run_id for removal in removals}
    assert all(prune.removable(removal.run, policy, NOW) for removal in removals)
    left = [run for run in runs if run.run_id not in names]
    assert prune.plan(left, policy, NOW) == []
    if policy.total_bytes is not None and sum(run.bytes for run in left) > policy.total_bytes:
        assert not any(prune.removable(run, policy, NOW) for run in left)


def on_disk(claim: Path, name: str, *, age: float, complete: bool = True) -> Path:
    folder = claim / "ui_projects" / name
    (folder / "tasks/x").mkdir(parents=True)
    (folder / "tasks/x/nuclei_output.ndjson").write_text("x" * 100)
    task = TaskArtifacts(
        key="k", plan=document().plan, created_at="2026-11-24T00:00:00Z", path="tasks/x", complete=complete
    )
    (folder / "run.json").write_bytes(records.readable(RunRecord(run_id=name, project_id="acme", tasks=(task,))))
    (folder / "artifacts").symlink_to("tasks/x")
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (time.time() - age, time.time() - age), follow_symlinks=False)
    return folder


def test_old_runs_go_and_nothing_else(tmp_path: Path) -> None:
    old, young = on_disk(tmp_path, "old", age=100 * HOUR), on_disk(tmp_path, "young", age=2 * HOUR)
    foreign = tmp_path / "ui_projects" / "foreign"
    foreign.mkdir()
    removals = prune.prune(tmp_path, Policy(age_seconds=50 * HOUR), tell, dry_run=True)
    assert [removal.run.run_id for removal in removals] == ["old"]
    assert removals[0].run.bytes >= 100
    assert old.exists()
    prune.prune(tmp_path, Policy(age_seconds=50 * HOUR), tell)
    assert not old.exists()
    assert sorted(path.name for path in foreign.parent.iterdir()) == [foreign.name, young.name]


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("precious")
    old = on_disk(tmp_path, "old", age=100 * HOUR)
    (old / "tasks/x/link").symlink_to(outside)
    os.utime(old / "tasks/x/link", (0, 0), follow_symlinks=False)
    os.utime(old / "tasks/x", (0, 0))
    (tmp_path / "ui_projects" / "linked").symlink_to(outside)
    prune.prune(tmp_path, Policy(age_seconds=HOUR), tell)
    assert not old.exists()
    assert (outside / "file").read_text() == "precious"


def test_an_attempt_that_begins_while_the_pruner_marks_keeps_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = on_disk(tmp_path, "old", age=100 * HOUR)
    look = prune.look

    def second_look(run: Path) -> RunOnDisk | None:
        if (run / prune.MARK).exists():
            (run / "tasks/x/attempt-2").mkdir()
        return look(run)

    monkeypatch.setattr(prune, "look", second_look)
    assert prune.prune(tmp_path, Policy(age_seconds=HOUR), tell) == []
    assert (old / "tasks/x/attempt-2").exists()
    assert not (old / prune.MARK).exists()


def test_an_attempt_that_begins_after_the_pruner_marked_steps_back(tmp_path: Path) -> None:
    (tmp_path / prune.MARK).write_text("x")
    with pytest.raises(TemporaryError):
        prune.refuse_if_marked(tmp_path, time.time())
    prune.refuse_if_marked(tmp_path, time.time() + 2 * HOUR)  # the pruner is long dead
    assert not (tmp_path / prune.MARK).exists()
    prune.refuse_if_marked(tmp_path, time.time())


def test_a_run_without_a_readable_record_is_left_alone(tmp_path: Path) -> None:
    old = on_disk(tmp_path, "old", age=100 * HOUR)
    (old / "run.json").write_text("{")
    assert run_record.read(old) is None
    assert prune.prune(tmp_path, Policy(age_seconds=HOUR), tell) == []
    assert old.exists()


def test_a_claim_without_runs_is_fine(tmp_path: Path) -> None:
    assert prune.prune(tmp_path, Policy(total_bytes=0), tell) == []


def unreadable(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def scandir(path: str) -> Any:
        if str(path).startswith(f"{run}/tasks"):
            raise OSError(errno.EIO, "the disk is broken", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)


def unremovable(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(path: Path, target: Path) -> Path:
        if path == run:
            raise OSError(errno.EBUSY, "in use", str(path))
        return path.replace(target)

    monkeypatch.setattr(Path, "rename", rename)


def unwritable(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = durable.replace

    def replace(path: Path, content: bytes) -> None:
        if path.parent == run:
            raise PermissionError(errno.EACCES, "not yours", str(path))
        real(path, content)

    monkeypatch.setattr(durable, "replace", replace)


@pytest.mark.parametrize("breaks", [unreadable, unremovable, unwritable])
def test_a_run_that_fails_is_told_and_the_others_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks: Callable[[Path, pytest.MonkeyPatch], None]
) -> None:
    """Lost otherwise: retention of the whole claim, by one run in which somebody has broken something."""
    runs = [on_disk(tmp_path, name, age=100 * HOUR) for name in ("a", "broken", "c")]
    breaks(runs[1], monkeypatch)
    os.utime(runs[1], (0, 0))
    told: dict[str, OSError] = {}
    now = time.time() + 200 * HOUR
    done = prune.prune(tmp_path, Policy(age_seconds=HOUR), told.__setitem__, now=now)
    assert [removal.run.run_id for removal in done] == ["a", "c"]
    assert list(told) == ["broken"]
    assert [run.exists() for run in runs] == [False, True, False]


def nested(run: Path) -> None:
    place = os.open(run, os.O_RDONLY)
    for _ in range(3_000):
        os.mkdir("d" * 10, dir_fd=place)
        inside = os.open("d" * 10, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inside
    os.close(place)


def closed(run: Path) -> None:
    (run / "closed/inside").mkdir(parents=True)
    (run / "closed/inside/file").touch()
    (run / "closed/inside").chmod(0o500)
    (run / "closed").chmod(0)


def odd(run: Path) -> None:
    os.mkfifo(run / "pipe")
    (run / "dangling").symlink_to("nowhere")
    (run / "around").symlink_to(".")
    (run / "a\nname\x1b[2J").mkdir()
    with suppress(OSError):
        Path(os.fsdecode(bytes(run) + b"/\xff\xfe")).touch()


@pytest.mark.parametrize("fill", [nested, closed, odd])
def test_whatever_is_in_a_run_it_goes(tmp_path: Path, fill: Callable[[Path], None]) -> None:
    """Lost otherwise: the room of a run that somebody has made hard to remove."""
    fill(on_disk(tmp_path, "old", age=100 * HOUR))
    try:
        prune.prune(tmp_path, Policy(age_seconds=HOUR), tell, now=time.time() + 100 * HOUR)
        assert not list((tmp_path / "ui_projects").iterdir())
    finally:
        removal.remove(tmp_path / "ui_projects")  # pytest's own way of removing folders fails at deep ones


def test_a_file_with_holes_or_with_many_names_drives_no_other_run_out(tmp_path: Path) -> None:
    """Lost otherwise: all other runs of the claim, once one run seems to be larger than the limit."""
    honest = on_disk(tmp_path, "honest", age=100 * HOUR)
    forged = on_disk(tmp_path, "forged", age=50 * HOUR)
    with (forged / "holes").open("wb") as file:
        file.truncate(1 << 40)
    (forged / "content").write_bytes(bytes(1 << 20))
    for number in range(100):
        (forged / f"name-{number}").hardlink_to(forged / "content")
    policy = Policy(total_bytes=4 << 20)
    assert prune.prune(tmp_path, policy, tell, now=time.time() + 100 * HOUR) == []
    assert honest.exists()
    taken = prune.look(forged)
    assert taken is not None
    assert 1 << 20 <= taken.bytes < 2 << 20


def test_times_in_the_future_keep_no_run(tmp_path: Path) -> None:
    """Lost otherwise: the room of a run whose writer has dated it far ahead, for ever."""
    old = on_disk(tmp_path, "old", age=-1_000_000 * HOUR)
    looked = prune.look(old)
    assert looked is not None
    assert looked.changed_at <= time.time() + 1
    prune.prune(tmp_path, Policy(age_seconds=HOUR), tell, now=time.time() + 2 * HOUR)
    assert not old.exists()
