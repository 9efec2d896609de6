"""Prints help as kubectl and gh do: commands under headings, NAME for required arguments and [NAME] for optional ones.

Typer's own help has braces around required arguments, Python's types beside them, and one long list of commands.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Command(TyperCommand):
    """A command whose help shows arguments by name, without Python types."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[OPTIONS]", *map(_usage, self._arguments(ctx))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        arguments = [(each.display_name_raw, each.help or "") for each in self._arguments(ctx)]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl(arguments)
        options = [each.get_help_record(ctx) for each in self.get_params(ctx) if not isinstance(each, TyperArgument)]
        with formatter.section("Options"):
            formatter.write_dl([record for record in options if record])

    def _arguments(self, ctx: Any) -> list[TyperArgument]:
        return [each for each in self.get_params(ctx) if isinstance(each, TyperArgument)]


class Commands(TyperGroup):
    """A group whose help lists commands under headings (`rich_help_panel`)."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - typer's signature
        limit = formatter.width - 6 - max(map(len, self.commands))
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            heading = getattr(command, "rich_help_panel", None) or "Commands"
            sections.setdefault(heading, []).append((name, command.get_short_help_str(limit)))
        for heading, rows in sections.items():
            with formatter.section(heading):
                formatter.write_dl(rows)


def _usage(argument: TyperArgument) -> str:
    name = argument.display_name_raw + ("" if argument.nargs == 1 else "...")
    return name if argument.required else f"[{name}]"
