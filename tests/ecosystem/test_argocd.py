"""Argo CD's view of a plan: the shipped health script, in the Lua interpreter that Argo CD has, over each of its test data."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "examples/gitops/argocd/scanplan.dev/ScanPlan"
CASES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "health_test.yaml").read_text())["tests"]


def test_every_sample_has_a_row() -> None:
    assert {case["inputPath"] for case in CASES} == {f"testdata/{path.name}" for path in FOLDER.glob("testdata/*")}


@pytest.mark.ecosystem
def test_health_of_every_sample() -> None:
    samples = [yaml.safe_load((FOLDER / case["inputPath"]).read_text()) for case in CASES]
    done = subprocess.run(
        ["go", "run", ".", str(FOLDER / "health.lua")],
        cwd=Path(__file__).parent / "lua",
        input="\n".join(map(json.dumps, samples)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [case["healthStatus"] for case in CASES]


def test_the_config_map_has_the_same_script() -> None:
    data = yaml.safe_load((FOLDER.parents[1] / "argocd-cm.yaml").read_text())["data"]
    assert data == {"resource.customizations.health.scanplan.dev_ScanPlan": (FOLDER / "health.lua").read_text()}
