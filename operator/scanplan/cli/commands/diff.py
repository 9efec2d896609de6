"""``scanplan diff``: compares the findings of two scans."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from scanplan.cli import options, result_source
from scanplan.cli.output import severities
from scanplan.cli.output.failure import ANSWER_IS_NO, told
from scanplan.cli.output.tables import report_table
from scanplan.cli.output.terminal import answers, say, warn, write_json
from scanplan.report import compare, scan
from scanplan.report.finding import Finding


class Output(StrEnum):
    """Formats of a difference."""

    TABLE = "table"
    JSON = "json"


@told
def diff(
    earlier: Annotated[
        str, typer.Argument(metavar="RUN_A", help="The earlier run: a plan, its runId, or either with ~1, ~2, …")
    ],
    later: Annotated[str, typer.Argument(metavar="RUN_B", help="The later run.")],
    output: Annotated[Output, typer.Option("--output", "-o", help="Format.")] = Output.TABLE,
    severity: severities.Wanted = None,
    fail_on: severities.FailOn = None,
    directory: options.Directory = None,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Print which findings are new, and which are gone.

    \b
      scanplan diff nightly~1 nightly                 since the result before
      scanplan diff 2026-11-23 2026-11-24             two runs, by their runId
      scanplan diff nightly~1 nightly --fail-on high  exit code 1 for new findings only

    Findings are the same where template, place, matcher and extracted values are; when they were seen doesn't count. Where
    the two scans did not look for the same things, a warning says so.

    Exit codes: 0; 1 there are new findings that --fail-on names; 66 no such run.
    """
    wanted = severities.parsed(severity)
    with result_source.opened(directory, namespace, context, kubeconfig) as shelves:
        before, after = shelves.find(earlier), shelves.find(later)
        change = compare.difference(before.findings, after.findings)
    remarks = [
        *(f"{before.name}: {remark}" for remark in scan.remarks(before.scan)),
        *(f"{after.name}: {remark}" for remark in scan.remarks(after.scan)),
        *compare.unlike(before.scan, after.scan),
    ]
    new = [finding for finding in change.new if finding.severity in wanted]
    fixed = [finding for finding in change.fixed if finding.severity in wanted]
    if output is Output.JSON:
        write_json(
            {
                "earlier": before.name,
                "later": after.name,
                "remarks": remarks,
                "unchanged": change.unchanged,
                "new": [_summary(finding) for finding in new],
                "fixed": [_summary(finding) for finding in fixed],
            }
        )
    else:
        rows: list[Finding] = [*new, *fixed]
        if rows:
            answers().print(report_table(rows, ["+ new"] * len(new) + ["- gone"] * len(fixed)))
        say(f"{len(new):,} new, {len(fixed):,} gone, {change.unchanged:,} unchanged")
        for remark in remarks:
            warn(remark)
    if fail_on and any(finding.severity in severities.at_least(fail_on) for finding in change.new):
        raise typer.Exit(ANSWER_IS_NO)


def _summary(finding: Finding) -> dict[str, object]:
    return {
        "fingerprint": finding.fingerprint,
        "severity": finding.severity.value,
        "name": finding.name,
        "template": finding.template_id,
        "host": finding.host,
        "matchedAt": finding.matched_at,
    }
