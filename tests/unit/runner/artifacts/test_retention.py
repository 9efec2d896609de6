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

from scanplan.api.documents import records
from scanplan.api.documents.records import RunRecord, TaskArtifacts
from scanplan.api.errors import TemporaryError
from scanplan.runner import shard
from scanplan.runner.artifacts import durable, removal, retention, run_record
from scanplan.runner.artifacts.retention import Policy, RunOnDisk, TaskOnDisk
from scanplan.runner.nuclei.launch.installation import Installation
from tests.unit.runner.artifacts.merging.test_history import Run
from tests.unit.runner.documents import document, finding

HOUR = 3600.0


def tell(run_id: str, error: OSError) -> None:
    """For runs that must not be told of."""
    pytest.fail(f"{run_id}: {error}")


NOW = 1_800_000_000.0


def run(
    name: str,
    *,
    hours: float | tuple[float, ...],
    size: int = 10,
    project: str = "acme",
    finished: bool | tuple[bool, ...] = True,
) -> RunOnDisk:
    """A run whose tasks changed so many hours ago, in the order in which they were created; each but the first is compared
    with the one before.
    """
    ages = hours if isinstance(hours, tuple) else (hours,)
    states = finished if isinstance(finished, tuple) else (finished,) * len(ages)
    tasks = tuple(
        TaskOnDisk(
            name=f"{name}-{number}",
            bytes=size,
            changed_at=NOW - age * HOUR,
            finished=state,
            compared_with=f"{name}-{number - 1}" if number else "",
        )
        for number, (age, state) in enumerate(zip(ages, states, strict=True))
    )
    return made(name, project, tasks)


def made(name: str, project: str, tasks: tuple[TaskOnDisk, ...]) -> RunOnDisk:
    return RunOnDisk(
        run_id=name,
        project_id=project,
        bytes=sum(task.bytes for task in tasks),
        changed_at=max(task.changed_at for task in tasks),
        tasks=tasks,
    )


