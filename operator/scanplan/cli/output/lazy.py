"""Imports the module of a command when it is asked for: each imports much that no other needs.

Module ``scanplan.cli.commands.NAME`` has the function ``NAME``, or ``app``, a group of commands.
"""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.main import get_command, get_group

from scanplan.cli.output.help import SETTINGS, Command, Commands

HEADINGS = {
    "Scans": "submit plan discover templates get watch explain logs cancel rerun run schedule notify export",
    "Results": "results findings diff retest prune artifacts exception",
    "Cluster": "doctor crd operator api worker",
    "About": "version reference",
}
"""The names of all commands, under the headings of the help and in its order."""
_HEADING_OF = {name: heading for heading, names in HEADINGS.items() for name in names.split()}


class LazyCommands(Commands):
    """All commands of `HEADINGS`."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer's signature
        return list(_HEADING_OF)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _HEADING_OF:
            self.import_all()  # for a suggestion of what may be meant
        elif cmd_name not in self.commands:
            self.commands[cmd_name] = _imported(cmd_name)
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        self.import_all()
        super().format_commands(ctx, formatter)

    def import_all(self) -> None:
        """Know all commands."""
        self.commands = {name: self.commands.get(name) or _imported(name) for name in _HEADING_OF}


def _imported(name: str) -> Any:
    module = importlib.import_module(f"scanplan.cli.commands.{name}")
    command: Any
    if group := getattr(module, "app", None):
        command = get_group(group)
    else:
        alone = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=SETTINGS)
        alone.command(cls=getattr(module, "COMMAND_CLASS", Command))(getattr(module, name))
        command = get_command(alone)
    command.name = name
    command.rich_help_panel = _HEADING_OF[name]
    return command
