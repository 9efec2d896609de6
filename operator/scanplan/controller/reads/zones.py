"""Time zones of the IANA database, as the package `tzdata` or the system has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import tzinfo
from functools import cached_property
from importlib import resources
from zoneinfo import ZoneInfo


class Zones(Mapping[str, tzinfo]):
    """All zones by their names; each is read when it is first asked for."""

    @cached_property
    def _names(self) -> frozenset[str]:
        """Only these: the system's folder has other files too, such as `localtime`."""
        return frozenset(resources.files("tzdata").joinpath("zones").read_text("utf-8").split())

    def __getitem__(self, name: str) -> tzinfo:
        if name not in self._names:
            raise KeyError(name)
        return ZoneInfo(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


ZONES = Zones()
