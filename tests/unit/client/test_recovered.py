"""A task's result, recovered from a claim that several runs write to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scanplan.client import artifacts
from scanplan.runner.artifacts import run_record
from scanplan.runner.artifacts.merging import merge
from scanplan.web.artifacts.files import attachment
from tests.unit.runner.documents import document


@pytest.mark.parametrize(
    "change",
    [
        ("", ""),
        ('"runId": "nightly"', '"runId": "aaa"'),
        ('"runId": "nightly"', '"runId": "nightly\\"; filename=\\"x.exe"'),
        ('"key": "scan:', '"key": "other:'),
        ("nightly", "aaa"),
    ],
)
def test_a_task_is_found_in_its_own_run_alone(tmp_path: Path, change: tuple[str, str]) -> None:
    """Lost otherwise: the true result, by a folder of the task's name in a run that sorts before it."""
    plan = document()
    run = tmp_path / "ui_projects" / plan.run_id
    run.mkdir(parents=True)
    merge.merge(run, plan, partial=True)
    task = run_record.task_folder(run, plan)
    forged = tmp_path / "ui_projects/aaa/tasks" / task.name
    shutil.copytree(task, forged)
    record = forged / "scan_metadata.json"
    record.write_text(record.read_text().replace(*change).replace('"complete": false', '"complete": true'))
    found = artifacts.recovered(tmp_path, f"scan-{task.name}")
    assert found is not None
    assert (found.run_id, found.artifact_path) == (plan.run_id, str(task.relative_to(tmp_path)))
    shutil.rmtree(run)
    assert artifacts.recovered(tmp_path, f"scan-{task.name}") is None


@pytest.mark.parametrize("name", ['a"; filename="x.exe', "a\r\nX: y", "a\\", "ä.csv", "a;b"])
def test_a_files_name_stays_one_parameter(name: str) -> None:
    header = attachment(name)
    assert header.count("filename") - name.count("filename") == 1
    assert "\n" not in header
    assert header.count('"') in {0, 2}
