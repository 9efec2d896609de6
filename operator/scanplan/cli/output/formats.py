"""Writes results in their formats, piece by piece, so that a result of any size can be written.

A `Selection` counts all findings, also those that are not shown, because `--fail-on` decides on all of them.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

import msgspec
from rich.console import Console
from rich.text import Text

import scanplan
from scanplan.api.documents.words import Severity
from scanplan.cli import exceptions
from scanplan.cli.output import tables
from scanplan.cli.result_source import Result
from scanplan.findings.exceptions import ScanException
from scanplan.findings.history import Entry
from scanplan.findings.lookup import Life
from scanplan.report import page, sarif, spreadsheet
from scanplan.report.finding import Finding, all_open, counted, severity_of
from scanplan.report.scan import remarks

MOST_ROWS = 1_000


class Output(StrEnum):
    """Formats of results."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"
    SARIF = "sarif"
    CSV = "csv"
    HTML = "html"


class Selection:
    """The findings of some severities. Only one of its iterators may be used, and only once."""

    def __init__(self, result: Result, wanted: frozenset[Severity]) -> None:
        self.result = result
        self.wanted = wanted
        self.counts: Counter[Severity] = Counter()
        """Findings read so far, by severity, whether selected or not."""
        self.suppressed: Counter[Severity] = Counter()
        """Those of them that fall under an exception."""

    def findings(self) -> Iterator[Finding]:
        """The selected findings, parsed as the reports need them."""
        for finding in self.result.findings:
            self.counts[finding.severity] += 1
            self.suppressed[finding.severity] += finding.suppressed is not None
            if finding.severity in self.wanted:
                yield finding

    def open(self) -> Iterator[Finding]:
        """Those of `findings` that fall under no exception."""
        return (finding for finding in self.findings() if finding.suppressed is None)

    def counted(self, *, include_suppressed: bool) -> Mapping[Severity, int]:
        """How many findings `findings`, or `open`, will give, by severity; the file is read for that."""
        suppressed = all_open if include_suppressed else self.result.findings.suppressed
        with self.result.findings.path.open("rb") as lines:
            found = counted(lines, suppressed)
        return {severity: found[severity] for severity in self.wanted}

    def lines(self) -> Iterator[tuple[bytes, ScanException | None]]:
        """The selected findings as Nuclei wrote them, without newlines, each with the exception that it falls under."""
        with self.result.findings.path.open("rb") as lines:
            for line in lines:
                severity, suppressed = severity_of(line), self.result.findings.suppressed(line)
                self.counts[severity] += 1
                self.suppressed[severity] += suppressed is not None
                if severity in self.wanted:
                    yield line.rstrip(b"\n"), suppressed

    def report(self) -> bytes | None:
        """The HTML report that the scan wrote; None where it wrote none, or where another one is needed.

        That is so where only some severities are selected, and where there are exceptions, or were at the time of the scan: the
        decisions of today count.
        """
        decided = self.result.findings.suppressed or self.result.scan.exceptions is not None
        if self.result.report is None or len(self.wanted) < len(Severity) or decided:
            return None
        self.counts.update({severity: getattr(self.result.scan.findings, severity) for severity in Severity})
        return self.result.report().read_bytes()


def table(selection: Selection, console: Console) -> Text:
    """Print the most severe findings; return a line that sums up all of them."""
    rows, shown = tables.ranked(selection.findings(), MOST_ROWS)
    if rows:
        console.print(tables.report_table(rows, _marks(rows)))
    words = tables.counted_words(shown)
    hidden = sum(selection.suppressed[severity] for severity in selection.wanted)
    if hidden:
        words += Text(f"; {hidden:,} under an exception")
    if shown.total() > MOST_ROWS:
        words += Text(f"; the {MOST_ROWS:,} most severe are shown, -o csv has all")
    return words


def _marks(rows: list[Finding]) -> list[str]:
    """Words about the exception of each row; nothing where no row has one."""
    marks = [exceptions.words(row.suppressed) if row.suppressed else "" for row in rows]
    return marks if any(marks) else []


def pieces(
    selection: Selection, output: Output, life: Life, *, resolved: bool = False, include_suppressed: bool = False
) -> Iterable[bytes]:
    """The result in a format for programs.

    Args:
        life: finds what is known of a finding from earlier scans.
        resolved: SARIF has also what this scan has resolved, as absent.
        include_suppressed: SARIF has findings under an exception too, marked as suppressed. Not all of its readers look at that.
    """
    result = selection.result
    match output:
        case Output.SARIF:
            found = selection.findings() if include_suppressed else selection.open()
            gone = _resolved(selection, include_suppressed=include_suppressed) if resolved else ()
            counts = functools.partial(selection.counted, include_suppressed=include_suppressed)
            return sarif.render(result.scan, found, scanplan.__version__, counts=counts, life=life, resolved=gone)
        case Output.CSV:
            return spreadsheet.render(selection.findings(), life)
        case Output.HTML:
            if (left := selection.report()) is not None:
                return [left]
            return page.render(
                result.scan,
                selection.findings(),
                scanplan.__version__,
                life=life,
                notes=_notes(selection.wanted),
                rest=result.place,
            )
        case Output.NDJSON:
            return (line + b"\n" for line, _ in selection.lines())
        case Output.JSON:
            return _json(selection)
        case Output.TABLE:
            raise ValueError("a table is for people: see `table`")


def _resolved(selection: Selection, *, include_suppressed: bool) -> Iterator[tuple[Entry, ScanException | None]]:
    result = selection.result
    for entry in result.history.entries():
        if entry.resolved_at == result.scan.started_at:
            suppressed = result.findings.suppressed.of_entry(entry)
            if include_suppressed or suppressed is None:
                yield entry, suppressed


def _notes(wanted: frozenset[Severity]) -> list[str]:
    some = [each.value for each in Severity if each in wanted]
    return (
        [f"Only findings of these severities are on this page: {', '.join(some)}."] if len(some) < len(Severity) else []
    )


def _marked(line: bytes, suppressed: ScanException) -> bytes:
    """A finding's object with one more member, which says what it falls under."""
    head, brace, _ = line.rpartition(b"}")
    if not brace or not head.strip():
        return line
    comma = b"" if head.strip() == b"{" else b","
    return head + comma + b'"suppressed":' + msgspec.json.encode(exceptions.described(suppressed)) + b"}"


def _json(selection: Selection) -> Iterator[bytes]:
    result, scan = selection.result, selection.result.scan
    head = {
        "run": result.name,
        "projectId": scan.project_id,
        "runId": scan.run_id,
        "complete": scan.complete,
        "remarks": remarks(scan),
        "place": result.place,
        "endpoints": {
            "total": scan.endpoints,
            "scanned": scan.endpoints_scanned,
            "unreachable": scan.endpoints_unreachable,
        },
    }
    yield json.dumps(head)[:-1].encode() + b', "findings": ['
    separator = b"\n"
    for line, suppressed in selection.lines():
        yield separator + (_marked(line, suppressed) if suppressed else line)
        separator = b",\n"
    yield b"\n]}\n"
