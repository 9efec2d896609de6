"""Writes files so that a crash loses or tears none of them.

A finding that was printed must survive a full disk, a `kill -9` and a second writer. So every write is checked, and trimmed
back to whole lines when it fails. Files become visible by link or rename after fsync. What must exist once is created
exclusively: whoever comes second learns that it is there.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, BinaryIO

from scanplan.api import layout
from scanplan.api.documents.report import ArtifactFile
from scanplan.api.errors import ClaimError, ScanError, TemporaryError
from scanplan.api.v1alpha1.conditions import Reason

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

_FULL = {errno.ENOSPC, errno.EDQUOT}
_OTHER_KIND = {errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EISDIR}
_TASKS = layout.task_directory("").name
_DEEPEST = 5
"""Path components of an attempt's folder, counted from its run's ``tasks`` folder."""
_DEPTHS = (6, 5, 3)
"""Position of ``tasks`` from the end of a path: of an attempt's file, of a shard's, and of a task's."""
RECORD_BYTES = 64 << 20
"""Limit of a record's size. The record of the largest plan whose endpoints all fail is smaller, and a pod has more memory."""
_TEMPORARY = re.compile(r"\..+\.[0-9]+\.[0-9a-f]{12}")
"""The name of a temporary file: hidden, with `unique` at its end."""
_ABANDONED_SECONDS = 600.0
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
NO_LINKS = {
    errno.EPERM,
    errno.EACCES,
    errno.EINVAL,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EMLINK,
    errno.ENOSYS,
}
"""What a file system without hard links (SMB, S3 mounts, some FUSE) says when asked for one."""


def storage_error(error: OSError, *, starting: bool) -> ScanError:
    """What an operating system's error on the claim means for the scan.

    Args:
        error: what the failed call said.
        starting: nothing was written yet in this attempt. A refusal then means a claim that was never writable;
            later it means a disk that broke or was remounted read-only, which may pass.
    """
    what = f"{error.strerror} ({error.filename})" if error.filename else str(error.strerror)
    if error.errno in _FULL:
        return TemporaryError(
            Reason.DISK_FULL,
            f"The artifacts' volume is full: {what}. Free or enlarge it; what was written before is kept.",
        )
    if starting and error.errno in _REFUSED:
        return ClaimError(
            Reason.CLAIM_NOT_WRITABLE,
            f"The artifacts' volume is not writable for user {os.geteuid()}, group {os.getegid()}: {what}. Volumes that "
            "ignore fsGroup (NFS, hostPath) must be made writable for that user by their administrator.",
        )
    return TemporaryError(
        Reason.STORAGE_ERROR, f"The artifacts' volume failed: {what}. What was written before is kept."
    )


@contextlib.contextmanager
def on_claim(*, starting: bool = False) -> Iterator[None]:
    """Turn any OSError of the block into the ScanError that says what it means for the scan."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, starting=starting) from error


class CheckedFile:
    """A new file that is only appended to; knows its size, SHA-256 and that every byte was taken by the system."""

    def __init__(self, path: Path, executor: Executor | None = None) -> None:
        """Create it, in the folder of a run.

        Args:
            executor: hashes each block while the next one is made. What was written must not change before the next `write` has
                returned. None: `write` hashes.
        """
        self.path = path
        self._executor = executor
        self._hashing: Future[None] | None = None
        self.size = 0
        self._hash = hashlib.sha256()
        with own_folder(path.parent) as folder:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._descriptor = os.open(path.name, flags, 0o640, dir_fd=folder)

    def write(self, lines: bytes | memoryview) -> None:
        """Append whole lines.

        Raises:
            OSError: not all fitted. The file then ends with the last line that did; `size` says where.
        """
        rest = memoryview(lines)
        written = 0
        try:
            while written < len(rest):
                written += os.write(self._descriptor, rest[written:])
        except OSError:
            whole = bytes(rest[:written]).rfind(b"\n") + 1
            # Shrinking needs no space. Where even that fails, readers still stop at the last newline.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self.size + whole)
                os.lseek(self._descriptor, 0, os.SEEK_END)
            self._hashed()
            self._hash.update(rest[:whole])
            self.size += whole
            raise
        self._hashed()
        if self._executor is None:
            self._hash.update(rest)
        else:
            self._hashing = self._executor.submit(self._hash.update, rest)
        self.size += written

    def _hashed(self) -> None:
        """Wait until all blocks so far are hashed."""
        hashing, self._hashing = self._hashing, None
        if hashing is not None:
            hashing.result()

    def sync(self) -> int:
        """Bring all bytes to the disk; their number."""
        os.fsync(self._descriptor)
        return self.size

    def close(self) -> None:
        """Bring all bytes to the disk and close. Network file systems report a full disk only here."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def touch(self) -> None:
        """Renew the modification time: somebody is still working here."""
        with contextlib.suppress(OSError):
            os.utime(self._descriptor)

    def artifact(self, name: str) -> ArtifactFile:
        """The file as the documents list it, under the `name` that it gets."""
        self._hashed()
        return ArtifactFile(name=name, bytes=self.size, sha256=self._hash.hexdigest())