def gone(runs: list[RunOnDisk], policy: Policy) -> list[tuple[str, str]]:
    return [
        (removal.task.name if removal.task else removal.run.run_id, removal.because)
        for removal in retention.plan(runs, policy, NOW)
    ]


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
        (Policy(number=3), [("d", "number"), ("c", "number")]),
        (Policy(age_seconds=55 * HOUR), [("d", "age"), ("other", "age")]),
        (Policy(total_bytes=45), [("d", "size"), ("other", "size"), ("c", "size")]),
        (Policy(number=4, age_seconds=65 * HOUR, total_bytes=50), [("d", "age"), ("other", "size")]),
        (
            Policy(number=0, unfinished_seconds=0),
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


DAYS = tuple(24.0 * day for day in (5, 4, 3, 2, 1))
NIGHTS: dict[str, tuple[dict[str, Any], Policy, list[tuple[str, str]]]] = {
    "no limit": ({}, Policy(), []),
    "age": ({}, Policy(age_seconds=60 * HOUR), [("n-0", "age"), ("n-1", "age"), ("n-2", "age")]),
    "number": ({}, Policy(number=2), [("n-0", "number"), ("n-1", "number"), ("n-2", "number")]),
    "size": ({}, Policy(total_bytes=25), [("n-0", "size"), ("n-1", "size"), ("n-2", "size")]),
    "age, then size": ({}, Policy(age_seconds=100 * HOUR, total_bytes=35), [("n-0", "age"), ("n-1", "size")]),
    "a size that not even the last night fits into": ({}, Policy(total_bytes=5), [("n", "size")]),
    "the last night is too old": ({}, Policy(age_seconds=20 * HOUR), [("n", "age")]),
    "one night was never finished": (
        {"finished": (True, False, True, True, True)},
        Policy(number=1),
        [("n-2", "number"), ("n-3", "number")],
    ),
    "and is a week old": (
        {"hours": (10 * 24.0, 9 * 24.0, *DAYS[2:]), "finished": (True, False, True, True, True)},
        Policy(age_seconds=60 * HOUR),
        [("n-1", "age"), ("n-2", "age")],
    ),
    "the last nights were not finished": (
        {"finished": (True, True, True, False, False)},
        Policy(number=1),
        [("n-0", "number"), ("n-1", "number")],
    ),
    "the last night has just ended": (
        {"hours": (*DAYS[:4], 0.5)},
        Policy(number=1),
        [("n-0", "number"), ("n-1", "number"), ("n-2", "number")],
    ),
}


@pytest.mark.parametrize("case", NIGHTS)
def test_the_nights_of_a_schedule_go_one_by_one(case: str) -> None:
    """Lost otherwise: the room of all nights for ever, or the last night's result, which the next is compared with."""
    changes, policy, expected = NIGHTS[case]
    nights: dict[str, Any] = {"hours": DAYS, **changes}
    assert gone([run("n", **nights)], policy) == expected


def test_the_oldest_go_first_whatever_run_they_are_of() -> None:
    runs = [run("n", hours=DAYS), run("once", hours=60.0), run("young", hours=2.0)]
    expected = [("n-0", "size"), ("n-1", "size"), ("n-2", "size"), ("once", "size"), ("n-3", "size")]
    for count in range(len(expected)):
        assert gone(runs, Policy(total_bytes=70 - 10 * count)) == expected[:count]
    assert gone(runs, Policy(total_bytes=15)) == [("once", "size"), ("n", "size")]


def test_what_a_living_task_is_compared_with_stays() -> None:
    """Wrong otherwise: a scan that took days would tell all that it finds as new."""
    slow = run("n", hours=(100.0, 0.2, 50.0, 24.0), finished=(True, False, True, True))
    assert gone([slow], Policy(number=1)) == [("n-2", "number")]


def without(runs: list[RunOnDisk], removals: list[retention.Removal]) -> list[RunOnDisk]:
    """What is left of the runs."""
    names = {removal.task.name if removal.task else removal.run.run_id for removal in removals}
    left = []
    for each in runs:
        tasks = tuple(task for task in each.tasks if task.name not in names)
        if each.run_id not in names:
            left.append(made(each.run_id, each.project_id, tasks))
    return left


@given(
    st.lists(
        st.builds(
            lambda name, ages, **more: run(name, hours=tuple(sorted(ages, reverse=True)), **more),
            st.uuids().map(str),
            st.lists(st.floats(0, 500), min_size=1, max_size=4),
            size=st.integers(0, 100),
            project=st.sampled_from("ab"),
            finished=st.booleans(),
        ),
        max_size=20,
    ),
    st.builds(
        Policy,
        number=st.none() | st.integers(0, 5),
        age_seconds=st.none() | st.floats(0, 400 * HOUR),
        total_bytes=st.none() | st.integers(0, 500),
    ),
)
def test_whatever_the_policy_nothing_alive_goes_and_another_look_finds_no_more(
    runs: list[RunOnDisk], policy: Policy
) -> None:
    removals = retention.plan(runs, policy, NOW)
    for each in removals:
        for task in [each.task] if each.task else each.run.tasks:
            assert NOW - task.changed_at > (HOUR if task.finished else 7 * 24 * HOUR)
    left = without(runs, removals)
    assert all(each.tasks for each in left)
    assert retention.plan(left, policy, NOW) == []
    assert sum(each.bytes for each in runs) - sum(each.bytes for each in left) == sum(each.bytes for each in removals)
    if policy.total_bytes is not None and sum(run.bytes for run in left) > policy.total_bytes:
        assert not any(retention.removable(run, policy, NOW) for run in left)


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
    removals = retention.prune(tmp_path, Policy(age_seconds=50 * HOUR), tell, dry_run=True)
    assert [removal.run.run_id for removal in removals] == ["old"]
    assert removals[0].run.bytes >= 100
    assert old.exists()
    retention.prune(tmp_path, Policy(age_seconds=50 * HOUR), tell)
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
    retention.prune(tmp_path, Policy(age_seconds=HOUR), tell)
    assert not old.exists()
    assert (outside / "file").read_text() == "precious"


def test_an_attempt_that_begins_while_the_pruner_marks_keeps_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = on_disk(tmp_path, "old", age=100 * HOUR)
    look = retention.look

    def second_look(run: Path) -> RunOnDisk | None:
        if (run / retention.MARK).exists():
            (run / "tasks/x/attempt-2").mkdir()
        return look(run)

    monkeypatch.setattr(retention, "look", second_look)
    assert retention.prune(tmp_path, Policy(age_seconds=HOUR), tell) == []
    assert (old / "tasks/x/attempt-2").exists()
    assert not (old / retention.MARK).exists()


def test_an_attempt_that_begins_after_the_pruner_marked_steps_back(tmp_path: Path) -> None:
    for mark in (retention.MARK, f"{retention.MARK}-x"):
        (tmp_path / mark).write_text("x")
        with pytest.raises(TemporaryError):
            retention.refuse_if_marked(tmp_path, "x", time.time())
        retention.refuse_if_marked(tmp_path, "x", time.time() + 2 * HOUR)  # the pruner is long dead
        assert not (tmp_path / mark).exists()
        retention.refuse_if_marked(tmp_path, "x", time.time())


def test_another_task_of_the_run_begins_while_one_is_removed(tmp_path: Path) -> None:
    """Lost otherwise: a retry of tonight's scan, for each old night that is removed meanwhile."""
    (tmp_path / f"{retention.MARK}-x").write_text("x")
    retention.refuse_if_marked(tmp_path, "y", time.time())


def test_a_run_without_a_readable_record_is_left_alone(tmp_path: Path) -> None:
    old = on_disk(tmp_path, "old", age=100 * HOUR)
    (old / "run.json").write_text("{")
    assert run_record.read(old) is None
    assert retention.prune(tmp_path, Policy(age_seconds=HOUR), tell) == []
    assert old.exists()


def test_a_claim_without_runs_is_fine(tmp_path: Path) -> None:
    assert retention.prune(tmp_path, Policy(total_bytes=0), tell) == []


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
    done = retention.prune(tmp_path, Policy(age_seconds=HOUR), told.__setitem__, now=now)
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
        retention.prune(tmp_path, Policy(age_seconds=HOUR), tell, now=time.time() + 100 * HOUR)
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
    assert retention.prune(tmp_path, policy, tell, now=time.time() + 100 * HOUR) == []
    assert honest.exists()
    taken = retention.look(forged)
    assert taken is not None
    assert 1 << 20 <= taken.bytes < 2 << 20


def test_times_in_the_future_keep_no_run(tmp_path: Path) -> None:
    """Lost otherwise: the room of a run whose writer has dated it far ahead, for ever."""
    old = on_disk(tmp_path, "old", age=-1_000_000 * HOUR)
    looked = retention.look(old)
    assert looked is not None
    assert looked.changed_at <= time.time() + 1
    retention.prune(tmp_path, Policy(age_seconds=HOUR), tell, now=time.time() + 2 * HOUR)
    assert not old.exists()


def three_nights(claim: Path) -> Run:
    """A run with three complete results, of three, two and one days ago."""
    (claim / "ui_projects").mkdir(exist_ok=True)
    nights = Run(claim / "ui_projects" / "nightly")
    for number in range(3):
        nights.scan(finding("t"))
        dated(nights.place, (3 - number) * 24 * HOUR)
    return nights


def dated(folder: Path, age: float) -> None:
    """Let all that is in a folder be so old."""
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (time.time() - age, time.time() - age), follow_symlinks=False)


