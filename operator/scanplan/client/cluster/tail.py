"""Follows the findings of a task's attempts on a claim, as the runners write them.

A reader pod runs the text of this module (`program`), whatever version its image has, so it imports the standard library only.
The findings were redacted when they were written. Only whole lines are passed on, and each of them once; where an attempt's
folder goes, or its file is shorter than before, that is told. Memory holds one line, and a number for each attempt.

The stream is made of frames, each of them one line:

    F SHARD ATTEMPT LINE    a finding, as it will be published
    L SHARD ATTEMPT         a line was passed over, since it is longer than `MOST_LINE_BYTES`
    W SHARD ATTEMPT         what was read of this attempt does not stand any more
    T                       all that was there has been passed on
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
import time
import zlib
from collections.abc import Generator, Iterator

PAUSE_SECONDS = 2.0
"""Seconds between two looks at the folders."""
MOST_LINE_BYTES = 16 << 20
_BLOCK_BYTES = 1 << 20
_TURN_BYTES = 4 << 20
"""Bytes of one attempt before the others get their turn."""
_SHARD = re.compile(r"[0-9a-f]{1,64}")
_ATTEMPT = re.compile(r"attempt-([1-9][0-9]{0,8})")
_NAMES = ("nuclei_output.ndjson", ".nuclei_output.ndjson.partial", "nuclei_output.ndjson")
"""The findings of an attempt: published, growing, or published between these two looks."""
TICK = b"T\n"


class Tail:
    """What was read of each attempt of one task."""

    def __init__(self, root: str, folder: str, not_before: float = 0.0) -> None:
        """Where to look.

        Args:
            root: where the claim is mounted.
            folder: the task's shards, relative to `root`; it may not be there yet.
            not_before: seconds since the epoch; files that were written last before belong to an older run of the same task.
        """
        self._root = root
        self._parts = folder.split("/")
        self._not_before = not_before
        self._read: dict[tuple[str, int], int] = {}
        """Bytes, by shard and attempt."""
        self._overlong: set[tuple[str, int]] = set()
        """Attempts in whose file a line is being passed over."""

    def look(self) -> Iterator[bytes]:
        """The frames of all that is new; the last one is a tick.

        Raises:
            OSError: the claim can't be read.
        """
        seen = set()
        more = True
        while more:
            more = False
            for key, file in self._files():
                with os.fdopen(file, "rb", buffering=0):
                    seen.add(key)
                    more = (yield from self._new(key, file)) or more
        for key in sorted(set(self._read) - seen):
            self._forget(key)
            yield b"W %s %d\n" % (key[0].encode(), key[1])
        yield TICK

    def _forget(self, key: tuple[str, int]) -> None:
        self._read.pop(key, None)
        self._overlong.discard(key)

    def _files(self) -> Iterator[tuple[tuple[str, int], int]]:
        """Shard, attempt and open file of each attempt; no link is followed, since scan pods write to the claim."""
        place = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        for part in self._parts:
            with _closing(place):
                inside = _opened(part, os.O_DIRECTORY, place)
            if inside is None:
                return
            place = inside
        with _closing(place):
            for shard in sorted(filter(_SHARD.fullmatch, _names(place))):
                inside = _opened(shard, os.O_DIRECTORY, place)
                if inside is not None:
                    with _closing(inside):
                        yield from self._of_shard(shard, inside)

    def _of_shard(self, shard: str, place: int) -> Iterator[tuple[tuple[str, int], int]]:
        numbers = sorted(int(match[1]) for name in _names(place) if (match := _ATTEMPT.fullmatch(name)))
        for number in numbers:
            folder = _opened(f"attempt-{number}", os.O_DIRECTORY, place)
            if folder is None:
                continue
            with _closing(folder):
                file = next((each for name in _NAMES if (each := _opened(name, 0, folder)) is not None), None)
            if file is None:
                continue
            status = os.fstat(file)
            if stat.S_ISREG(status.st_mode) and status.st_mtime >= self._not_before:
                yield (shard, number), file
            else:
                os.close(file)

    def _new(self, key: tuple[str, int], file: int) -> Generator[bytes, None, bool]:
        """The frames of an attempt's new lines; returns whether there are more of them already."""
        name = b"%s %d" % (key[0].encode(), key[1])
        at = self._read.setdefault(key, 0)
        if os.fstat(file).st_size < at:
            self._overlong.discard(key)
            at = 0
            yield b"W " + name + b"\n"
        end = at + _TURN_BYTES
        wanted = _BLOCK_BYTES
        while at < end and (block := os.pread(file, wanted, at)):
            cut = block.rfind(b"\n") + 1
            if key in self._overlong:
                cut = block.find(b"\n") + 1
                self._overlong.difference_update({key} if cut else ())
                at += cut or len(block)
            elif cut:
                for line in block[: cut - 1].split(b"\n"):
                    yield b"F " + name + b" " + line + b"\n"
                at, wanted = at + cut, _BLOCK_BYTES
            elif len(block) < wanted:  # the line is being written
                break
            elif wanted < MOST_LINE_BYTES:
                wanted *= 2
            else:
                yield b"L " + name + b"\n"
                self._overlong.add(key)
                at += len(block)
            self._read[key] = at
        self._read[key] = at
        return at >= end


def _names(place: int) -> list[str]:
    with os.scandir(place) as entries:
        return [entry.name for entry in entries]


def _opened(name: str, kind: int, place: int) -> int | None:
    """A descriptor for reading; None where there is nothing of this kind, such as a link or a pipe, and for the way up."""
    if name == "..":
        return None
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | kind, dir_fd=place)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.ELOOP, errno.ENXIO}:
            return None
        raise


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)


def main(root: str, folder: str, not_before: str) -> None:
    """Write frames to standard output for ever, compressed and flushed at each tick; ends when nobody reads them."""
    tail, packed, write = Tail(root, folder, float(not_before)), zlib.compressobj(1), sys.stdout.buffer.write
    while True:
        for frame in tail.look():
            write(packed.compress(frame))
        write(packed.flush(zlib.Z_SYNC_FLUSH))
        sys.stdout.buffer.flush()
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main(*sys.argv[1:])
