"""The examples for pipelines: each command in them is one of ours, and their gates come last."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from scanplan.cli.main import app

FOLDER = Path(__file__).parents[3] / "examples/pipelines"
FILES = sorted(FOLDER.glob("*.yml"))


def scripts(part: Any) -> list[str]:
    """The lines that a pipeline runs, in their order."""
    if isinstance(part, dict):
        return [line for name, each in part.items() for line in (_lines(each) if name in _RUN else scripts(each))]
    return [line for each in part for line in scripts(each)] if isinstance(part, list) else []


_RUN = {"run", "script", "before_script"}


def _lines(each: Any) -> list[str]:
    return [line for text in ([each] if isinstance(each, str) else each) for line in text.splitlines()]


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def commands(request: pytest.FixtureRequest) -> list[list[str]]:
    lines = scripts(yaml.safe_load(request.param.read_text()))
    return [shlex.split(line)[1:] for line in lines if line.startswith("scanplan ")]


def test_every_command_and_option_is_there(commands: list[list[str]]) -> None:
    """Lost otherwise: a first pipeline that ends with a usage error."""
    assert len(commands) == 3
    for command in commands:
        words = CliRunner().invoke(app, [command[0], "-h"], env={"COLUMNS": "200"}).stdout
        options = {word for word in command if re.fullmatch(r"--?[a-z-]+", word)}
        assert {option for option in options if not re.search(rf"(?<!\S){option}\b", words)} == set()


def test_the_gate_comes_last_and_goes_by_exceptions(commands: list[list[str]]) -> None:
    """Lost otherwise: alerts or a report that are missing just where there is something to see."""
    assert [command[0] for command in commands] == ["rerun", "results", "results"]
    assert commands[-1][-2:] == ["--fail-on", "high"]
    assert not [command for command in commands[:-1] if "--fail-on" in command]
    assert all("--exceptions" in command for command in commands[1:])


def test_no_secret_is_an_argument() -> None:
    """A process list shows arguments to everybody on the runner."""
    for file in FILES:
        for line in scripts(yaml.safe_load(file.read_text())):
            assert "secrets." not in line
            assert "KUBECONFIG_CONTENT" not in line or line.startswith("printenv ")
