"""Fields of objects that strangers write, read without an error whatever they hold.

Those of a custom resource may have any shape. Of other kinds, the API server answers null for a list that is empty and that its
type does not leave out, such as the sources of a projected volume.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Object = Mapping[str, Any]


def mapping(holder: Object, name: str) -> Object:
    """A field that is an object; an empty one where it is anything else."""
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def items(holder: Object, name: str) -> list[Object]:
    """A field that is a list of objects: those of its items that are."""
    value = holder.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def texts(holder: Object, name: str) -> list[str]:
    """A field that is a list of texts: those of its items that are."""
    value = holder.get(name)
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def text(holder: Object, name: str) -> str:
    """A field that is a text; an empty one where it is anything else."""
    value = holder.get(name)
    return value if isinstance(value, str) else ""


def port(holder: Object, name: str) -> int:
    """A field that is a port; 0 where it is anything else."""
    value = holder.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65_536 else 0
