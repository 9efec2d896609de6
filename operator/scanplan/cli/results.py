"""``scanplan results``: what a scan has found, for eyes, spreadsheets, code scanning and pipelines."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

import scanplan
from scanplan.api.task import Severity
from scanplan.cli import library, options, severities, tables
from scanplan.cli.failure import ANSWER_IS_NO, UNAVAILABLE, USAGE, Failure, told
from scanplan.cli.terminal import answers, say, warn
from scanplan.report import compare, page, sarif, spreadsheet
from scanplan.report.finding import Finding, parse
from scanplan.report.scan import remarks

if TYPE_CHECKING:
    from scanplan.cli.library import Library, Result
    from scanplan.report.page import Since

MOST_ROWS = 1_000


class Output(StrEnum):
    """Formats of results."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"
    SARIF = "sarif"
    CSV = "csv"
    HTML = "html"


@told
def results(
    run: options.RunName,
    output: Annotated[Output, typer.Option("--output", "-o", help="Format.")] = Output.TABLE,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Write it to this file.", dir_okay=False, show_default=False)
    ] = None,
    severity: severities.Wanted = None,
    fail_on: severities.FailOn = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Mark what is new since this run (html), such as PLAN~1.", show_default=False),
    ] = None,
    directory: options.Directory = None,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Print what a scan has found.

    \b
      scanplan results nightly                                  a table, gravest first
      scanplan results nightly --severity critical,high
      scanplan results nightly --fail-on high                   exit code for a pipeline
      scanplan results nightly -o sarif -f nightly.sarif        for GitHub's code scanning
      scanplan results nightly -o html -f nightly.html --since nightly~1
      scanplan results nightly~1 -o ndjson | jq .info.name      the result before the last, as Nuclei wrote it

    Findings are read from the plan's claim through a short-lived pod in its namespace, with your own rights (create pods,
    create pods/exec), and checked against their published SHA-256 sums.

    Exit codes: 0; 1 there are findings that --fail-on names; 69 there are none, but the scan is not complete and --fail-on was
    given, or the claim can't be read; 66 no such run; 75 it hasn't ended yet.
    """
    wanted = severities.parsed(severity)
    if since and output is not Output.HTML:
        raise Failure("--since marks what is new in a report", "-o html, or scanplan diff", USAGE)
    if output is Output.HTML and file is None and sys.stdout.isatty():
        raise Failure("a report is no text for a terminal", "--file report.html", USAGE)
    with library.opened(directory, namespace, context, kubeconfig) as shelves:
        result = shelves.find(run)
        changes = _since(shelves, since, result) if since else None
        counts = _write(result, output, file, wanted, changes)
    remarks = _remarks(result)
    for remark in remarks:
        warn(remark)
    if fail_on is None:
        return
    if sum(counts[each] for each in severities.at_least(fail_on)):
        raise typer.Exit(ANSWER_IS_NO)
    if not result.scan.complete:
        say("error: nothing that --fail-on names was found, but the scan is not complete")
        raise typer.Exit(UNAVAILABLE)


def _write(
    result: Result, output: Output, file: Path | None, wanted: frozenset[Severity], since: Since | None
) -> Counter[Severity]:
    """Write the result; returns how many findings there are of each severity, whether wanted or not."""
    counts: Counter[Severity] = Counter()

    def chosen() -> Iterator[Finding]:
        for finding in result.findings:
            counts[finding.severity] += 1
            if finding.severity in wanted:
                yield finding

    if output is Output.TABLE and file is None:
        rows, shown = tables.ranked(chosen(), MOST_ROWS)
        out = answers()
        if rows:
            out.print(tables.report_table(rows))
        say("")
        words = tables.counted_words(shown)
        say(
            words.plain
            if shown.total() <= MOST_ROWS
            else f"{words.plain}; the {MOST_ROWS:,} gravest are shown, -o csv has all"
        )
        return counts
    if file is None:
        _pour(_pieces(result, output, chosen(), counts, wanted, since), sys.stdout.buffer)
        return counts
    try:
        with file.open("wb") as target:
            _pour(_pieces(result, output, chosen(), counts, wanted, since), target)
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from None
    say(f"{file}: {counts.total():,} findings")
    return counts


def _pieces(
    result: Result,
    output: Output,
    findings: Iterator[Finding],
    counts: Counter[Severity],
    wanted: frozenset[Severity],
    since: Since | None,
) -> Iterable[bytes]:
    match output:
        case Output.SARIF:
            return sarif.render(result.scan, findings, scanplan.__version__)
        case Output.CSV:
            return spreadsheet.render(findings)
        case Output.HTML:
            some = [each.value for each in Severity if each in wanted]
            notes = [f"Only findings of these severities are on this page: {', '.join(some)}."]
            return page.render(
                result.scan,
                findings,
                scanplan.__version__,
                since=since,
                notes=notes if len(some) < len(Severity) else (),
                rest=result.place,
            )
        case Output.NDJSON:
            return (line + b"\n" for line in _lines(result, counts, wanted))
        case Output.JSON:
            return _json(result, _lines(result, counts, wanted))
        case Output.TABLE:
            return (
                f"{each.severity}\t{each.name}\t{each.matched_at}\t{each.template_id}\n".encode() for each in findings
            )


def _lines(result: Result, counts: Counter[Severity], wanted: frozenset[Severity]) -> Iterator[bytes]:
    """The lines as Nuclei wrote them."""
    with result.findings.path.open("rb") as lines:
        for line in lines:
            severity = parse(line, lambda _: b"").severity
            counts[severity] += 1
            if severity in wanted:
                yield line.rstrip(b"\n")


def _json(result: Result, lines: Iterator[bytes]) -> Iterator[bytes]:
    scan = result.scan
    head = {
        "run": result.name,
        "projectId": scan.project_id,
        "runId": scan.run_id,
        "complete": scan.complete,
        "remarks": _remarks(result),
        "place": result.place,
        "endpoints": {
            "total": scan.endpoints,
            "scanned": scan.endpoints_scanned,
            "unreachable": scan.endpoints_unreachable,
        },
    }
    yield json.dumps(head)[:-1].encode() + b', "findings": ['
    separator = b"\n"
    for line in lines:
        yield separator + line
        separator = b",\n"
    yield b"\n]}\n"


def _remarks(result: Result) -> list[str]:
    return remarks(result.scan)


def _since(shelves: Library, earlier: str, result: Result) -> Since:
    before = shelves.find(earlier)
    change = compare.difference(before.findings, result.findings)
    return page.Since(earlier, change.new_marks, len(change.fixed), tuple(compare.unlike(before.scan, result.scan)))


def _pour(pieces: Iterable[bytes], target: BinaryIO) -> None:
    for piece in pieces:
        target.write(piece)
    target.flush()
