"""`history.ndjson`, made while the findings are merged.

It goes on from the history of the task that this task's own record names (`TaskRecord.compared_with`), which all mergers find the
same. A result of an older version has no history: its findings are taken in as seen by its own scan. The records of this scan are
sorted on the volume, so memory is bounded however many there are. Times are those of the scans' metadata.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from scanplan.api import layout, wire
from scanplan.api.v1alpha1.task import ArtifactFile, FindingCounts, HistoryCounts, Severity
from scanplan.findings import history
from scanplan.findings.history import Sighting, Tally
from scanplan.findings.ran import Ran, ShardRan
from scanplan.runner.artifacts import durable, records, run_record
from scanplan.runner.artifacts.records import ScanMetadata, ShardCoverage
from scanplan.runner.artifacts.sorting import Sorter

KEPT_DAYS = 365
"""So long a finding stays in the history after it was resolved."""
_BLOCK_BYTES = 1 << 20


class Baseline(msgspec.Struct, frozen=True):
    """The scan that a history goes on from."""

    task: Path
    metadata: ScanMetadata


def baseline(task: Path) -> Baseline | None:
    """The scan before, as a task's own record names it; None where there is none, or it is not on the volume any more."""
    record = run_record.task_record(task)
    if record is None or record.compared_with is None:
        return None
    earlier = task.parent / PurePosixPath(record.compared_with).name
    found = run_record.metadata(earlier)
    return Baseline(earlier, found) if found is not None and found.complete else None


class HistoryWriter:
    """The history of one merge: takes the findings as they are copied, then writes and publishes."""

    def __init__(self, task: Path) -> None:
        self._task = task
        self._final = task / layout.HISTORY
        self._sorter = Sorter(task)
        self._written: durable.CheckedFile | None = None
        self.before = baseline(task)

    def take(self, block: bytes) -> None:
        """Take whole lines of findings.

        Raises:
            OSError: the claim didn't take what is put aside.
        """
        _take(self._sorter, block)

    def write(self, moment: str, ran: Callable[[], Ran] | None) -> HistoryCounts:
        """Write the history under a name that nobody sees.

        Args:
            moment: when the scan began.
            ran: where it looked; None where it is not complete, and resolves nothing.

        Raises:
            OSError: the claim refused.
        """
        tally = Tally()
        file = self._written = durable.CheckedFile(self._final.with_name(f".{self._final.name}.{durable.unique()}"))
        with self._lines_before() as before:
            looked = ran().looked_for if ran and self.before else _nowhere
            lines = history.continued(before, self._sorter, moment, looked, tally, forgotten=_forgotten(moment))
            block, size = [], 0
            for line in lines:
                block.append(line)
                size += len(line)
                if size >= _BLOCK_BYTES:
                    file.write(b"".join(block))
                    block, size = [], 0
            file.write(b"".join(block))
        file.close()
        return HistoryCounts(
            since=self.before.metadata.started_at if self.before else "",
            new=_counts(tally.new),
            resolved=_counts(tally.resolved),
            reopened=_counts(tally.reopened),
            open=_counts(tally.open),
        )

    def publish(self) -> ArtifactFile:
        """Give the history its name.

        Raises:
            OSError: the claim refused.
        """
        assert self._written is not None  # noqa: S101 - `write` comes first
        durable.rename(self._written.path, self._final)
        return self._written.artifact(layout.HISTORY)

    def close(self) -> None:
        """Remove what was not published."""
        self._sorter.close()
        if self._written is not None:
            with contextlib.suppress(OSError):
                self._written.close()
            self._written.path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _lines_before(self) -> Iterator[Iterator[bytes]]:
        """The lines of the history before; those of an older version's result are made from its findings."""
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
            while block := file.read(_BLOCK_BYTES):
                _take(sorter, block + file.readline())
            began = self.before.metadata.started_at
            yield history.continued((), sorter, began, _nowhere, Tally())


def ran(parts: Sequence[tuple[Sequence[str], Path]]) -> Ran:
    """Where a complete scan has looked.

    Args:
        parts: of each shard the endpoints, and the folder of its complete attempt. One without a readable coverage looked nowhere.
    """
    shards = []
    templates: dict[frozenset[str], frozenset[str]] = {}
    for endpoints, folder in parts:
        found = _coverage(folder)
        if found is not None:
            names = frozenset(found.templates)
            gaps = {name: int(mask, 16) for name, mask in found.gaps.items()}
            shard = ShardRan(
                endpoints=endpoints,
                trusted=int(found.trusted, 16),
                templates=templates.setdefault(names, names),  # nearly always the same in all shards
                gaps=gaps,
            )
            shards.append(shard)
    return Ran(shards)


def _coverage(attempt: Path) -> ShardCoverage | None:
    try:
        return msgspec.json.decode(durable.read_record(attempt / layout.COVERAGE), type=ShardCoverage)
    except (FileNotFoundError, PermissionError, *wire.UNREADABLE):
        return None


def _take(sorter: Sorter, block: bytes) -> None:
    for line in block.split(b"\n"):
        if line and (found := history.sighting(line)) is not None:
            sorter.add(history.record(found))


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
