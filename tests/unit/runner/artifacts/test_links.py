"""Links and pipes on a claim: whoever may write to one run must not read another's findings by them, nor hold up a merge."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from scanplan.api import layout
from scanplan.api.documents import records
from scanplan.api.errors import TemporaryError
from scanplan.core.planning import shards
from scanplan.runner.artifacts import divided, durable, publish, retention, run_record
from scanplan.runner.artifacts.merging import merge
from scanplan.runner.collect import collect
from tests.unit.runner.documents import document

FOREIGN = b'{"template-id":"theirs","info":{"severity":"critical"}}\n'


def link(path: Path, foreign: Path) -> None:
    path.symlink_to(foreign)


def relative_link(path: Path, foreign: Path) -> None:
    path.symlink_to(os.path.relpath(foreign, path.parent))


def pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def folder(path: Path, _: Path) -> None:
    path.mkdir()


KINDS = [link, relative_link, pipe, folder]
PLACES = [
    "run.json",
    "tasks/0123/nuclei_output.ndjson",
    "tasks/0123/scan_metadata.json",
    "tasks/0123/shards/4567/attempt-1/nuclei_output.ndjson",
]


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    path = tmp_path / "ui_projects/theirs/tasks/89/nuclei_output.ndjson"
    path.parent.mkdir(parents=True)
    path.write_bytes(FOREIGN)
    return path


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_of_the_run_is_not_read(
    tmp_path: Path, foreign: Path, place: str, kind: Callable[[Path, Path], None]
) -> None:
    path = tmp_path / "ui_projects/ours" / place
    path.parent.mkdir(parents=True)
    kind(path, foreign)
    with pytest.raises(FileNotFoundError):
        durable.open_regular(path)


@pytest.mark.parametrize("part", ["tasks", "tasks/0123", "tasks/0123/shards", "tasks/0123/shards/4567/attempt-1"])
def test_no_folder_below_a_run_may_be_a_link(tmp_path: Path, part: str) -> None:
    theirs = tmp_path / "ui_projects/theirs"
    path = "tasks/0123/shards/4567/attempt-1/nuclei_output.ndjson"
    (theirs / path).parent.mkdir(parents=True)
    (theirs / path).write_bytes(FOREIGN)
    ours = tmp_path / "ui_projects/ours" / part
    ours.parent.mkdir(parents=True)
    ours.symlink_to(theirs / part)
    assert (tmp_path / "ui_projects/ours" / path).read_bytes() == FOREIGN
    with pytest.raises(FileNotFoundError):
        durable.open_regular(tmp_path / "ui_projects/ours" / path)


def test_files_are_read_and_so_are_claims_that_are_reached_by_a_link(tmp_path: Path, foreign: Path) -> None:
    (tmp_path / "claim").symlink_to(tmp_path / "ui_projects")
    assert (
        durable.read_bytes(tmp_path / "claim/theirs" / foreign.relative_to(tmp_path / "ui_projects/theirs")) == FOREIGN
    )


@pytest.mark.parametrize("kind", KINDS)
def test_records_that_are_no_files_are_none(tmp_path: Path, foreign: Path, kind: Callable[[Path, Path], None]) -> None:
    run = tmp_path / "ui_projects/ours"
    attempt = run / "tasks/0123/shards/4567/attempt-1"
    attempt.mkdir(parents=True)
    kind(run / layout.RUN_RECORD, foreign)
    kind(attempt / layout.SHARD_RECORD, foreign)
    assert run_record.read(run) is None
    assert publish.read(attempt.parent, 1) is None


def test_the_pruners_mark_is_written_over_a_link_and_not_through_it(tmp_path: Path, foreign: Path) -> None:
    """Otherwise whoever writes to one run has the pruner destroy another's findings."""
    run = tmp_path / "ui_projects/ours"
    run.mkdir()
    (run / retention.MARK).symlink_to(foreign)
    retention._remove(run, None, retention.Policy(), 0.0)
    assert foreign.read_bytes() == FOREIGN


def enter(run: Path) -> None:
    run_record.enter(run, document(), 0.0)


def collected(run: Path) -> None:
    collect(document(), run)


def merged(run: Path) -> None:
    merge.merge(run, document(), partial=True)


def begun(run: Path) -> None:
    task = document()
    endpoints = shards.cut(task.endpoints, task.shards)[0]
    left = records.begun(task.key, 0, len(endpoints), "2026-11-24T06:00:00Z")
    publish.begin(divided.shard_folder(run, task, endpoints), left).abandon()


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize("write", [enter, collected, merged, begun])
@pytest.mark.parametrize("parts", [1, 2, 3, 4])
def test_nothing_is_written_through_a_link_in_the_way(
    tmp_path: Path, write: Callable[[Path], None], parts: int
) -> None:
    """Otherwise whoever writes to one run has a merge empty another run's findings."""
    task = document()
    ours, theirs = tmp_path / "ui_projects/ours", tmp_path / "ui_projects/theirs"
    shard = divided.shard_folder(theirs, task, shards.cut(task.endpoints, task.shards)[0])
    attempt = publish.folder(shard, 1)
    attempt.mkdir(parents=True)
    for folder in (run_record.task_folder(theirs, task), attempt):
        (folder / layout.FINDINGS).write_bytes(FOREIGN)
        (folder / publish.GROWING).write_bytes(FOREIGN)
    way = Path(*shard.relative_to(theirs).parts[:parts])
    (ours / way).parent.mkdir(parents=True)
    (ours / way).symlink_to(theirs / way)
    before = contents(theirs)
    reached = parts <= 2 if write in (enter, merged) else True
    if reached:
        with pytest.raises(TemporaryError, match=way.name), durable.on_claim():
            write(ours)
    else:
        with durable.on_claim():
            write(ours)
    assert contents(theirs) == before


def test_an_attempt_that_is_a_link_is_none(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs/attempt-1"
    theirs.mkdir(parents=True)
    (theirs / publish.GROWING).write_bytes(FOREIGN)
    shard = tmp_path / "shard"
    shard.mkdir()
    (shard / "attempt-1").symlink_to(theirs)
    attempt = publish.begin(shard, records.begun("k", 0, 1, "2026-11-24T06:00:00Z"))
    attempt.abandon()
    assert attempt.number == 2
    assert contents(theirs) == {publish.GROWING: FOREIGN}


@pytest.mark.parametrize("content", [b'{"x":' + b"[" * 100_000, b'{"runId":"\xff"}', b"null", b""])
def test_records_that_cannot_be_read_are_none(tmp_path: Path, content: bytes) -> None:
    """Otherwise one run's folder ends the pruning of the whole claim, and its own merges."""
    (tmp_path / "attempt-1").mkdir()
    for name in (layout.RUN_RECORD, layout.METADATA, layout.TASK_RECORD, f"attempt-1/{layout.SHARD_RECORD}"):
        (tmp_path / name).write_bytes(content)
    assert run_record.read(tmp_path) is None
    assert run_record.metadata(tmp_path) is None
    assert run_record.task_record(tmp_path) is None
    assert publish.read(tmp_path, 1) is None