def test_an_old_night_goes_and_the_run_goes_on(tmp_path: Path) -> None:
    nights = three_nights(tmp_path)
    before = retention.look(nights.folder)
    assert before is not None
    assert [task.finished for task in before.tasks] == [True] * 3
    assert [task.compared_with for task in before.tasks[1:]] == [task.name for task in before.tasks[:2]]
    (removal,) = retention.prune(tmp_path, Policy(age_seconds=60 * HOUR), tell)
    assert removal.task == before.tasks[0]
    assert removal.bytes > 1_000
    assert sorted(path.name for path in nights.folder.iterdir()) == ["artifacts", "run.json", "tasks"]
    record = run_record.read(nights.folder)
    assert record is not None
    assert [task.path for task in record.tasks] == [f"tasks/{task.name}" for task in before.tasks[1:]]
    after = retention.look(nights.folder)
    assert after is not None
    assert after.changed_at == before.changed_at
    assert [path.name for path in (tmp_path / "ui_projects").iterdir()] == ["nightly"]
    changed = nights.scan(finding("t"))
    assert (changed.new.total, changed.open.total) == (0, 1)
    assert nights.entries[0].times_seen == 4


def test_a_run_goes_with_its_last_night(tmp_path: Path) -> None:
    nights = three_nights(tmp_path)
    (removal,) = retention.prune(tmp_path, Policy(age_seconds=20 * HOUR), tell)
    assert removal.task is None
    assert not nights.folder.exists()


def test_an_attempt_that_begins_while_the_pruner_marks_keeps_its_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nights = three_nights(tmp_path)
    look, (first, *_) = retention._still_removable, retention.look(nights.folder).tasks  # type: ignore[union-attr]

    def second_look(folder: Path, task: TaskOnDisk | None, policy: Policy, now: float) -> bool:
        assert task == first
        assert (folder / f"{retention.MARK}-{first.name}").exists()
        (folder / "tasks" / first.name / "shards/x/attempt-1").mkdir(parents=True)
        return look(folder, task, policy, now)

    monkeypatch.setattr(retention, "_still_removable", second_look)
    assert retention.prune(tmp_path, Policy(age_seconds=60 * HOUR), tell) == []
    assert (nights.folder / "tasks" / first.name).exists()
    assert not list(nights.folder.glob(f"{retention.MARK}*"))


def test_an_attempt_steps_back_from_its_task_that_is_pruned(tmp_path: Path) -> None:
    task = document()
    run_record.enter(tmp_path, task, 0.0)
    mark = tmp_path / f"{retention.MARK}-{run_record.task_folder(tmp_path, task).name}"
    mark.write_text("x")
    report = shard.run_shard(task, 0, tmp_path, installation=Installation())
    assert report.error is not None
    assert "pruned" in report.error.message


def test_a_task_of_another_run_does_not_go_in_place_of_an_own_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: others' results, by a link that somebody puts in the pruner's way."""
    nights = three_nights(tmp_path)
    other = tmp_path / "other"
    look = retention._still_removable

    def second_look(folder: Path, task: TaskOnDisk | None, policy: Policy, now: float) -> bool:
        found = look(folder, task, policy, now)
        (folder / "tasks").rename(other)
        (folder / "tasks").symlink_to(other)
        return found

    monkeypatch.setattr(retention, "_still_removable", second_look)
    told: dict[str, OSError] = {}
    assert retention.prune(tmp_path, Policy(age_seconds=60 * HOUR), told.__setitem__) == []
    assert list(told) == [nights.folder.name]
    assert len(list(other.iterdir())) == 3
