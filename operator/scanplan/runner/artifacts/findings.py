"""Turns Nuclei's standard output into our findings file, line by line.

A line is decoded just far enough to count it: is it a match, and how severe? Its bytes go to the file at once, as they came. So
a finding that was read is on the volume before the next read, and the counts are those of the lines written. What is no JSON
object is kept aside in a file of its own, however long it is, and never ends the scan.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from scanplan.api import wire
from scanplan.api.documents.report import FindingCounts
from scanplan.api.documents.words import Severity
from scanplan.findings import fingerprint
from scanplan.runner.artifacts import durable
from scanplan.runner.artifacts.durable import CheckedFile
from scanplan.runner.artifacts.redaction import Pieces, Redactor
from scanplan.runner.nuclei.lines import MAX_LINE_BYTES, Lines

_TAIL_LINES = 40
_TAIL_COLUMNS = 400


class _Information(msgspec.Struct):
    severity: str = ""


class _Event(msgspec.Struct, rename="kebab"):
    """As much of a JSONL event as counting needs (Nuclei's pkg/output, ResultEvent)."""

    template_id: str
    info: _Information = msgspec.field(default_factory=_Information)
    matcher_status: bool = True


_decode = wire.decoder(_Event).decode
_SEVERITIES = {severity.value: severity.value for severity in Severity}


class Findings:
    """The findings file of one attempt while it is being written.

    Raises (from `feed` and `finish`):
        OSError: the volume didn't take all; the counts are those of the lines that it took.
    """

    def __init__(self, file: CheckedFile, malformed: Path, *, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self.malformed_lines = 0
        self.unmatched = 0
        """Events of matchers that did not match; they are no findings, and are left out."""
        self.redactor = Redactor({})
        """Takes secrets out of what is written."""
        self.distinct = False
        """Leave out a finding that is there already, which an automatic scan makes of templates that look for technologies."""
        self._known: set[bytes] = set()
        """Fingerprints, where findings are to be distinct."""
        self._pieces: Pieces | None = None
        """The overlong line that is being kept aside."""
        self.remark: Callable[[bytes], bool] | None = None
        """Takes a line that is no event; whether it is none of ours: what Nuclei writes there for people."""
        self.matched: set[str] = set()
        """Ids of the templates that found something."""
        self._counts: collections.Counter[str] = collections.Counter()
        self._file = file
        self._lines = Lines(max_line_bytes)
        self._malformed_path = malformed
        self._malformed: CheckedFile | None = None
        self._tail: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)

    @property
    def counts(self) -> FindingCounts:
        """Findings written so far, by severity."""
        return FindingCounts(**self._counts)

    @property
    def total(self) -> int:
        return self._counts.total()

    @property
    def output(self) -> str:
        """The last lines that were no findings: what Nuclei says about wrong flags goes to stdout."""
        return "\n".join(self._tail)

    @property
    def malformed(self) -> CheckedFile | None:
        """The file with the lines that are no findings; None where there were none."""
        return self._malformed

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of Nuclei's stdout."""
        lines, overlong = self._lines.feed(chunk)
        for piece in overlong:
            self._pieces = self._pieces or Pieces(self.redactor)
            self._keep_aside(self._pieces.feed(piece))
            if piece.endswith(b"\n"):
                self._pieces = None
        self._take(lines)

    def finish(self) -> None:
        """Take the end of Nuclei's stdout. A last line without newline counts only if it is whole."""
        if self._pieces is not None:
            self._keep_aside(self._pieces.rest())
            self._pieces = None
        if rest := self._lines.rest():
            self._take([rest])

    def _take(self, lines: list[bytes]) -> None:
        accepted: list[bytes] = []
        severities: list[str] = []
        for line in lines:
            try:
                event = _decode(line)
            except wire.UNREADABLE:
                if line and not line.isspace() and not (self.remark and self.remark(line)):
                    self._keep_aside(self.redactor.raw(line) + b"\n")
                continue
            if event.matcher_status:
                if self.distinct:
                    mark = fingerprint.of(line)
                    if mark in self._known:
                        continue
                    self._known.add(mark)
                accepted.append(self.redactor.finding(line))
                severities.append(event.info.severity)
                self.matched.add(event.template_id)
            else:
                self.unmatched += 1
        if not accepted:
            return
        accepted.append(b"")
        block = b"\n".join(accepted)
        before = self._file.size
        try:
            self._file.write(block)
        except OSError:
            del severities[block.count(b"\n", 0, self._file.size - before) :]
            raise
        finally:
            for severity in severities:
                self._counts[_severity(severity)] += 1

    def _keep_aside(self, piece: bytes) -> None:
        """Keep what is no finding, redacted."""
        if not piece:
            return
        self._tail.append(piece[:_TAIL_COLUMNS].decode(errors="replace").rstrip())
        if self._malformed is None:
            self._malformed = CheckedFile(self._malformed_path)
        if piece.endswith(b"\n"):
            self.malformed_lines += 1
        self._malformed.write(piece)


def severity_of(line: bytes) -> str | None:
    """The severity of a finding's line; None where it is no finding."""
    try:
        event = _decode(line)
    except wire.UNREADABLE:
        return None
    return _severity(event.info.severity) if event.matcher_status else None


def lines_of(block: bytes) -> Iterator[tuple[bytes, str]]:
    """The findings in a block of whole lines, each with its severity."""
    for line in block.split(b"\n"):
        if (severity := severity_of(line)) is not None:
            yield line, severity


def count(path: Path) -> FindingCounts:
    """Count the findings of a file, by severity; lines that are none don't count."""
    with durable.open_regular(path) as file:
        counts = collections.Counter(severity for line in file if (severity := severity_of(line)) is not None)
    return FindingCounts(**counts)


def _severity(text: str) -> str:
    return _SEVERITIES.get(text) or Severity.of(text).value
