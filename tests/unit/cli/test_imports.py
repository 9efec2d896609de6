"""What a command imports: people wait for it each time."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import scanplan.client
from scanplan.cli.main import app
from scanplan.cli.output.lazy import HEADINGS

NAMES = " ".join(HEADINGS.values()).split()
MODULES = "import sys; from scanplan.cli.main import app\ntry: app(sys.argv[1:])\nfinally: print(*sys.modules)"
OF_OTHERS = {
    "kopf",
    "redis",
    "rq",
    "fastapi",
    "starlette",
    "uvicorn",
    "jinja2",
    "pydantic_settings",
    "aiohttp",
    "scanplan.runner.scan",
}


def modules(*arguments: str) -> set[str]:
    """All that a command has imported when it fails, for want of a cluster."""
    done = subprocess.run(
        [sys.executable, "-c", MODULES, *arguments, "--kubeconfig", "/nonexistent"],
        capture_output=True,
        text=True,
        check=False,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("command", [("get",), ("cancel", "x"), ("rerun", "x"), ("schedule", "list")])
def test_a_quick_command_imports_nothing_of_other_programs(command: tuple[str, ...]) -> None:
    """They would take half of the time that `scanplan get` takes."""
    imported = modules(*command)
    assert "scanplan.cli.commands." + command[0] in imported
    assert not imported & OF_OTHERS
    others = {f"scanplan.cli.commands.{name}" for name in NAMES if name not in {command[0], "get", "watch"}}
    assert not imported & others


def test_get_imports_few_modules_of_ours() -> None:
    assert sum(name.startswith("scanplan") for name in modules("get")) <= 85


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_found_and_has_a_first_line(name: str) -> None:
    command = get_command(app).get_command(None, name)  # type: ignore[attr-defined]
    assert command.name == name
    assert command.get_short_help_str(80)


def test_a_name_that_is_nearly_right_is_named() -> None:
    done = CliRunner().invoke(app, ["submitt"])
    assert done.exit_code == 2
    assert "Did you mean 'submit'" in done.output


def test_all_names_of_the_library_are_there() -> None:
    for name in scanplan.client.__all__:
        assert getattr(scanplan.client, name) is not None
    assert set(scanplan.client.__all__) <= set(dir(scanplan.client))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = scanplan.client.nothing
