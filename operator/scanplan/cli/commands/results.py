"""``scanplan results``: a scan's findings as a table, as a file for other tools, or as a gate of a pipeline."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Annotated

import typer

from scanplan.api.documents.words import Severity
from scanplan.cli import options, result_source
from scanplan.cli.output import severities
from scanplan.cli.output.failure import ANSWER_IS_NO, UNAVAILABLE, USAGE, Failure, told
from scanplan.cli.output.formats import Output, Selection, pieces, table
from scanplan.cli.output.terminal import answers, pour, say, warn, written_to
from scanplan.cli.result_source import Result
from scanplan.findings.history import State
from scanplan.report import scan


@told
def results(
    run: options.RunName,
    output: Annotated[Output, typer.Option("--output", "-o", help="Format.")] = Output.TABLE,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="Write it to this file.", dir_okay=False, show_default=False),
    ] = None,
    severity: severities.Wanted = None,
    fail_on: severities.FailOn = None,
    only_new: severities.OnlyNew = False,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Add what this scan has resolved, as absent (sarif).")
    ] = False,
    include_suppressed: Annotated[
        bool, typer.Option("--include-suppressed", help="SARIF has findings under an exception too, marked.")
    ] = False,
    exceptions: options.Exceptions = None,
    directory: options.Directory = None,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Print what a scan has found.

    \b
      scanplan results nightly                                  a table, most severe first
      scanplan results nightly --severity critical,high
      scanplan results nightly --fail-on high                   exit code for a pipeline
      scanplan results nightly --fail-on high --new             the same, for what the run did not have before
      scanplan results nightly -o sarif -f nightly.sarif        for GitHub's code scanning
      scanplan results nightly -o html -f nightly.html          a page that marks what is new
      scanplan results nightly~1 -o ndjson | jq .info.name      the previous result, as Nuclei wrote it

    Findings are read from the plan's claim through a short-lived pod in its namespace, with your own rights (create pods,
    create pods/exec), and checked against their published SHA-256 sums.

    Findings under a ScanException are marked and counted, and --fail-on does not look at them. The exceptions and the time of now
    count, not those of the scan. SARIF has no finding under an exception, unless --include-suppressed asks for it.

    Exit codes: 0; 1 there are findings that --fail-on names; 69 there are none, but the scan is not complete and --fail-on was
    given, or the claim can't be read; 66 no such run; 75 it hasn't ended yet.
    """
    wanted = severities.parsed(severity)
    if resolved and output is not Output.SARIF:
        raise Failure("--resolved adds results to SARIF", "-o sarif, or scanplan findings --state resolved", USAGE)
    if output is Output.HTML and file is None and sys.stdout.isatty():
        raise Failure("a report is no text for a terminal", "--file report.html", USAGE)
    if include_suppressed and output is not Output.SARIF:
        raise Failure("--include-suppressed is about SARIF: all other formats have them", "-o sarif", USAGE)
    if only_new and fail_on is None:
        raise Failure("--new is about --fail-on", "--fail-on high --new", USAGE)
    with result_source.opened(directory, namespace, context, kubeconfig, exceptions) as shelves:
        result = shelves.find(run)
        has_new = only_new and fail_on is not None and _has_new(result, severities.at_least(fail_on))
        selection = Selection(result, wanted)
        with result.history.opened() as life:
            _write(
                selection,
                output,
                file,
                lambda: pieces(selection, output, life, resolved=resolved, include_suppressed=include_suppressed),
            )
    for remark in scan.remarks(result.scan):
        warn(remark)
    if fail_on is None:
        return
    left = selection.counts - selection.suppressed
    if has_new if only_new else any(left[each] for each in severities.at_least(fail_on)):
        raise typer.Exit(ANSWER_IS_NO)
    if not result.scan.complete:
        say("error: nothing that --fail-on names was found, but the scan is not complete")
        raise typer.Exit(UNAVAILABLE)


def _write(selection: Selection, output: Output, file: Path | None, content: Callable[[], Iterable[bytes]]) -> None:
    if file is None:
        if output is Output.TABLE:
            words = table(selection, answers())
            say("")
            say(words.plain)
        else:
            pour(content(), sys.stdout.buffer)
        return
    try:
        if output is Output.TABLE:
            with file.open("w", encoding="utf-8") as target:
                table(selection, written_to(target))
        else:
            with file.open("wb") as target_of_bytes:
                pour(content(), target_of_bytes)
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from None
    say(f"{file}: {sum(selection.counts[each] for each in selection.wanted):,} findings")


def _has_new(result: Result, gates: Collection[Severity]) -> bool:
    """Whether there is a finding that the run did not have before, or that came back, and that falls under no exception.

    Raises:
        Failure: the scan has left no history.
    """
    if not result.history.published:
        hint = f"scanplan rerun {result.scan.plan.name or result.name}"
        raise Failure(f"{result.name} has no history, so what is new is not known", hint, UNAVAILABLE)
    with result.history.opened() as life:
        return any(
            (known := life(finding.identity)) is None or known.state is not State.OPEN
            for finding in result.findings
            if finding.severity in gates and finding.suppressed is None
        )
