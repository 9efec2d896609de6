"""Finds single entries of a history without reading all of it: its lines are sorted, and all begin with their identity."""

from __future__ import annotations

import functools
from collections.abc import Callable

from scanplan.findings.history import MOST_LINE_BYTES, Entry, entries
from scanplan.findings.identity import LENGTH

Life = Callable[[str], Entry | None]
"""What is known of the finding with an identity; None where nothing is."""
_NEAR_BYTES = 8 << 10
_REMEMBERED = 1_000
"""Places in a file that each search looks at first."""
_START = len(b'{"identity":"')


def in_file(read: Callable[[int, int], bytes], size: int) -> Life:
    """Looks up in a history's file.

    Args:
        read: so many bytes from an offset on; fewer at the end of the file.
        size: of the file.
    """

    @functools.lru_cache(_REMEMBERED)
    def line_after(offset: int) -> tuple[int, bytes]:
        return _line_after(read, offset)

    def find(identity: str) -> Entry | None:
        wanted = identity.encode()
        low, high = 0, size  # the line begins in here, if there is one
        while high - low > _NEAR_BYTES:
            middle = (low + high) // 2
            start, found = line_after(middle)
            if not found or start >= high or found > wanted:
                high = middle
            else:
                low = start
        block = read(low, high - low + MOST_LINE_BYTES)
        for line in block.splitlines(keepends=True):
            if line[_START : _START + LENGTH] == wanted:
                return next(entries([line]), None)
        return None

    return find


def nowhere(_: str) -> Entry | None:
    """There is no history."""
    return None


def _line_after(read: Callable[[int, int], bytes], offset: int) -> tuple[int, bytes]:
    """Where the next line begins, and its identity; no identity where there is no further line."""
    block = read(offset, MOST_LINE_BYTES + _START + LENGTH)
    start = block.find(b"\n") + 1
    return offset + start, block[start + _START : start + _START + LENGTH] if start else b""
