"""Begins attempts on the claim, publishes and seals them, and finds them again.

An attempt is a folder of its own, made exclusively, so no attempt writes over another. Its findings grow in a hidden file, and
get their name when they are whole and synced. The shard record comes last: with it the attempt is published and never changes
again. Whoever begins a later attempt first seals the earlier ones that were killed before they could publish. The folders
together are the ledger of what was tried.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import os
import re
from pathlib import Path

import msgspec

from scanplan.api import layout, wire
from scanplan.api.documents import records
from scanplan.api.documents.records import ShardCoverage, ShardRecord
from scanplan.api.documents.report import ArtifactFile, TaskError
from scanplan.api.documents.words import ErrorClass, Outcome
from scanplan.api.errors import TemporaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.artifacts import durable, findings
from scanplan.runner.artifacts.merging import sightings
from scanplan.runner.nuclei.lines import Lines

GROWING = f".{layout.FINDINGS}.partial"
"""The findings of an attempt that is running, or was killed: whole up to its last newline."""
_BEGUN = ".begun"
"""An empty file whose time says when the attempt began."""
_SEALING = ".sealing."
_RESERVE = ".reserve"
_NEAR_LIMIT = ".memory-near-limit"
_RESERVE_BYTES = 256 << 10
"""Space that an attempt gives back before it publishes, so that a full disk can still say that it is full."""
_ATTEMPT = re.compile(r"attempt-([1-9][0-9]{0,8})")
_BLOCK_BYTES = 1 << 20
_OBSTRUCTED = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)
"""Something else is where a file of ours belongs, or nothing: whoever may write to a run can do that."""
_log = logging.getLogger(__name__)


def numbers(shard: Path) -> list[int]:
    """The attempts in a shard's folder, ascending; none where it isn't there."""
    try:
        with os.scandir(shard) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    return sorted(int(match[1]) for name in names if (match := _ATTEMPT.fullmatch(name)))


def folder(shard: Path, attempt: int) -> Path:
    """The folder of one attempt."""
    return shard / f"attempt-{attempt}"


def read(shard: Path, attempt: int) -> ShardRecord | None:
    """The record of an attempt; None where it was not published, or there is none that we understand or can believe."""
    try:
        content = durable.read_record(folder(shard, attempt) / layout.SHARD_RECORD)
        record = wire.decode(content, ShardRecord)
        told = (record.started_at, record.finished_at, record.goes_on_since or record.started_at)
        times = list(map(records.seconds, told))
    except (*_OBSTRUCTED, *wire.UNREADABLE, ValueError, OverflowError):
        return None
    return record if record.attempt == attempt and all(map(math.isfinite, times)) else None


def published(shard: Path, *, not_before: float | None = None) -> list[ShardRecord]:
    """The published attempts of a shard, ascending.

    Args:
        not_before: seconds since the epoch; attempts that were published earlier belong to an older run of the same key.
    """
    found = [record for number in numbers(shard) if (record := read(shard, number)) is not None]
    return [record for record in found if not_before is None or records.seconds(record.finished_at) >= not_before]


def contributing(shard: Path, *, not_before: float | None = None) -> list[ShardRecord]:
    """The attempts whose findings make up the shard's result.

    Up to the first complete one: all earlier were sealed before it began to scan, so this set never changes any more. Those that
    it went on after count as long as it does. An attempt whose findings can't be read is left out.

    Args:
        not_before: as for `published`.

    Raises:
        OSError: the claim failed.
    """
    found = published(shard, not_before=not_before)
    last = next((record for record in found if record.outcome is Outcome.COMPLETE), None)
    if last is not None and not_before is not None:
        since = records.seconds(last.goes_on_since) if last.goes_on_since else not_before
        earlier = published(shard, not_before=min(since, not_before))
        found = [
            record for record in earlier if record.outcome is not Outcome.COMPLETE or record.attempt >= last.attempt
        ]
    chosen: list[ShardRecord] = []
    for record in found:
        try:
            durable.open_regular(folder(shard, record.attempt) / layout.FINDINGS).close()
        except _OBSTRUCTED as error:
            _log.warning("The findings of attempt %d are left out: %s", record.attempt, error)
            continue
        chosen.append(record)
        if record.outcome is Outcome.COMPLETE:
            break
    return chosen


def complete(shard: Path, *, not_before: float | None = None) -> ShardRecord | None:
    """The attempt that finished the shard; None where none did."""
    chosen = contributing(shard, not_before=not_before)
    return chosen[-1] if chosen and chosen[-1].outcome is Outcome.COMPLETE else None


def intact(shard: Path, record: ShardRecord) -> bool:
    """Whether the files of a published attempt are what its record says."""
    try:
        return all(artifact(folder(shard, record.attempt) / file.name) == file for file in record.files)
    except OSError:
        return False


def set_aside(shard: Path, attempt: int) -> None:
    """Take a damaged attempt out of the count, under another name, so that the shard is scanned again."""
    with contextlib.suppress(FileNotFoundError):
        durable.rename(folder(shard, attempt), shard / f"damaged-{attempt}-{durable.unique()}")


class Attempt:
    """A running attempt: where its findings go."""

    def __init__(self, shard: Path, number: int) -> None:
        self.number = number
        self.folder = folder(shard, number)
        durable.CheckedFile(self.folder / _BEGUN).close()
        (self.folder / _RESERVE).write_bytes(bytes(_RESERVE_BYTES))
        self.log = durable.CheckedFile(self.folder / layout.SCANNER_LOG)
        self._file = durable.CheckedFile(self.folder / GROWING)
        self.findings = findings.Findings(self._file, self.folder / layout.MALFORMED)
        self.coverage: ShardCoverage | None = None
        """Where a complete attempt has looked; published with it."""

    def heartbeat(self) -> None:
        """Show that this attempt is alive, to who would prune or seal it."""
        self._file.touch()

    def note_memory(self) -> None:
        """Leave a sign that memory is nearly used up: a kernel that kills the whole pod leaves no other."""
        with contextlib.suppress(OSError):
            durable.CheckedFile(self.folder / _NEAR_LIMIT).close()

    def sync(self) -> int:
        """Bring the findings so far to the disk; their size.

        Raises:
            OSError: the volume didn't take them.
        """
        return self._file.sync()

    def publish(self, record: ShardRecord) -> ShardRecord:
        """Make the findings visible, then the record, which gets the list of files.

        Raises:
            OSError: the volume didn't take it; nothing half published is left, and what was written can be sealed later.
            TemporaryError: another attempt has sealed this one meanwhile; that one counts.
        """
        (self.folder / _RESERVE).unlink(missing_ok=True)
        self._file.close()
        files = [self._file.artifact(layout.FINDINGS)]
        for extra in (self.findings.malformed, self.log):
            if extra is not None:
                extra.close()
                files.append(extra.artifact(extra.path.name))
        if record.outcome is Outcome.COMPLETE and self.findings.total > sightings.LEAST:
            left = sightings.leave(self.folder / GROWING)
            files += [left] if left else []
        if self.coverage is not None:
            files.append(self._write_coverage(self.coverage))
        record = msgspec.structs.replace(record, files=tuple(files))
        try:
            ours = durable.publish_once(self.folder / GROWING, self.folder / layout.FINDINGS)
        except FileNotFoundError:  # sealed, and tidied up
            ours = False
        if not (ours and durable.create(self.folder / layout.SHARD_RECORD, records.readable(record))):
            raise TemporaryError(
                Reason.STORAGE_ERROR, f"Attempt {self.number} was given up, and a later one took its place."
            )
        with contextlib.suppress(OSError):  # it is published all the same
            (self.folder / _BEGUN).unlink(missing_ok=True)
        return record

    def _write_coverage(self, coverage: ShardCoverage) -> ArtifactFile:
        file = durable.CheckedFile(self.folder / layout.COVERAGE)
        try:
            file.write(msgspec.json.encode(coverage) + b"\n")
        finally:
            file.close()
        return file.artifact(layout.COVERAGE)

    def abandon(self) -> None:
        """Close the files of an attempt that could not publish."""
        for file in (self._file, self.findings.malformed, self.log):
            if file is not None:
                with contextlib.suppress(OSError):
                    file.close()
        with contextlib.suppress(OSError):
            (self.folder / _RESERVE).unlink(missing_ok=True)


def begin(shard: Path, left: ShardRecord) -> Attempt:
    """Begin the next attempt of a shard, after sealing those that were left unpublished.

    Args:
        shard: its folder; made where it isn't there.
        left: what is known of an attempt that was left, for `seal`.

    Raises:
        OSError: the claim refused.
    """
    with durable.own_folder(shard, make=True) as place:
        number = max(numbers(shard), default=0) + 1
        while True:
            try:
                os.mkdir(folder(shard, number).name, dir_fd=place)
                break
            except FileExistsError:
                number += 1
    durable.sync_directory(shard)
    attempt = Attempt(shard, number)
    for earlier in numbers(shard):
        if earlier < number:
            seal(shard, earlier, left)
    return attempt


def seal(shard: Path, attempt: int, left: ShardRecord) -> None:
    """Publish what a killed attempt left, up to its last whole line; nothing where it is published.

    Any number may do this at the same time, also beside the attempt itself if that is still alive after all. The first to
    publish wins, and the record is made from what was published. Where something else than files of ours is in the way, what
    the attempt has left is left out.

    Args:
        shard: the shard's folder.
        attempt: its number.
        left: a record with what is known of it; the rest comes from what is on the claim.

    Raises:
        OSError: the claim refused.
    """
    place = folder(shard, attempt)
    with durable.own_folder(place):  # before anything is removed there
        if (place / layout.SHARD_RECORD).exists():
            return
    try:
        _seal(place, attempt, left)
    except _OBSTRUCTED as error:
        if not (place / layout.SHARD_RECORD).exists():  # otherwise another one has sealed it meanwhile
            _log.warning("Attempt %d was killed, and what it left can't be read: %s", attempt, error)


def _seal(place: Path, attempt: int, left: ShardRecord) -> None:
    final = place / layout.FINDINGS
    began, ended = _times(place)
    if not final.exists():
        durable.publish_once(_whole_lines(place / GROWING, place), final)
    (place / _RESERVE).unlink(missing_ok=True)
    counts = findings.count(final)
    memory = (place / _NEAR_LIMIT).exists()
    lost = TaskError(
        error_class=ErrorClass.TEMPORARY,
        reason=Reason.OUT_OF_MEMORY if memory else Reason.SCANNER_KILLED,
        message=f"The attempt was killed before it could report{', with its memory nearly used up' if memory else ''}; what it "
        "had written is kept.",
    )
    record = msgspec.structs.replace(
        left,
        attempt=attempt,
        outcome=Outcome.PARTIAL if counts.total else Outcome.FAILED,
        error=lost,
        findings=counts,
        started_at=records.timestamp(began),
        finished_at=records.timestamp(ended),
        duration_ms=round((ended - began) * 1000),
        files=(artifact(final),),
    )
    durable.create(place / layout.SHARD_RECORD, records.readable(record))
    for done in (place / GROWING, place / _BEGUN, *place.glob(f"{_SEALING}*")):
        done.unlink(missing_ok=True)


def _times(place: Path) -> tuple[float, float]:
    """When a killed attempt began, and when it last wrote or showed that it was alive, in seconds since the epoch.

    Sealing neither writes nor removes what has these times before the record is there. So another one that seals it, at the same
    time or after a crash, finds the same.
    """
    began, *ends = map(_modified, (place / _BEGUN, place / GROWING, place / layout.FINDINGS, place))
    ended = next(time for time in ends if time is not None)
    return (ended if began is None else min(began, ended)), ended


def _modified(path: Path) -> float | None:
    """The modification time of a file; None where there is none.

    Whoever writes to a run may set it to any time. So it counts from 1970 up to when the system saw the change (ctime).
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return max(0.0, min(status.st_mtime, status.st_ctime))


def _whole_lines(growing: Path, place: Path) -> Path:
    """A synced copy of `growing` up to its last newline; empty where there is none."""
    temporary = place / f"{_SEALING}{durable.unique()}"
    copy = durable.CheckedFile(temporary)
    try:
        lines = Lines()
        if growing.exists():
            with durable.open_regular(growing) as file:
                while block := file.read(_BLOCK_BYTES):
                    whole, _ = lines.feed(block)
                    if whole:
                        copy.write(b"\n".join([*whole, b""]))
        copy.close()
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def artifact(path: Path) -> ArtifactFile:
    """Name, size and SHA-256 of a file as it is now."""
    digest, size = hashlib.sha256(), 0
    with durable.open_regular(path) as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            size += len(block)
    return ArtifactFile(name=path.name, bytes=size, sha256=digest.hexdigest())
