"""Keeps the most severe findings within a budget of bytes.

A report must be small enough to open, and a scan may have any number of findings. In one pass, without knowing their number, this
holds pieces of a report up to a number of bytes. It drops the least severe and latest ones first.
"""

from __future__ import annotations

from collections.abc import Iterator

from scanplan.api.documents.words import Severity

_MILDEST_FIRST = tuple(reversed(Severity))


class MostSevere:
    """Numbered pieces of bytes, by severity, within `budget` bytes."""

    def __init__(self, budget: int) -> None:
        self._left = budget
        self._kept: dict[Severity, list[tuple[int, bytes]]] = {severity: [] for severity in Severity}
        self.dropped = 0
        """Number of pieces that were dropped."""

    def add(self, number: int, severity: Severity, piece: bytes) -> None:
        """Add a piece. Less severe pieces are dropped for it where the budget is used up."""
        self._left -= len(piece)
        self._kept[severity].append((number, piece))
        while self._left < 0:
            mildest = next(kept for level in _MILDEST_FIRST if (kept := self._kept[level]))
            self._left += len(mildest.pop()[1])
            self.dropped += 1

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """The pieces that were kept, the most severe first, then in the order in which they were added."""
        for severity in Severity:
            yield from self._kept[severity]

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))
