"""`scanplan schedule …` as people type it, against a real API server with an operator at work; and what a suspension does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.blocks import ROOT, blocks
from tests.integration import command
from tests.integration.scene import Scene, condition
from tests.integration.test_schedules import get, manifest, observed, runs
from tests.kubectl import eventually

pytestmark = pytest.mark.integration


def scanplan(scene: Scene, *words: str, code: int = 0) -> str:
    """What a command for schedules prints, which must end with `code`."""
    return command.scanplan(scene, "schedule", *words, code=code)


def as_json(scene: Scene, *words: str) -> Any:
    return json.loads(scanplan(scene, *words, "--output", "json"))


def test_a_schedule_is_paused_triggered_resumed_and_its_runs_are_listed(scene: Scene) -> None:
    """Lost otherwise: a way to stop a schedule, and to start a scan now, for whoever doesn't write YAML."""
    assert "no schedules" in scanplan(scene, "list")
    scene.kubectl.apply(manifest(schedule="0 2 1 1 *"))
    observed(scene)
    assert "paused" in scanplan(scene, "pause", "minutely")
    assert condition(observed(scene), "Ready")["reason"] == "Suspended"
    assert as_json(scene, "list")["items"][0]["spec"]["suspend"] is True
    assert "minutely has no runs" in scanplan(scene, "history", "minutely")
    assert as_json(scene, "trigger", "minutely", "--token", "release-1")["spec"]["trigger"] == "release-1"
    eventually(lambda: runs(scene))
    scanplan(scene, "trigger", "minutely", "--token", "release-1")
    (run,) = as_json(scene, "history", "minutely")["items"]
    status = scene.complete(run["metadata"]["name"])
    scene.eventually(lambda: "lastRun" in get(scene)["status"])
    listed = scanplan(scene, "history", "minutely")
    assert run["metadata"]["name"] in listed
    assert f"Completed - triggered {status['findings']['total']}" in " ".join(listed.split())
    assert as_json(scene, "resume", "minutely")["spec"]["suspend"] is False
    assert observed(scene)["nextScheduleTime"].endswith("-01-01T02:00:00Z")
    assert "minutely 0 2 1 1 * Etc/UTC false" in " ".join(scanplan(scene, "list").split())
    assert len(runs(scene)) == 1
    for name in ("trigger", "pause", "resume", "history"):
        assert "absent" in scanplan(scene, name, "absent", code=66)


def test_nothing_starts_while_a_schedule_is_suspended_nor_when_that_ends(scene: Scene) -> None:
    """Lost otherwise: a quiet weekend, and a quiet Monday morning."""
    scene.kubectl.apply(manifest(suspend=True))
    observed(scene)
    minute = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    while datetime.now(UTC) < minute + timedelta(seconds=3):
        time.sleep(1)
    scanplan(scene, "resume", "minutely")
    status = observed(scene)
    assert datetime.fromisoformat(status["nextScheduleTime"]) > minute
    assert (status["missed"], runs(scene)) == (0, [])
    scanplan(scene, "pause", "minutely")
    observed(scene)


def test_the_commands_of_the_page(scene: Scene, tmp_path: Path) -> None:
    """Lost otherwise: the first quarter of an hour of whoever follows the page."""
    configuration = yaml.safe_load(scene.kubectl.kubeconfig.read_text())
    for context in configuration["contexts"]:
        context["context"]["namespace"] = scene.namespace
    path = tmp_path / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(configuration))
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    said = ""
    for block in blocks("docs/how-to/schedules.md"):
        for line in block.commands() if block.run_by else ():
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", line], text=True, capture_output=True, cwd=ROOT,
                env={**os.environ, "KUBECONFIG": str(path), "PATH": programs, "COLUMNS": "120"}, check=True,
            )  # fmt: skip
            said += done.stdout + done.stderr
            observed(scene, "nightly")
    assert "0 2 * * *   Europe/Berlin" in said
    assert "nightly: resumed" in said
    eventually(lambda: runs(scene))
    assert get(scene, "nightly")["spec"]["suspend"] is False
