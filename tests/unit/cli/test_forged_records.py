"""Records on a claim that somebody else has written: they lead to no other run's files, and break no reader."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from scanplan.cli.output.failure import Failure
from scanplan.cli.result_source import ResultSource
from scanplan.report import scan
from scanplan.runner.artifacts import publish, run_record
from tests.unit.cli import folder
from tests.unit.report import events

DEEP = b'{"x":' + b"[" * 100_000
NO_TEXT = b'{"runId":"\xff"}'


def find(root: Path, scratch: Path, run: str) -> None:
    scratch.mkdir(exist_ok=True)
    with contextlib.ExitStack() as resources:
        ResultSource(scratch, None, root, resources).find(run)


@pytest.mark.parametrize(
    "path",
    [
        "../victim/{task}",
        "{root}/ui_projects/victim/{task}",
        "tasks/../../victim/{task}",
        "./{own}",
        "{own}/",
        "tasks//{digest}",
        "tasks/other",
        "tasks",
        ".",
        "",
        "{own}\x00",
    ],
)
@pytest.mark.parametrize("back", ["", "~0"])
def test_a_runs_record_names_its_own_folders_alone(tmp_path: Path, path: str, back: str) -> None:
    """Lost otherwise: another run's findings, or files outside of the claim, shown as this run's."""
    root = tmp_path / "claim"
    task = folder.tasks(folder.write(root, "victim", [events.event()]))[0].relative_to(root / "ui_projects/victim")
    run = folder.write(root, "ours", [events.event()])
    own = folder.tasks(run)[0].relative_to(run)
    find(root, tmp_path / "scratch", f"ours{back}")
    record = json.loads((run / "run.json").read_bytes())
    record["tasks"][0]["path"] = path.format(task=task, root=root, own=own, digest=own.name)
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(Failure, match="belongs"):
        find(root, tmp_path / "scratch", f"ours{back}")


@pytest.mark.parametrize("content", [DEEP, NO_TEXT, b"", b"[]", b"null", b"{"])
@pytest.mark.parametrize("name", ["run.json", "scan_metadata.json"])
def test_a_record_that_cant_be_read_is_an_error_in_words(tmp_path: Path, name: str, content: bytes) -> None:
    run = folder.write(tmp_path / "claim", "ours", [events.event()])
    path = run / name if name == "run.json" else folder.tasks(run)[0] / name
    path.write_bytes(content)
    with pytest.raises(Failure, match="can't be read"):
        find(tmp_path / "claim", tmp_path / "scratch", "ours")


def test_a_pipe_as_a_runs_record_is_not_waited_for(tmp_path: Path) -> None:
    run = folder.write(tmp_path / "claim", "ours", [events.event()])
    (run / "run.json").unlink()
    os.mkfifo(run / "run.json")
    with pytest.raises(Failure):
        find(tmp_path / "claim", tmp_path / "scratch", "ours")


@pytest.mark.parametrize("content", [DEEP, NO_TEXT, b"{"])
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("run.json", run_record.read),
        ("scan_metadata.json", run_record.metadata),
        ("task.json", run_record.task_record),
        ("attempt-0/shard.json", lambda place: publish.read(place, 0)),
    ],
)
def test_a_record_that_cant_be_read_ends_no_merge(
    tmp_path: Path, name: str, read: Callable[[Path], object], content: bytes
) -> None:
    """Lost otherwise: all merges of a run, by one nested file."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content)
    assert read(tmp_path) is None


@pytest.mark.parametrize("content", [DEEP, NO_TEXT, b"{"])
def test_reports_refuse_a_record_that_cant_be_read(content: bytes) -> None:
    with pytest.raises(ValueError, match="can't be read"):
        scan.read_scan(content)
