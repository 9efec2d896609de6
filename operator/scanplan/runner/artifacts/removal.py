"""Removes a folder that somebody else has filled: in flat memory, however deep it nests, and without following a link.

The usual recursion ends at a depth of about a thousand, and paths end at 4,096 bytes. So folders are emptied into the one that is
removed, level by level.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from scanplan.runner.artifacts import durable


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it, however deep it nests; no link is followed.

    Raises:
        OSError: something in it can't be removed.
    """
    above = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with _unlocked(folder.name, above) as place:
            while _flatten(place):
                pass
        os.rmdir(folder.name, dir_fd=above)
    finally:
        os.close(above)


def _flatten(place: int) -> bool:
    """Remove the files of a folder, and its folders but those that they hold, which come up; False where nothing is left."""
    names = os.listdir(place)
    for name in names:
        try:
            os.unlink(name, dir_fd=place)
        except (IsADirectoryError, PermissionError):  # the latter where POSIX systems other than Linux refuse a folder
            with _unlocked(name, place) as inside:
                for each in os.listdir(inside):  # noqa: PTH208 - a descriptor
                    _bring_up(each, inside, place)
            os.rmdir(name, dir_fd=place)
    return bool(names)


def _bring_up(name: str, inside: int, place: int) -> None:
    try:
        os.rename(name, durable.unique(), src_dir_fd=inside, dst_dir_fd=place)
    except PermissionError:  # to move a folder is to write to it
        with _unlocked(name, inside):
            os.rename(name, durable.unique(), src_dir_fd=inside, dst_dir_fd=place)


@contextlib.contextmanager
def _unlocked(name: str, above: int) -> Iterator[int]:
    """A descriptor of a folder, given back its owner's rights first where somebody has taken them."""
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    try:
        with contextlib.suppress(OSError):
            Path(f"/proc/self/fd/{handle}").chmod(0o700)
        place = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=handle)
        try:
            yield place
        finally:
            os.close(place)
    finally:
        os.close(handle)
