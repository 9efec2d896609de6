"""Reads JSON of unknown origin as typed values.

Msgspec looks at a type when it first meets it. A second thread that meets the same type meanwhile ends the process with a
segmentation fault (0.22). So decoders are made here, one at a time.

A line that can't be read must never end a scan. Besides malformed text there are broken encodings, characters that no encoding
has, and nesting deeper than the parser goes: `UNREADABLE` has them all.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)

T = TypeVar("T")
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_making = threading.Lock()


def decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """The decoder of a type, the same for each caller."""
    found = _decoders.get(kind)
    if found is None:
        with _making:
            found = _decoders.setdefault(kind, msgspec.json.Decoder(kind))
    return found


def decode(content: bytes | bytearray | memoryview | str | msgspec.Raw, kind: type[T]) -> T:
    """Read JSON as a type.

    Raises:
        msgspec.DecodeError: it is no JSON, or (ValidationError) of another type; see `UNREADABLE` for what else may come.
    """
    return decoder(kind).decode(content)


def convert(value: object, kind: type[T]) -> T:
    """Read plain values, such as mappings and lists, as a type.

    Raises:
        msgspec.ValidationError: they are of another type.
    """
    decoder(kind)
    return msgspec.convert(value, kind)