@contextlib.contextmanager
def own_folder(path: Path, *, make: bool = False) -> Iterator[int]:
    """A descriptor of a folder of a run, to write in it (``dir_fd``); from the run's ``tasks`` on, no part may be a link.

    Whoever may write to one run could otherwise have others write over another run.

    Args:
        path: the folder.
        make: create the parts that are not there.

    Raises:
        NotADirectoryError: a link, or something else that is no folder, is in the way; the error names it.
        OSError: the claim refused.
    """
    parts = path.parts
    below = next((count for count in range(1, min(_DEEPEST, len(parts)) + 1) if parts[-count] == _TASKS), 0)
    reached = Path(*parts[: len(parts) - below])
    if make:
        reached.mkdir(parents=True, exist_ok=True)
    place = os.open(reached, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[len(parts) - below :]:
            reached /= part
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=place)
            try:
                inside = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
            except OSError as error:
                if error.errno not in _OTHER_KIND:
                    raise
                raise NotADirectoryError(errno.ENOTDIR, "a link or no folder", str(reached)) from error
            os.close(place)
            place = inside
        yield place
    finally:
        os.close(place)


def make_folder(path: Path) -> None:
    """Make a folder of a run where it isn't there; raises as `own_folder`."""
    with own_folder(path, make=True):
        pass


def rename(old: Path, new: Path) -> None:
    """Give a file or folder another name in the same folder of a run, in place of whatever was there; raises as `own_folder`."""
    with own_folder(new.parent) as folder:
        try:
            os.rename(old.name, new.name, src_dir_fd=folder, dst_dir_fd=folder)
        except IsADirectoryError:  # we never make a folder of this name: move it away
            os.rename(new.name, f".{new.name}.{unique()}", src_dir_fd=folder, dst_dir_fd=folder)
            os.rename(old.name, new.name, src_dir_fd=folder, dst_dir_fd=folder)


def open_regular(path: Path) -> BinaryIO:
    """Open a file on the claim for reading, without following a link out of its run's folder, or waiting for a pipe.

    Whoever may write to a claim can put links and pipes there. Of a path below a run's ``tasks`` no part may be a link; of
    any other path the last part. A run's ``artifacts`` link is followed where it leads to a task of that run.

    Raises:
        FileNotFoundError: there is no regular file at this place.
    """
    parts = _of_task(path).parts
    below = next((count for count in _DEPTHS if len(parts) > count and parts[-count] == _TASKS), 1)
    return os.fdopen(open_below(Path(*parts[:-below]), PurePath(*parts[-below:])), "rb")


def _of_task(path: Path) -> Path:
    """The path without a run's link to its newest task.

    Raises:
        FileNotFoundError: such a link leads elsewhere.
    """
    link = path.parent
    if link.name != layout.LATEST or not link.is_symlink():
        return path
    target = link.readlink()
    if len(target.parts) != 2 or target.parts[0] != _TASKS or target.parts[1] == "..":
        raise FileNotFoundError(errno.ENOENT, "a link out of the run", str(link))
    return link.parent / target / path.name


