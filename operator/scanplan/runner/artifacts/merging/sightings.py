"""The sightings of a large attempt, sorted, so that a merge can write the history without reading each finding again.

A complete attempt leaves the file beside its findings; its first line is the version that made it. A merge of few findings does
not read it. A larger one believes it only where it is by this version and in order, and has the digest and the findings of each
severity that the attempt's record says. Otherwise the merge makes the sightings from the findings.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import itertools
import logging
import operator
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

import scanplan
from scanplan.api import layout
from scanplan.api.documents.records import ShardRecord
from scanplan.api.documents.report import ArtifactFile
from scanplan.api.documents.words import Severity
from scanplan.findings import history
from scanplan.findings.identity import LENGTH
from scanplan.runner.artifacts import durable
from scanplan.runner.artifacts.merging.sorting import Sorter

LEAST = 1_000
"""An attempt with fewer findings leaves no sightings."""
_ZERO = ord("0")
_BLOCK_BYTES = 1 << 20
_LINES_AT_ONCE = 1_000
_VERSION = msgspec.json.encode(scanplan.__version__) + b"\n"
_RANKS = frozenset(range(_ZERO, _ZERO + len(Severity)))
_rank = operator.itemgetter(LENGTH)
"""The digit at this place of a record."""
_log = logging.getLogger(__name__)


class UntrueRecordError(ValueError):
    """An attempt's sightings are not those that it has left: another program has written or changed them."""


def take(sorter: Sorter, block: bytes) -> None:
    """Sort the sightings of a block of whole lines of findings.

    Raises:
        OSError: the claim didn't take what is put aside.
    """
    for line in block.split(b"\n"):
        if line and (found := history.sighting(line)) is not None:
            sorter.add(history.record(found))


def take_file(sorter: Sorter, file: BinaryIO) -> None:
    """Sort the sightings of a file of findings; raises as `take`."""
    while block := file.read(_BLOCK_BYTES):
        take(sorter, block + file.readline())


def leave(findings: Path) -> ArtifactFile | None:
    """Write the sightings of an attempt beside its findings; None where the claim has no room for them."""
    place = findings.with_name(layout.SIGHTINGS)
    try:
        with contextlib.closing(Sorter(place.parent)) as sorter:
            with durable.open_regular(findings) as file:
                take_file(sorter, file)
            written = durable.CheckedFile(place)
            try:
                for block in blocks(_lines(sorter)):
                    written.write(block)
            finally:
                written.close()
    except OSError as error:
        _log.warning("The merge has to read all findings of this attempt: %s", error)
        with contextlib.suppress(OSError):
            place.unlink(missing_ok=True)
        return None
    return written.artifact(place.name)


def _lines(records: Iterable[bytes]) -> Iterator[bytes]:
    yield _VERSION
    for record in records:
        yield record + b"\n"


def blocks(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Lines, put together for writing."""
    while block := b"".join(itertools.islice(lines, _LINES_AT_ONCE)):
        yield block


def listed(record: ShardRecord) -> ArtifactFile | None:
    """The sightings that an attempt has left, by its record."""
    return next((file for file in record.files if file.name == layout.SIGHTINGS), None)


def read(attempt: Path, attempted: ShardRecord, block_bytes: int = _BLOCK_BYTES) -> Iterator[list[bytes]]:
    """The records of an attempt's sightings (`history.record`), in order, many at a time.

    Args:
        attempt: its folder.
        attempted: its record.
        block_bytes: read at a time.

    Raises:
        UntrueRecordError: while it is read, or at its end: the file is not the one that the attempt's record lists.
    """
    expected = listed(attempted)
    digest, counted, last, rest = hashlib.sha256(), collections.Counter[int](), b"", b""
    try:
        with durable.open_regular(attempt / layout.SIGHTINGS) as file:
            if expected is None or os.fstat(file.fileno()).st_size != expected.bytes:
                raise UntrueRecordError("not as long as the attempt's record says")
            if file.read(len(_VERSION)) != _VERSION:
                raise UntrueRecordError("written by another version")
            digest.update(_VERSION)
            while block := file.read(block_bytes):
                digest.update(block)
                *lines, rest = (rest + block).split(b"\n")
                if len(rest) > history.MOST_LINE_BYTES:
                    raise UntrueRecordError("has an endless line")
                if lines:
                    if min(map(len, lines)) <= LENGTH or not _RANKS.issuperset(map(_rank, lines)):
                        raise UntrueRecordError("has something else than sightings")
                    if lines != sorted([last, *lines])[1:]:
                        raise UntrueRecordError("out of order")
                    counted.update(map(_rank, lines))
                    last = lines[-1]
                    yield lines
    except FileNotFoundError as error:
        raise UntrueRecordError("gone") from error
    if rest or digest.hexdigest() != expected.sha256:
        raise UntrueRecordError("changed since the attempt has left it")
    if any(counted[_ZERO + rank] != getattr(attempted.findings, each) for rank, each in enumerate(Severity)):
        raise UntrueRecordError("other findings than the attempt's record counts")
