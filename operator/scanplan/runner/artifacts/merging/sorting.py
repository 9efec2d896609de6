"""Sorts more lines than memory holds: parts are sorted and written beside the artifacts, then read back as one sequence.

The files have no name any more once they are open, so none is left behind when the process is killed.
"""

from __future__ import annotations

import bisect
import contextlib
import heapq
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from scanplan.runner.artifacts import durable

PART_BYTES = 24 << 20
"""Of lines that are held in memory."""
_OVERHEAD = 57
"""Bytes that a line takes besides its own."""
_BUFFER_BYTES = 256 << 10
_LINES_AT_ONCE = 1_000


class Sorter:
    """Takes lines, without newline, and gives them back in order."""

    def __init__(self, folder: Path) -> None:
        """Args: folder: of a task, where there is room."""
        self._folder = folder
        self._lines: list[bytes] = []
        self._size = 0
        self._parts: list[BinaryIO] = []

    def add(self, line: bytes) -> None:
        """Take a line.

        Raises:
            OSError: the claim didn't take it.
        """
        self._lines.append(line)
        self._size += len(line) + _OVERHEAD
        if self._size >= PART_BYTES:
            self._put_aside()

    def __iter__(self) -> Iterator[bytes]:
        """All lines, in order; doubles stay."""
        self._lines.sort()
        parts = [_read(file) for file in self._parts]
        return heapq.merge(*parts, self._lines) if parts else iter(self._lines)

    def batches(self) -> Iterator[list[bytes]]:
        """The same, many at a time."""
        lines = iter(self)
        while batch := list(itertools.islice(lines, _LINES_AT_ONCE)):
            yield batch

    def close(self) -> None:
        """Give the room back."""
        self._lines = []
        for file in self._parts:
            file.close()

    def _put_aside(self) -> None:
        self._lines.sort()
        name = f".sorting.{durable.unique()}"
        with durable.own_folder(self._folder) as folder:
            descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=folder)
        file = os.fdopen(descriptor, "w+b", _BUFFER_BYTES)
        self._parts.append(file)
        file.writelines(line + b"\n" for line in self._lines)
        file.flush()
        self._lines, self._size = [], 0


def _read(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    return (line[:-1] for line in file)


class _Run:
    """A sequence of sorted batches of lines, of which some are held."""

    def __init__(self, batches: Iterator[list[bytes]]) -> None:
        self.lines: list[bytes] = []
        self.ended = False
        self._batches = batches
        self._enough = 1

    def fill(self) -> None:
        """Hold at least half a batch, as long as there is more."""
        while not self.ended and len(self.lines) < self._enough:
            batch = next(self._batches, None)
            self.ended = batch is None
            self.lines += batch or ()
            self._enough = max(1, len(batch or ()) // 2)

    def take(self, most: bytes | None) -> list[bytes]:
        """Take the lines up to this one, or all."""
        end = len(self.lines) if most is None else bisect.bisect_right(self.lines, most)
        taken, self.lines = self.lines[:end], self.lines[end:]
        return taken


def merged(sequences: Iterable[Iterator[list[bytes]]]) -> Iterator[list[bytes]]:
    """One sequence of sorted batches from several, as `heapq.merge` makes it of lines, and several times as fast.

    Up to the least of the last lines that are held, no line can be missing. `list.sort` merges those runs.
    """
    runs = [_Run(batches) for batches in sequences]
    while runs:
        for run in runs:
            run.fill()
        runs = [run for run in runs if run.lines]
        most = min((run.lines[-1] for run in runs if not run.ended), default=None)
        batch = [line for run in runs for line in run.take(most)]
        batch.sort()
        if batch:
            yield batch
