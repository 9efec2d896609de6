"""What a person is shown of a running scan: each finding once, and what was taken back.

Frames (`scanplan.client.cluster.tail`) come from a pod whose image a plan chooses, so they are checked. Memory is bounded: at most
`MOST` findings are told apart, with about 200 bytes for each.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from scanplan.client.cluster.failure import unreadable_reader
from scanplan.client.cluster.tail import MOST_LINE_BYTES
from scanplan.findings import fingerprint
from scanplan.runner.nuclei.lines import Lines

MOST = 100_000
"""Findings that are shown of one scan while it runs."""
_FRAME = re.compile(rb"([FLW]) ([0-9a-f]{1,64}) ([1-9][0-9]{0,8})(?: (.*))?", re.DOTALL)
_FRAME_BYTES = MOST_LINE_BYTES + 128


class Attempt(NamedTuple):
    """An attempt at a shard."""

    shard: str
    """The digest of its endpoints: the name of its folder."""
    number: int


class Found(NamedTuple):
    """A finding that was not shown before."""

    attempt: Attempt
    line: bytes


class Withdrawn(NamedTuple):
    """What an attempt had found was taken back: its folder was set aside or removed, or its file cut."""

    attempt: Attempt
    findings: int
    """How many of it were shown."""


class PassedOver(NamedTuple):
    """A finding is too long to be shown before the result."""

    attempt: Attempt


class Full(NamedTuple):
    """`MOST` findings were shown; further ones are in the result only."""


class Current(NamedTuple):
    """All that was on the claim has been told."""


Event: TypeAlias = Found | Withdrawn | PassedOver | Full | Current


class Missing:
    """What a result lacks of what was shown; the result is written to it, piece by piece."""

    def __init__(self, marks: set[bytes]) -> None:
        """`marks`: fingerprints of what was shown."""
        self._marks = marks
        self._lines = Lines()

    def write(self, piece: bytes, /) -> int:
        for line in self._lines.feed(piece)[0]:
            self._marks.discard(fingerprint.of(line))
        return len(piece)

    @property
    def count(self) -> int:
        """Findings that were shown and are not in what was written so far."""
        return len(self._marks)


class Shown:
    """Turns frames into events, and remembers what was shown."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lines = Lines(_FRAME_BYTES)
        self._attempts: dict[bytes, Attempt] = {}
        """By fingerprint of the findings that were shown and stand."""
        self._seen: set[Attempt] | None = None
        """Attempts that a new reader has told of so far; None once it has told of all."""
        self._told_full = False

    @property
    def count(self) -> int:
        """Findings that were shown and stand."""
        return len(self._attempts)

    def begin(self) -> None:
        """A reader begins at the start of all files; it replaces one that broke off."""
        self._lines = Lines(_FRAME_BYTES)
        self._seen = set()

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Take the next bytes of the stream.

        Raises:
            Failure: they are no frames.
        """
        frames, overlong = self._lines.feed(chunk)
        for frame in (*overlong, *frames):
            yield from self._frame(frame)

    def compared(self) -> Missing:
        """Takes a result, to say which of the findings that were shown it lacks."""
        return Missing(set(self._attempts))

    def _frame(self, frame: bytes) -> Iterator[Event]:
        if frame == b"T":
            yield from self._tick()
            return
        match = _FRAME.fullmatch(frame)
        if match is None:
            raise unreadable_reader()
        kind, attempt = match[1], Attempt(match[2].decode(), int(match[3]))
        if self._seen is not None:
            self._seen.add(attempt)
        if kind == b"W":
            yield from self._withdraw({attempt})
        elif kind == b"L":
            yield PassedOver(attempt)
        else:
            yield from self._found(attempt, match[4] or b"")

    def _found(self, attempt: Attempt, line: bytes) -> Iterator[Event]:
        mark = fingerprint.of(line)
        if mark in self._attempts:
            return
        if len(self._attempts) < self._most:
            self._attempts[mark] = attempt
            yield Found(attempt, line)
        elif not self._told_full:
            self._told_full = True
            yield Full()

    def _tick(self) -> Iterator[Event]:
        if self._seen is not None:
            yield from self._withdraw(set(self._attempts.values()) - self._seen)
            self._seen = None
        yield Current()

    def _withdraw(self, attempts: set[Attempt]) -> Iterator[Event]:
        counts = Counter(attempt for attempt in self._attempts.values() if attempt in attempts)
        self._attempts = {mark: attempt for mark, attempt in self._attempts.items() if attempt not in attempts}
        for attempt, count in sorted(counts.items()):
            yield Withdrawn(attempt, count)