def open_below(root: Path, path: PurePath) -> int:
    """A descriptor of the regular file at `path` below `root`, for reading; no part of `path` may be a link or ``..``.

    Raises:
        FileNotFoundError: there is no regular file at this place.
    """
    if path.is_absolute() or ".." in path.parts:
        raise FileNotFoundError(errno.ENOENT, "it leads out of the folder", str(path))
    place = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in path.parts[:-1]:
            inside = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
            os.close(place)
            place = inside
        descriptor = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place)
    except OSError as error:
        if error.errno not in _OTHER_KIND:
            raise
        raise FileNotFoundError(errno.ENOENT, "a link or no regular file", str(path)) from error
    finally:
        os.close(place)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "no regular file", str(path))
    return descriptor


def read_bytes(path: Path) -> bytes:
    """The content of a file on the claim; raises as `open_regular`."""
    with open_regular(path) as file:
        return file.read()


def read_record(path: Path) -> bytes:
    """The content of a record on the claim, which must not be larger than any that we write; raises as `open_regular`."""
    with open_regular(path) as file:
        content = file.read(RECORD_BYTES + 1)
    if len(content) > RECORD_BYTES:
        raise FileNotFoundError(errno.ENOENT, "too large for a record", str(path))
    return content


def holds(path: Path, content: bytes) -> bool:
    """Whether a record has this content; a link or a pipe has none."""
    try:
        return read_record(path) == content
    except (FileNotFoundError, PermissionError):
        return False


def unique() -> str:
    """A part of a file name that no other process, here or on another node, uses."""
    return f"{os.getpid()}.{os.urandom(6).hex()}"


def remove_abandoned(folder: Path, now: float) -> None:
    """Remove the temporary files of a run's folder that nobody has written for ten minutes, since their writer was killed.

    Args:
        folder: others in it stay.
        now: seconds since the epoch, by the volume's clock.
    """
    with contextlib.suppress(OSError), own_folder(folder) as place:
        for name in filter(_TEMPORARY.fullmatch, os.listdir(place)):  # noqa: PTH208 - a descriptor
            with contextlib.suppress(OSError):
                status = os.stat(name, dir_fd=place, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and now - status.st_mtime > _ABANDONED_SECONDS:
                    os.unlink(name, dir_fd=place)


def sync_directory(directory: Path) -> None:
    """Make names that were added to `directory` survive a crash of the machine."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems have no such call
            raise
    finally:
        os.close(descriptor)


def publish_once(temporary: Path, final: Path) -> bool:
    """Give a finished, synced file its name, unless somebody else took the name first.

    Returns:
        True where `final` is ours, False where it was there already (and stays as it is). `temporary` is gone either way.
    """
    try:
        with own_folder(final.parent) as folder:
            os.link(temporary.name, final.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        # NFS may carry out a call, lose the answer, and fail the repetition: then the name is ours after all.
        ours = temporary.exists() and os.path.samestat(temporary.lstat(), final.lstat())
        temporary.unlink(missing_ok=True)
        return ours
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if final.exists():
            temporary.unlink(missing_ok=True)
            return False
        rename(temporary, final)  # without links, another process may take the name between check and rename
    else:
        temporary.unlink(missing_ok=True)
    sync_directory(final.parent)
    return True


def write_temporary(path: Path, content: bytes) -> Path:
    """Write `content` to a new file in the folder of `path`, and sync it. No other process uses its name."""
    temporary = path.with_name(f".{path.name}.{unique()}")
    file = CheckedFile(temporary)
    try:
        file.write(content)
        file.close()
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def create(path: Path, content: bytes) -> bool:
    """Write a new file with `content`, whole or not at all; False where `path` exists (and stays as it is)."""
    return publish_once(write_temporary(path, content), path)


def replace(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all, in place of what was there."""
    rename(write_temporary(path, content), path)
    sync_directory(path.parent)
