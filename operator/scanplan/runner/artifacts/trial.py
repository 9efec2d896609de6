"""Tries whether a volume can do what scans need of it, and removes what it made.

`python3 -m scanplan.runner.artifacts.trial FOLDER` leaves what it saw, as JSON, in the termination log and on standard output.
`scanplan doctor --claim` starts it in a pod that runs as scan pods do.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from scanplan.api import environment
from scanplan.api.exit_codes import ExitCode
from scanplan.api.v1alpha1.volume_trial import Attempted, VolumeTrial
from scanplan.runner.artifacts import durable, removal

CONTENT = b"a finding\n" * 10_000
MORE = b"one more\n"


class _TrialEnded(Exception):
    """Nothing more can be tried."""


def trial(root: Path) -> VolumeTrial:
    """Try a volume.

    Args:
        root: the folder where it is mounted.

    Raises:
        OSError: there is no such folder.
    """
    place, space = root.stat(), os.statvfs(root)
    attempts: list[Attempted] = []
    folder = root / f".scanplan-trial.{durable.unique()}"
    try:
        _try_all(folder, attempts)
    except _TrialEnded:
        pass
    finally:
        if folder.exists():
            with _attempt("remove a folder", attempts, needed=False):
                removal.remove(folder)
    return VolumeTrial(
        user=os.geteuid(),
        group=os.getegid(),
        owner=place.st_uid,
        owner_group=place.st_gid,
        mode=place.st_mode & 0o7777,
        free_bytes=space.f_bavail * space.f_frsize,
        free_files=space.f_favail,
        attempts=tuple(attempts),
    )


def _try_all(folder: Path, attempts: list[Attempted]) -> None:
    file, second, link = folder / "file", folder / "second", folder / "link"
    with _attempt("make a folder", attempts, last=True):
        folder.mkdir()
    with _attempt("write a file and sync it", attempts, last=True):
        _write(file, os.O_EXCL, CONTENT)
    with _attempt("refuse a second file of one name", attempts):
        _refuses(lambda: _write(file, os.O_EXCL, b""))
    with _attempt("append to a file", attempts):
        _write(file, os.O_APPEND, MORE)
    with _attempt("read back what was written", attempts):
        if file.read_bytes() != CONTENT + MORE:
            raise OSError(errno.EIO, "it reads otherwise")
    with _attempt("sync a folder", attempts, needed=False):
        durable.sync_directory(folder)
    with _attempt("rename a file over another", attempts):
        _write(second, os.O_EXCL, MORE)
        second.replace(file)
        if file.read_bytes() != MORE:
            raise OSError(errno.EIO, "it reads otherwise")
    with _attempt("make a hard link", attempts, needed=False):
        link.hardlink_to(file)
    with _attempt("make a symbolic link", attempts, needed=False):
        (folder / "symbolic").symlink_to("file")
    with _attempt("rename a folder", attempts, needed=False):
        (folder / "old").mkdir()
        (folder / "old").rename(folder / "new")


@contextmanager
def _attempt(what: str, attempts: list[Attempted], *, needed: bool = True, last: bool = False) -> Iterator[None]:
    """Note how something went; where it fails and is the `last` that could be tried, end the trial."""
    try:
        yield
    except OSError as error:
        attempts.append(Attempted(what=what, needed=needed, error=errno.errorcode.get(error.errno or 0, "unknown")))
        if last:
            raise _TrialEnded from None
    else:
        attempts.append(Attempted(what=what, needed=needed))


def _write(path: Path, flag: int, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flag, 0o640)
    try:
        if os.write(descriptor, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuses(makes: Callable[[], None]) -> None:
    try:
        makes()
    except FileExistsError:
        return
    raise OSError(errno.EEXIST, "it was made")


def main(arguments: list[str]) -> int:
    """Try the volume that the arguments name."""
    if len(arguments) != 1:
        print("usage: python3 -m scanplan.runner.artifacts.trial FOLDER", file=sys.stderr)
        return ExitCode.USAGE
    told = msgspec.json.encode(trial(Path(arguments[0])))
    if log := os.environ.get(environment.TERMINATION_LOG):
        Path(log).write_bytes(told)
    sys.stdout.buffer.write(told + b"\n")
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
