"""Where templates come from: a folder, or an archive of which the SHA-256 is known before it is opened.

Only the standard library is used, because images are built with what a scan pod has.
"""

from __future__ import annotations

import hashlib
import http.client
import lzma
import os
import re
import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NoReturn
from urllib.parse import urlsplit

import msgspec

from scanplan.client.cluster.failure import NO_INPUT, UNAVAILABLE, Failure

RELEASES = "https://github.com/projectdiscovery/nuclei-templates/archive/refs/tags/{release}.tar.gz"
"""The archive of a release of the community's templates."""
MAX_FILES = 200_000
MAX_BYTES = 2 << 30
"""Of all files of a source together, and of an archive: no release is near, and a hostile archive fills no disk."""
SECONDS = 60.0
"""Without any byte of a download."""
DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
)
"""What the standard library raises for an archive that it can't read."""
_RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LINE = re.compile(r"([0-9A-Fa-f]{64})[ \t]+\*?(\S.*)")
_PIECE = 1 << 20


class Source(msgspec.Struct, frozen=True):
    """Template files in a folder."""

    folder: Path
    sha256: str = ""
    """Of the archive that they come from; empty: of none."""


def opened(where: str, temporary: Path, *, sha256: str = "", checksums: str = "") -> Source:
    """Fetch, verify and unpack a source.

    Args:
        where: a folder, an archive (tar, tar.gz, zip), or an http(s) URL of one.
        temporary: a folder for what is downloaded and unpacked.
        sha256: that the archive must have, in hex.
        checksums: file or URL of lines as ``sha256sum`` writes them, of which one names the archive.

    Raises:
        Failure: it is not there, is no archive, or has another SHA-256; a URL is given without anything to verify it by.
    """
    if sha256 and not _SHA256.fullmatch(sha256.lower()):
        raise Failure(f"{sha256!r} is no SHA-256: 64 hex digits", code=os.EX_USAGE)
    remote = _is_url(where)
    if not remote and Path(where).is_dir():
        if sha256 or checksums:
            raise Failure(f"{where} is a folder: a SHA-256 is of an archive", code=os.EX_USAGE)
        return Source(Path(where).resolve())
    if remote and not (sha256 or checksums):
        raise Failure(
            f"nothing says what {where} has to be", "--sha256, or --checksums with the file of the release", os.EX_USAGE
        )
    archive = _downloaded(where, temporary / "archive") if remote else Path(where)
    found = _digest(archive)
    wanted = sha256.lower() or (_listed(checksums, _name(where), temporary) if checksums else found)
    if found != wanted:
        raise Failure(f"{where} has the SHA-256 {found}, and not {wanted}", code=os.EX_DATAERR)
    return Source(_unpacked(archive, temporary / "unpacked"), found)


def of_release(release: str) -> str:
    """The URL of a release's archive.

    Raises:
        Failure: it is no name of a release.
    """
    if not _RELEASE.fullmatch(release):
        raise Failure(f"{release!r} is no release, such as v10.3.0", code=os.EX_USAGE)
    return RELEASES.format(release=release)


def files(folder: Path) -> list[Path]:
    """All files below a folder in the order of their paths, without hidden ones.

    Raises:
        Failure: there are too many, one is neither file nor folder, or one can't be read.
    """
    found: list[Path] = []
    size = 0
    for parent, folders, names in os.walk(folder, onerror=_refused):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(parent, name) for name in (*folders, *names) if not name.startswith(".")):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise Failure(f"{path} is no plain file: links don't go into an image", code=os.EX_DATAERR)
            if path.is_file():
                found.append(path)
                size += path.stat().st_size
                _check_bounds(str(folder), len(found), size)
    return sorted(found)


