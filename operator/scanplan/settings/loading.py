"""Reads settings from environment variables, and names every wrong one."""

from __future__ import annotations

import os
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict


class Variables(PydanticBaseSettingsSource):
    """The environment variables that are aliases of fields.

    The package's own source reads the names of the fields too, such as PORT or NAMESPACE, which others set for themselves.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The value of a field's variable, None where it is not set; and the variable."""
        name = field.alias or field_name
        return os.environ.get(name), name, False

    def __call__(self) -> dict[str, Any]:
        """The values by variable."""
        found = (self.get_field_value(field, name) for name, field in self.settings_cls.model_fields.items())
        return {variable: value for value, variable, _ in found if value is not None}


class EnvironmentSettings(BaseSettings):
    """Settings from environment variables, which are the aliases of the fields. A program may give them too, by either name."""

    model_config = SettingsConfigDict(populate_by_name=True, extra="ignore", frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - see Variables
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What a program gives, then the environment."""
        return init_settings, Variables(settings_cls)


Settings = TypeVar("Settings", bound=EnvironmentSettings)


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
