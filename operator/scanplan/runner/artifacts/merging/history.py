"""`history.ndjson`, made while the findings are merged.

It goes on from the history of the task that this task's own record names (`TaskRecord.compared_with`), which all mergers find the
same. A result of an older version has no history: its findings are taken in as seen by its own scan. The records of this scan are
sorted on the volume, so memory is bounded however many there are. Times are those of the scans' metadata; a scan that has published
nothing has the time at which its task was entered.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path, PurePosixPath

import msgspec

from scanplan.api import layout, wire
from scanplan.api.documents import records
from scanplan.api.documents.records import ScanMetadata, ShardCoverage, ShardRecord
from scanplan.api.documents.report import ArtifactFile, FindingCounts, HistoryCounts
from scanplan.api.documents.words import Severity
from scanplan.core.planning import shards
from scanplan.findings import history
from scanplan.findings.history import Sighting, Tally
from scanplan.findings.ran import DividedRan, Ran, ShardRan
from scanplan.runner.artifacts import divided, durable, run_record
from scanplan.runner.artifacts.divided import Shard
from scanplan.runner.artifacts.merging import sightings
from scanplan.runner.artifacts.merging.newest import Newest
from scanplan.runner.artifacts.merging.sorting import Sorter, merged
from scanplan.runner.artifacts.merging.suppression import Suppression

KEPT_DAYS = 365
"""So long a finding stays in the history after it was resolved."""
READ_ALL = 20_000
"""Up to this many findings a merge reads them all. Above, it takes the sightings (sorted findings) that attempts have left."""
MOST_SIGHTINGS = 800
"""Files of sightings that a merge has open, at most. By default a process may open 1,024 files."""
_MOST_HELD = 16 << 20
"""Bytes of the read buffers of all these files together."""
_FEW_SIGHTINGS = 16
"""Each file gets at most this part of `_MOST_HELD`, also where there are fewer files."""
_log = logging.getLogger(__name__)


class Baseline(msgspec.Struct, frozen=True):
    """The scan that a history goes on from."""

    task: Path
    metadata: ScanMetadata


def baseline(task: Path) -> Baseline | None:
    """The scan before, as a task's own record names it; None: there is none, it is not complete, or it is gone from the volume."""
    record = run_record.task_record(task)
    if record is None or record.compared_with is None:
        return None
    earlier = task.parent / PurePosixPath(record.compared_with).name
    found = run_record.metadata(earlier)
    return Baseline(earlier, found) if found is not None and found.complete else None