def read(path: Path) -> bytes:
    """The content of a file.

    Raises:
        Failure: it can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        _refused(error)


def _refused(error: OSError) -> NoReturn:
    raise Failure(f"{error.filename} can't be read: {error.strerror}", code=os.EX_NOINPUT) from None


def _is_url(where: str) -> bool:
    return urlsplit(where).scheme in {"http", "https"}


def _name(where: str) -> str:
    return PurePosixPath(urlsplit(where).path if _is_url(where) else where).name


def _downloaded(url: str, target: Path) -> Path:
    """Redirects and proxies of the environment are followed: the content is verified, wherever it comes from."""
    request = urllib.request.Request(url, headers={"User-Agent": "scanplan"})  # noqa: S310 - http(s), by `_is_url`
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer, target.open("wb") as file:  # noqa: S310
            size = 0
            while piece := answer.read(_PIECE):
                size += len(piece)
                _check_bounds(url, 0, size)
                file.write(piece)
            if answer.length:
                raise http.client.IncompleteRead(piece, answer.length)
    except urllib.error.HTTPError as error:
        error.close()
        raise Failure(
            f"{url} answers {error.code}", code=NO_INPUT if error.code in {404, 410} else UNAVAILABLE
        ) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Failure(f"{url} can't be read: {getattr(error, 'reason', error)}") from None
    return target


def _digest(archive: Path) -> str:
    try:
        with archive.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Failure(f"{archive}: {error.strerror}", code=NO_INPUT) from None


def _listed(checksums: str, name: str, temporary: Path) -> str:
    """The SHA-256 that a file of checksums has for a name."""
    path = _downloaded(checksums, temporary / "checksums") if _is_url(checksums) else Path(checksums)
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        raise Failure(f"{checksums} can't be read as text", code=NO_INPUT) from None
    for line in lines:
        entry = _LINE.fullmatch(line.strip())
        if entry and PurePosixPath(entry[2]).name == name:
            return entry[1].lower()
    raise Failure(f"{checksums} has no SHA-256 of {name}", code=os.EX_DATAERR)


def _unpacked(archive: Path, target: Path) -> Path:
    target.mkdir()
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                members = [each for each in packed.infolist() if not each.is_dir()]
                _unpack(archive, target, ((each.filename, each.file_size, packed.open(each)) for each in members))
        else:
            with tarfile.open(archive) as tar:
                _unpack(archive, target, _of_tar(archive, tar))
                _read_to_its_end(archive, tar)
    except DAMAGED as error:
        raise Failure(
            f"{archive} is no archive that can be read (tar, tar.gz, zip): {error}", code=os.EX_DATAERR
        ) from None
    top = [path for path in target.iterdir() if not path.name.startswith(".")]
    return top[0] if len(top) == 1 and top[0].is_dir() else target  # archives of releases have one folder around all


def _of_tar(archive: Path, tar: tarfile.TarFile) -> Iterator[tuple[str, int, IO[bytes]]]:
    for member in tar:
        if member.isdir():
            continue
        content = tar.extractfile(member) if member.isreg() else None
        if content is None:
            raise Failure(
                f"{archive}: {member.name} is no plain file: links don't go into an image", code=os.EX_DATAERR
            )
        yield member.name, member.size, content


def _read_to_its_end(archive: Path, tar: tarfile.TarFile) -> None:
    """A compressed archive has its checksum at its end, and a damaged tar can look like a shorter one."""
    size = 0
    while tar.fileobj is not None and (piece := tar.fileobj.read(_PIECE)):
        size += len(piece)
        _check_bounds(str(archive), 0, size)


def _unpack(archive: Path, target: Path, members: Iterator[tuple[str, int, IO[bytes]]]) -> None:
    count = size = 0
    for name, length, content in members:
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
            raise Failure(f"{archive}: {name!r} is no name of a file in it", code=os.EX_DATAERR)
        count, size = count + 1, size + length
        _check_bounds(str(archive), count, size)
        path = target.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        with content, path.open("xb") as file:
            shutil.copyfileobj(content, file, _PIECE)


def _check_bounds(where: str, count: int, size: int) -> None:
    if count > MAX_FILES or size > MAX_BYTES:
        raise Failure(f"{where} has more than {MAX_FILES:,} files or {MAX_BYTES >> 20:,} MiB", code=os.EX_DATAERR)
