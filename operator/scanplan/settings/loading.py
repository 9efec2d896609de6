"""Reads settings from environment variables, and names every wrong one."""

from __future__ import annotations

import os
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings

Settings = TypeVar("Settings", bound=BaseSettings)


class InvalidSettings(ValueError):
    """One or more environment variables are wrong; the message has a line for each."""


def load(
    model: type[Settings], *, error: type[InvalidSettings] = InvalidSettings, repeat_values: bool = False
) -> Settings:
    """Read the environment.

    Args:
        model: the settings; the alias of a field is its variable.
        error: what to raise.
        repeat_values: whether a message repeats the wrong value. Only where no variable may hold a password.

    Raises:
        InvalidSettings: with a line for each wrong or missing variable.
    """
    try:
        return model()
    except ValidationError as wrong:
        lines = []
        for problem in wrong.errors():
            name = str(problem["loc"][0])
            given = f" (is {os.environ[name]!r})" if repeat_values and name in os.environ else ""
            place = "".join(f"{part}: " for part in problem["loc"][1:])
            lines.append(f"{name}: {place}{problem['msg']}{given}")
        raise error("\n".join(lines)) from None
