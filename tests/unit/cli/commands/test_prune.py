"""`scanplan prune`: what it says of what went."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scanplan.cli.main import app
from tests.unit.cli import folder
from tests.unit.report import events

DAY = 86_400.0


@pytest.fixture
def nights(tmp_path: Path) -> list[Path]:
    """The folders of two results of one run, of two days ago and of one."""
    found = folder.tasks(folder.write(tmp_path, "nightly", [events.event()], [events.event()]))
    for number, task in enumerate(found):
        then = time.time() - (2 - number) * DAY
        for path in (*task.iterdir(), task):
            os.utime(path, (then, then))
    return found


@pytest.mark.parametrize(("age", "whole"), [("36h", False), ("12h", True)])
def test_a_scan_of_a_run_is_told_apart_from_a_run(nights: list[Path], tmp_path: Path, age: str, *, whole: bool) -> None:
    def prune(*options: str) -> str:
        answer = CliRunner().invoke(app, ["prune", str(tmp_path), "--max-age", age, *options], catch_exceptions=False)
        assert answer.exit_code == 0
        return answer.output

    (told,) = prune("--dry-run", "--json").splitlines()
    task = "" if whole else nights[0].name
    size = json.loads(told)["bytes"]
    assert json.loads(told) == {
        "runId": "nightly",
        "task": task,
        "projectId": "acme",
        "bytes": size,
        "because": "age",
        "dryRun": True,
    }
    first, last = prune().splitlines()
    assert first == f"removed nightly{'' if whole else f'/tasks/{task}'} of acme ({size:,} bytes; by age)"
    assert last == f"{int(whole)} runs, {int(not whole)} scans of other runs, {size:,} bytes"
    assert [night.exists() for night in nights] == [False, not whole]