class HistoryWriter:
    """The history of one merge: takes the findings as they are copied, then writes and publishes."""

    def __init__(self, task: Path, findings: int) -> None:
        """Begin the history of a task, in its folder. `findings`: their number, as the attempts' records say."""
        self._task = task
        self._final = task / layout.HISTORY
        self._sorter = Sorter(task)
        self._most_sightings = MOST_SIGHTINGS if findings > READ_ALL else 0
        self._sightings: dict[Path, ShardRecord] = {}
        """The attempts whose sightings are read: folders and records."""
        self._written: durable.CheckedFile | None = None
        self.before = baseline(task)

    def has_sightings(self, attempt: Path, record: ShardRecord) -> bool:
        """Take the sightings that an attempt has left in its folder; False where its findings have to be taken."""
        if sightings.listed(record) is None or len(self._sightings) >= self._most_sightings:
            return False
        self._sightings[attempt] = record
        return True

    def take(self, block: bytes) -> None:
        """Take whole lines of findings.

        Raises:
            OSError: the claim could not be written.
        """
        sightings.take(self._sorter, block)

    def write(
        self, moment: str, ran: Callable[[], Ran | DividedRan] | None, executor: Executor, suppression: Suppression
    ) -> HistoryCounts:
        """Write the history to a hidden temporary file.

        Args:
            moment: when the scan began.
            ran: where it looked; None where it is not complete, and resolves nothing.
            executor: writes, while this thread makes the next lines.
            suppression: the findings under a ScanException, which are not told as new.

        Raises:
            OSError: the claim could not be read or written.
        """
        looked = ran().looked_for if ran and self.before else _nowhere
        try:
            tally, newest = self._write(moment, looked, executor, suppression)
        except sightings.UntrueRecordError as error:
            _log.warning(
                "The history is made from all findings, since an attempt's sightings do not match its record: %s", error
            )
            self._remove_written()
            for attempt in self._sightings:
                with durable.open_regular(attempt / layout.FINDINGS) as file:
                    sightings.take_file(self._sorter, file)
            self._sightings = {}
            tally, newest = self._write(moment, looked, executor, suppression)
        return HistoryCounts(
            since=self.before.metadata.started_at if self.before else "",
            new=_counts(tally.new),
            resolved=_counts(tally.resolved),
            reopened=_counts(tally.reopened),
            open=_counts(tally.open),
            open_by_age={age: _counts(found) for age, found in tally.open_by_age.items()},
            told=newest.told(),
        )

    def _write(
        self, moment: str, looked: Callable[[Sighting], bool], executor: Executor, suppression: Suppression
    ) -> tuple[Tally, Newest]:
        tally, newest = Tally(), Newest(suppression, moment)
        file = self._written = durable.CheckedFile(self._final.with_name(f".{self._final.name}.{durable.unique()}"))
        at_once = _MOST_HELD // max(_FEW_SIGHTINGS, len(self._sightings))
        left = (sightings.read(attempt, record, at_once) for attempt, record in self._sightings.items())
        seen = itertools.chain.from_iterable(merged([self._sorter.batches(), *left]))
        with self._lines_before() as before:
            forgotten = _forgotten(moment)
            lines = history.continued(before, seen, moment, looked, tally, forgotten=forgotten, on_new=newest.take)
            writing = executor.submit(file.write, b"")
            try:
                for block in sightings.blocks(lines):
                    writing.result()
                    writing = executor.submit(file.write, block)
            finally:
                writing.result()
        file.close()
        return tally, newest

    def publish(self) -> ArtifactFile:
        """Give the history its name.

        Raises:
            OSError: the claim could not be read or written.
        """
        assert self._written is not None  # noqa: S101 - `write` comes first
        durable.rename(self._written.path, self._final)
        return self._written.artifact(layout.HISTORY)

    def close(self) -> None:
        """Remove what was not published."""
        self._sorter.close()
        self._remove_written()

    def _remove_written(self) -> None:
        if self._written is not None:
            with contextlib.suppress(OSError):
                self._written.close()
            self._written.path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _lines_before(self) -> Iterator[Iterator[bytes]]:
        """The lines of the history before; those of an older version's result are made from its findings.

        Where the file is gone there are none, and all findings are new.
        """
        if self.before is None:
            yield iter(())
            return
        try:
            kept = any(file.name == layout.HISTORY for file in self.before.metadata.files)
            file = durable.open_regular(self.before.task / (layout.HISTORY if kept else layout.FINDINGS))
        except FileNotFoundError:
            self.before = None
            yield iter(())
            return
        with file, contextlib.closing(Sorter(self._task)) as sorter:
            if kept:
                yield history.bounded(file)
                return
            sightings.take_file(sorter, file)
            began = self.before.metadata.started_at
            yield history.continued((), sorter, began, _nowhere, Tally())


def ran(parts: Sequence[tuple[Shard, Path]]) -> Ran | DividedRan:
    """Where a complete scan has looked.

    Args:
        parts: all shards in their order, each with the folder of its complete attempt. One without a readable coverage counts
            as having looked nowhere.
    """
    templates: dict[frozenset[str], frozenset[str]] = {}
    if not any(shard.endpoints is None for shard, _ in parts):
        return Ran(filter(None, (_ran(shard.endpoints or (), folder, templates) for shard, folder in parts)))

    def read(number: int) -> ShardRan | None:
        shard, folder = parts[number]
        return _ran(divided.kept(shard.folder), folder, templates)

    return DividedRan(lambda host: shards.of_host(host.encode(errors="replace"), len(parts)), read)


def _ran(endpoints: Sequence[str], folder: Path, templates: dict[frozenset[str], frozenset[str]]) -> ShardRan | None:
    """Where a shard has looked; None: its coverage can't be read. `templates`: sets of names, so that equal ones are kept once."""
    found = _coverage(folder)
    if found is None:
        return None
    names = frozenset(found.templates)
    return ShardRan(
        endpoints=endpoints,
        trusted=int(found.trusted, 16),
        templates=templates.setdefault(names, names),
        gaps={name: int(mask, 16) for name, mask in found.gaps.items()},
        excluded_matchers=frozenset(found.excluded_matchers),
    )


def _coverage(attempt: Path) -> ShardCoverage | None:
    try:
        return wire.decode(durable.read_record(attempt / layout.COVERAGE), ShardCoverage)
    except (FileNotFoundError, PermissionError, *wire.UNREADABLE):
        return None


def _nowhere(_: Sighting) -> bool:
    return False


def _forgotten(moment: str) -> str:
    """Findings that were resolved before this time are left out; none where there is no moment."""
    try:
        return records.timestamp(records.seconds(moment) - KEPT_DAYS * 86_400)
    except (ValueError, OverflowError):
        return ""


def _counts(found: dict[Severity, int]) -> FindingCounts:
    return FindingCounts(**{severity.value: count for severity, count in found.items()})
