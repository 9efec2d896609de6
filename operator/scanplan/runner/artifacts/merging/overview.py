"""`report.html`, made while the findings are merged.

Most findings of a large scan have no room on a page, and to read them all would cost more than the merge. How many there are of
each severity is known beforehand, from the attempts' records. So those that may be shown are picked by their severity as they
pass by, and only these are read. What has become of each is looked up in the history. Where a report can't be made, the merge
goes without.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import scanplan
from scanplan.api import layout
from scanplan.api.documents.records import ScanMetadata, ShardRecord
from scanplan.api.documents.report import ArtifactFile, FindingCounts
from scanplan.api.documents.words import Severity
from scanplan.findings.lookup import Life
from scanplan.report import page
from scanplan.report.finding import parse
from scanplan.runner.artifacts import durable, findings
from scanplan.runner.artifacts.merging.suppression import Suppression

MOST_SHOWN = 3_000
"""Findings that are read for the page."""
_log = logging.getLogger(__name__)


class Overview:
    """The report of one merge: sees the findings as they are copied, then publishes.

    Nothing here raises.
    """

    def __init__(self, task: Path, attempts: Sequence[ShardRecord], suppression: Suppression) -> None:
        """Begin the report of what these attempts have found, in a task's folder."""
        self._suppression = suppression
        self._task = task
        self._contents = page.Contents()
        self._broken = False
        room = MOST_SHOWN
        self._wanted: dict[str, int] = {}
        for severity in Severity:
            self._wanted[severity] = min(sum(getattr(attempt.findings, severity) for attempt in attempts), room)
            room -= self._wanted[severity]
        self._reads_all = room > 0

    def watch(self, counts: FindingCounts) -> Callable[[bytes], None] | None:
        """What has to see the blocks (whole lines) of one attempt's findings; None where no more of them are shown.

        Args:
            counts: the attempt's.
        """
        if self._reads_all:
            return self._see_all
        left = {severity: min(wanted, getattr(counts, severity)) for severity, wanted in self._wanted.items()}
        return (lambda block: self._pick(block, left)) if any(left.values()) and not self._broken else None

    def see(self, line: bytes, severity: str) -> None:
        """See a finding."""
        if self._broken:
            return
        with self._without_harm():
            if self._wanted[severity]:
                self._wanted[severity] -= 1
                self._contents.add(parse(line, self._suppression.of))

    def publish(self, metadata: ScanMetadata, life: Life) -> ArtifactFile | None:
        """Put the report beside the findings; None where there is none.

        Args:
            metadata: of the merge.
            life: finds what has become of a finding.
        """
        final = self._task / layout.REPORT
        if not self._broken:
            with self._without_harm():
                return self._write(metadata, life, final)
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

    def _see_all(self, block: bytes) -> None:
        for line, severity in findings.lines_of(block):
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

    def _write(self, metadata: ScanMetadata, life: Life, final: Path) -> ArtifactFile:
        temporary = final.with_name(f".{final.name}.{durable.unique()}")
        file = durable.CheckedFile(temporary)
        try:
            for piece in self._page(metadata, life):
                file.write(piece)
            file.close()
            durable.rename(temporary, final)
        except BaseException:
            with contextlib.suppress(OSError):
                file.close()
            temporary.unlink(missing_ok=True)
            raise
        return file.artifact(final.name)

    def _page(self, metadata: ScanMetadata, life: Life) -> Iterator[bytes]:
        return page.compose(
            metadata,
            self._contents,
            scanplan.__version__,
            counts=[getattr(metadata.findings, severity) for severity in Severity],
            suppressed=metadata.exceptions.suppressed.total if metadata.exceptions else 0,
            life=life,
        )
