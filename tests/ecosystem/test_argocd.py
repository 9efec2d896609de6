"""Argo CD's view of our kinds: the shipped health scripts, in Argo CD's Lua interpreter, over their test data."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

EXAMPLES = Path(__file__).parents[2] / "examples/gitops/argocd"
FOLDERS = [EXAMPLES / "scanplan.dev" / kind for kind in ("ScanPlan", "ScanSchedule", "ScanException", "ScanNotifier")]
of_each_kind = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def cases(folder: Path) -> list[dict[str, Any]]:
    tests: list[dict[str, Any]] = yaml.safe_load((folder / "health_test.yaml").read_text())["tests"]
    return tests


@of_each_kind
def test_every_sample_has_a_row(folder: Path) -> None:
    assert {case["inputPath"] for case in cases(folder)} == {
        f"testdata/{path.name}" for path in folder.glob("testdata/*")
    }


@pytest.mark.ecosystem
@of_each_kind
def test_health_of_every_sample(folder: Path) -> None:
    samples = [yaml.safe_load((folder / case["inputPath"]).read_text()) for case in cases(folder)]
    done = subprocess.run(
        ["go", "run", ".", str(folder / "health.lua")],
        cwd=Path(__file__).parent / "lua",
        input="\n".join(map(json.dumps, samples)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [case["healthStatus"] for case in cases(folder)]


def test_the_config_map_has_the_same_scripts() -> None:
    data = yaml.safe_load((EXAMPLES / "argocd-cm.yaml").read_text())["data"]
    assert data == {
        f"resource.customizations.health.scanplan.dev_{folder.name}": (folder / "health.lua").read_text()
        for folder in FOLDERS
    }
