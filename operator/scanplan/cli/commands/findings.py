"""``scanplan findings``: a run's findings over time."""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec
import typer

from scanplan.cli import options, result_source
from scanplan.cli.exceptions import marked, member
from scanplan.cli.output import severities
from scanplan.cli.output.failure import told
from scanplan.cli.output.tables import counted_words, lives_table
from scanplan.cli.output.terminal import answers, say, write_json
from scanplan.findings.listing import Which, listed

MOST_ROWS = 1_000


@told
def findings(
    run: options.RunName,
    state: Annotated[Which, typer.Option(help="Which ones.")] = Which.OPEN,
    output: options.TableFormat = options.TableOrJson.TABLE,
    severity: severities.Wanted = None,
    exceptions: options.Exceptions = None,
    directory: options.Directory = None,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """List what is open, since when, and what is resolved.

    \b
      scanplan findings nightly                     all that are open, most severe first
      scanplan findings nightly --state new         what the last scan has found for the first time, or again
      scanplan findings nightly --state resolved    what is gone, as a complete scan has seen
      scanplan findings nightly -o json | jq '.items[].firstSeen'

    A finding is open until a complete scan runs its template against its target and does not see it. Those under a ScanException
    stay in the list, marked.

    Exit codes: 0; 66 no such run; 75 it has not ended yet.
    """
    wanted = severities.parsed(severity)
    with result_source.opened(directory, namespace, context, kubeconfig, exceptions) as shelves:
        result = shelves.find(run)
        most = sys.maxsize if output is options.TableOrJson.JSON else MOST_ROWS
        rows, counts = listed(result.history.entries(), state, wanted, most)
        suppressed = result.suppressed(rows)
    if output is options.TableOrJson.JSON:
        items = [msgspec.to_builtins(entry) | member(suppressed.get(entry.identity)) for entry in rows]
        write_json({"run": result.name, "items": items})
        return
    if rows:
        marks = [marked(entry.state, suppressed.get(entry.identity)) for entry in rows]
        answers().print(lives_table(rows, marks))
    say(counted_words(counts).plain)
