"""``scanplan diff``: compares the findings of two scans."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Annotated

import typer

from scanplan.api.documents.words import Severity
from scanplan.cli import options, result_source
from scanplan.cli.exceptions import marked, member
from scanplan.cli.output import severities
from scanplan.cli.output.failure import ANSWER_IS_NO, UNAVAILABLE, told
from scanplan.cli.output.tables import lives_table
from scanplan.cli.output.terminal import answers, say, warn, write_json
from scanplan.findings.difference import Change, difference
from scanplan.findings.exceptions import ScanException
from scanplan.findings.history import Entry
from scanplan.report import compare, scan
from scanplan.report.finding import RANK


@told
def diff(
    earlier: Annotated[
        str, typer.Argument(metavar="RUN_A", help="The earlier run: a plan, its runId, or either with ~1, ~2, …")
    ],
    later: Annotated[str, typer.Argument(metavar="RUN_B", help="The later run.")],
    output: options.TableFormat = options.TableOrJson.TABLE,
    severity: severities.Wanted = None,
    fail_on: severities.FailOn = None,
    exceptions: options.Exceptions = None,
    directory: options.Directory = None,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Print which findings are new, and which are resolved.

    \b
      scanplan diff nightly~1 nightly                 since the previous result
      scanplan diff 2026-11-23 2026-11-24             two runs, by their runId
      scanplan diff nightly~1 nightly --fail-on high  exit code 1 for new findings only

    Read from the histories of both results. A finding is resolved where a complete scan looked for it and did not see it. "Not
    seen" is what nobody can say that of: its template was not run, its target did not answer, or the two results are of
    different runs. Where the two scans did not look for the same things, a warning says so.

    Findings under a ScanException are marked, and --fail-on does not look at them.

    Exit codes: 0; 1 there are new findings, or some that came back, that --fail-on names; 69 there are none, but the later scan is
    not complete and --fail-on was given, or the claim can't be read; 66 no such run; 75 it hasn't ended yet.
    """
    wanted = severities.parsed(severity)
    found: dict[Change, list[Entry]] = {change: [] for change in Change}
    unchanged = 0
    with result_source.opened(directory, namespace, context, kubeconfig, exceptions) as shelves:
        before, after = shelves.find(earlier), shelves.find(later)
        for change, entry in difference(before.history.lines(), after.history.lines(), after.scan.started_at):
            if change is Change.UNCHANGED:
                unchanged += 1
            else:
                found[change].append(entry)
        suppressed = after.suppressed(itertools.chain.from_iterable(found.values()))
    remarks = [
        *(f"{before.name}: {remark}" for remark in scan.remarks(before.scan)),
        *(f"{after.name}: {remark}" for remark in scan.remarks(after.scan)),
        *compare.unlike(before.scan, after.scan),
    ]
    shown = {change: _most_severe_first(entries, wanted) for change, entries in found.items()}
    if output is options.TableOrJson.JSON:
        write_json(
            {
                "earlier": before.name,
                "later": after.name,
                "remarks": remarks,
                "unchanged": unchanged,
                **{
                    _NAMES[change]: [_summary(entry, suppressed.get(entry.identity)) for entry in shown[change]]
                    for change in _NAMES
                },
            }
        )
    else:
        rows = [(change, entry) for change in _NAMES for entry in shown[change]]
        if rows:
            marks = [marked(f"{_SIGNS[change]} {change}", suppressed.get(entry.identity)) for change, entry in rows]
            answers().print(lives_table([entry for _, entry in rows], marks))
        counts = ", ".join(f"{len(shown[change]):,} {change}" for change in _NAMES)
        say(f"{counts}, {unchanged:,} unchanged")
        for remark in remarks:
            warn(remark)
    if fail_on is None:
        return
    gates, fresh = severities.at_least(fail_on), [*found[Change.NEW], *found[Change.REOPENED]]
    if any(entry.severity in gates and entry.identity not in suppressed for entry in fresh):
        raise typer.Exit(ANSWER_IS_NO)
    if not after.scan.complete:
        say(f"error: nothing new that --fail-on names was found, but the scan of {after.name} is not complete")
        raise typer.Exit(UNAVAILABLE)


_NAMES = {
    Change.NEW: "new",
    Change.REOPENED: "reopened",
    Change.RESOLVED: "resolved",
    Change.NOT_SEEN: "notSeen",
}
_SIGNS = {Change.NEW: "+", Change.REOPENED: "+", Change.RESOLVED: "-", Change.NOT_SEEN: "?"}


def _most_severe_first(entries: Iterable[Entry], wanted: frozenset[Severity]) -> list[Entry]:
    chosen = (entry for entry in entries if entry.severity in wanted)
    return sorted(chosen, key=lambda entry: (RANK[entry.severity], entry.template, entry.where))


def _summary(entry: Entry, suppressed: ScanException | None) -> dict[str, object]:
    return {
        "identity": entry.identity,
        "fingerprint": entry.fingerprint,
        "severity": entry.severity.value,
        "name": entry.name,
        "template": entry.template,
        "host": entry.host,
        "matchedAt": entry.where,
        "firstSeen": entry.first_seen,
        "lastSeen": entry.last_seen,
        **member(suppressed),
    }
