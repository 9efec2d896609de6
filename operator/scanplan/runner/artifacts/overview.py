"""`report.html`, made while the findings are merged.

Most findings of a large scan have no room on a page, and to read them all would cost more than the merge. How many there are
of each severity is known beforehand, from the attempts' records; so those that may be shown are picked by their severity as
they pass by, and only these are read. What is new is told by fingerprint against the task that the task's own record names,
which all mergers find the same. Where a report can't be made, the merge goes without.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import msgspec

import scanplan
from scanplan.api import layout
from scanplan.api.v1alpha1.task import ArtifactFile, FindingCounts, Severity
from scanplan.report import compare, page, scan
from scanplan.report.finding import parse
from scanplan.runner.artifacts import durable, findings, fingerprint, run_record
from scanplan.runner.artifacts.records import ScanMetadata, ShardRecord
from scanplan.runner.artifacts.suppression import Suppression

MOST_SHOWN = 3_000
"""Findings that are read for the page."""
MOST_COMPARED = 25_000
"""Findings of either scan; with more, what is new is left to those who ask for it, who have more memory and time."""
MOST_COMPARED_BYTES = 128 << 20
_log = logging.getLogger(__name__)


class _Baseline(msgspec.Struct, frozen=True):
    """The scan to compare with."""

    scan: scan.Scan
    marks: frozenset[bytes]


class Overview:
    """The report of one merge: sees the findings as they are copied, then publishes.

    Nothing here raises.
    """

    def __init__(self, task: Path, attempts: Sequence[ShardRecord], suppression: Suppression) -> None:
        """Begin the report of what these attempts have found, in a task's folder."""
        self._suppression = suppression
        self._task = task
        self._contents = page.Contents()
        self._new: set[bytes] = set()
        self._kept: set[bytes] = set()
        self._broken = False
        room = MOST_SHOWN
        self._wanted: dict[str, int] = {}
        for severity in Severity:
            self._wanted[severity] = min(sum(getattr(attempt.findings, severity) for attempt in attempts), room)
            room -= self._wanted[severity]
        self._baseline: _Baseline | None = None
        self._compared = ""
        with self._without_harm():
            self._compare(attempts)
        self._reads_all = room > 0 or self._baseline is not None

    def watch(self, counts: FindingCounts) -> Callable[[bytes], None]:
        """What has to see the blocks (whole lines) of one attempt's findings.

        Args:
            counts: the attempt's.
        """
        if self._reads_all:
            return self._see_all
        left = {severity: min(wanted, getattr(counts, severity)) for severity, wanted in self._wanted.items()}
        return lambda block: self._pick(block, left)

    def see(self, line: bytes, severity: str) -> None:
        """See a finding."""
        if self._broken:
            return
        with self._without_harm():
            new = False
            if self._baseline is not None:
                mark = fingerprint.of(line)
                new = mark not in self._baseline.marks
                (self._new if new else self._kept).add(mark)
            if self._wanted[severity]:
                self._wanted[severity] -= 1
                self._contents.add(parse(line, fingerprint.of, self._suppression.of), new=new)

    def publish(self, metadata: ScanMetadata) -> ArtifactFile | None:
        """Put the report beside the findings; None where there is none.

        Args:
            metadata: of the merge.
        """
        final = self._task / layout.REPORT
        if not self._broken:
            with self._without_harm():
                return self._write(metadata, final)
        with contextlib.suppress(OSError):
            final.unlink(missing_ok=True)  # that of an earlier, partial merge
        return None

    @contextlib.contextmanager
    def _without_harm(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # a scan whose findings are safe must not fail for its report
            self._broken = True
            _log.warning("There is no %s, the findings are complete without it: %r", layout.REPORT, error)

    def _compare(self, attempts: Sequence[ShardRecord]) -> None:
        record = run_record.task_record(self._task)
        if record is None or record.compared_with is None:
            self._compared = "nothing: no other scan of this run was complete when this one began"
            return
        earlier = self._task.parent / PurePosixPath(record.compared_with).name
        try:
            before = scan.read(durable.read_record(earlier / layout.METADATA))
            here = [file.bytes for attempt in attempts for file in attempt.files if file.name == layout.FINDINGS]
            size = max(sum(here), (earlier / layout.FINDINGS).stat().st_size)
            count = max(sum(attempt.findings.total for attempt in attempts), before.findings.total)
            if count > MOST_COMPARED or size > MOST_COMPARED_BYTES:
                self._compared = "nothing: there are too many findings to compare them in a scan's pod"
                return
            self._compared = (
                f"the scan of this run that began {page.moment(before.started_at)}, the last complete one then"
            )
            with durable.open_regular(earlier / layout.FINDINGS) as lines:
                self._baseline = _Baseline(before, frozenset(map(fingerprint.of, lines)))
        except (OSError, ValueError):
            self._compared = "nothing: the complete scan before this one is not on the volume any more"

    def _see_all(self, block: bytes) -> None:
        for line in block.split(b"\n"):
            if (severity := findings.severity_of(line)) is not None:
                self.see(line, severity)

    def _pick(self, block: bytes, left: dict[str, int]) -> None:
        """See the lines of a severity of which some are `left` to be found, spelled as Nuclei spells it."""
        for severity in [severity for severity, count in left.items() if count]:
            spelled = f'"severity":"{severity}"'.encode()
            at = block.find(spelled)
            while at >= 0 and left[severity]:
                end = block.find(b"\n", at) + 1 or len(block)
                line = block[block.rfind(b"\n", 0, at) + 1 : end]
                if findings.severity_of(line) == severity:
                    left[severity] -= 1
                    self.see(line, severity)
                at = block.find(spelled, end)

    def _write(self, metadata: ScanMetadata, final: Path) -> ArtifactFile:
        temporary = final.with_name(f".{final.name}.{durable.unique()}")
        file = durable.CheckedFile(temporary)
        try:
            for piece in self._page(metadata):
                file.write(piece)
            file.close()
            durable.rename(temporary, final)
        except BaseException:
            with contextlib.suppress(OSError):
                file.close()
            temporary.unlink(missing_ok=True)
            raise
        return file.artifact(final.name)

    def _page(self, metadata: ScanMetadata) -> Iterator[bytes]:
        this = scan.read(msgspec.json.encode(metadata))
        since = None
        if self._baseline is not None:
            since = page.Since(
                run=page.moment(self._baseline.scan.started_at),
                new=frozenset(mark.hex() for mark in self._new),
                fixed=len(self._baseline.marks - self._kept),
                remarks=tuple(compare.unlike(self._baseline.scan, this)),
            )
        return page.compose(
            this,
            self._contents,
            scanplan.__version__,
            counts=[getattr(metadata.findings, severity) for severity in Severity],
            suppressed=metadata.exceptions.suppressed.total if metadata.exceptions else 0,
            since=since,
            compared=self._compared,
        )
