"""``scanplan watch``: shows plans while they run.

On a terminal it shows a live table with a bar for each plan or, for a single plan, for each shard. In a pipe it prints a line for
each change.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from scanplan.api.documents.words import Severity
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.cli import options, plans
from scanplan.cli.output import progress
from scanplan.cli.output.failure import ANSWER_IS_NO, USAGE, Failure, NotFound, told
from scanplan.cli.output.tables import STYLES
from scanplan.cli.output.terminal import Terminal, answers, line, say
from scanplan.kube.resources import PLANS

if TYPE_CHECKING:
    from scanplan.cli.output.progress import Progress
    from scanplan.client.cluster.cluster import Cluster

LOOK_SECONDS = 2.0
"""Seconds between two reads of the pods of running plans."""
MOST_LOOKED_AT = 20
"""Limit of running plans whose pods are read."""
MOST_SHARDS = 24

Plan = dict[str, Any]


@told
def watch(
    names: options.PlanNames = None,
    findings: Annotated[
        bool, typer.Option("--findings", help="Print one plan's findings as Nuclei prints them. They are not final.")
    ] = False,
    output: Annotated[
        options.TableOrJson, typer.Option("--output", "-o", help="Format of --findings; json: an object a line.")
    ] = options.TableOrJson.TABLE,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Watch plans as they run. State, progress, rate, time left, findings as they come.

    \b
      scanplan watch                                            all plans
      scanplan watch nightly                                    one plan, until it has ended
      scanplan watch nightly --findings                         its findings, before the scan has ended
      scanplan watch nightly --findings -o json | jq 'select(.event == "finding").finding.info.name'

    With names it ends when all of them have; without, it goes on until you stop it (Ctrl-C), which stops no scan.

    --findings reads the plan's claim through a short-lived pod in its namespace, with your own rights (create pods, create
    pods/exec). Secrets are redacted as in the result. A finding that a later attempt prints again is shown once. What is taken
    back, since its attempt does not count any more, is said; so is what was shown and is not in the result.

    Exit codes: 0 all plans that were named have completed; 1 one has failed or was cancelled; 66 no such plan.
    """
    from scanplan.cli import running  # noqa: PLC0415 - most calls need none of it
    from scanplan.client.cluster.cluster import connect  # noqa: PLC0415 - needs the `kubernetes` extra

    if findings and len(names or ()) != 1:
        raise Failure("--findings is about one plan", "scanplan watch PLAN --findings", USAGE)
    if output is options.TableOrJson.JSON and not findings:
        raise Failure("--output json is about --findings", "scanplan get PLAN -o json", USAGE)
    cluster = connect(namespace, context, kubeconfig)
    for name in names or ():
        cluster.named(PLANS, name)
    if not (running.follow(cluster, names[0], output) if names and findings else watch_to_end(cluster, names or [])):
        raise typer.Exit(ANSWER_IS_NO)


def watch_to_end(cluster: Cluster, names: list[str], shown_on: Terminal | None = None) -> bool:
    """Show plans until all that are named have ended; whether all of them have completed.

    Args:
        shown_on: by default where answers are written. A command with an answer of its own shows the plans among its remarks.

    Raises:
        Failure: the API server refuses.
        NotFound: a plan that is named was deleted.
    """
    from scanplan.cli.changes import Changes  # noqa: PLC0415 - needs the `kubernetes` extra

    changes = Changes(cluster, names)
    current: dict[str, Plan] = {}
    terminal = shown_on or answers(endless=not names)
    view = _Live(terminal) if terminal.is_terminal else _Lines(terminal)
    with view:
        while True:
            for plan in changes.next(LOOK_SECONDS):
                name = plans.name(plan)
                if "deletionTimestamp" in plan["metadata"]:
                    current.pop(name, None)
                    if name in names:
                        raise NotFound(f"ScanPlan {name} was deleted")
                else:
                    current[name] = plan
            view.show(current, _looks(cluster, current) if view.looks else {})
            if names and set(names) <= set(current) and all(map(plans.has_ended, current.values())):
                break
    for plan in current.values():
        if plans.phase(plan) is not Phase.COMPLETED:
            say(f"{plans.name(plan)}: {plans.message(plan)}", "red")
    return all(plans.phase(plan) is Phase.COMPLETED for plan in current.values())


def _looks(cluster: Cluster, current: Mapping[str, Plan]) -> dict[str, Progress]:
    running = [name for name, plan in current.items() if plans.phase(plan) in {Phase.RUNNING, Phase.RETRYING}]
    looks = {}
    for name in running[:MOST_LOOKED_AT]:
        try:
            looks[name] = progress.look(cluster, current[name])
        except Failure:  # without the right to read pods, show the states alone
            continue
    return looks


class _Lines:
    """Prints one line for each change."""

    looks = False
    """Whether it shows progress from pods. In a pipe it reads no pods."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._said: dict[str, str] = {}

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, current: Mapping[str, Plan], _: Mapping[str, Progress]) -> None:
        for name, plan in current.items():
            parts = [plans.phase(plan).value, plans.shards(plan), plans.message(plan)]
            words = " ".join(filter(None, (name, *parts)))
            if self._said.get(name) != words:
                self._said[name] = words
                self._terminal.print(line(words))


class _Live:
    """Shows a live table on a terminal."""

    looks = True

    def __init__(self, terminal: Terminal) -> None:
        self._live = Live(console=terminal, refresh_per_second=4)
        self._before: dict[tuple[str, int], tuple[datetime, int]] = {}
        self._rates: dict[tuple[str, int], float] = {}

    def __enter__(self) -> None:
        self._live.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._live.__exit__(*error)

    def show(self, current: Mapping[str, Plan], looks: Mapping[str, Progress]) -> None:
        tables: list[Table] = [self._plans(current, looks)]
        if len(current) == 1:
            tables += [_shards(look) for look in looks.values() if len(look.active) > 1]
        drawn: Group = Group(*tables)
        self._live.update(drawn, refresh=True)

    def _plans(self, current: Mapping[str, Plan], looks: Mapping[str, Progress]) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in (
            "NAME",
            "PHASE",
            "PROGRESS",
            "SHARDS",
            "REQ/S",
            "TIME",
            "LEFT",
            "CRIT",
            "HIGH",
            "MED",
            "LOW",
            "INFO",
            "NEW",
        ):
            table.add_column(
                column, no_wrap=True, justify="left" if column in {"NAME", "PHASE", "PROGRESS"} else "right"
            )
        now = plans.now()
        for name, plan in sorted(current.items()):
            look = looks.get(name)
            percent = 100.0 if plans.has_ended(plan) else look.percent if look else 0.0
            counts: list[Text] = []
            for severity in list(Severity)[:5]:
                count = plans.findings(plan).get(severity.value, look.found[severity] if look else 0)
                counts.append(Text(f"{count:,}", STYLES[severity] if count else "dim"))
            table.add_row(
                line(name),
                plans.phase_text(plan),
                _bar(percent),
                Text(plans.shards(plan)),
                Text(f"{self._rate(name, look):,.0f}" if look else "-"),
                Text(plans.duration(plan, now)),
                Text(_left(plan, percent, now)),
                *counts,
                Text(f"+{look.finding:,}" if look and look.finding else ""),
            )
        return table

    def _rate(self, name: str, look: Progress) -> float:
        """Requests a second of all shards, from each pod's last two progress events and its clock."""
        rates = {}
        for shard in look.active:
            key = (name, shard.shard)
            if shard.at is None:
                continue
            then, requests = self._before.get(key, (shard.at, shard.requests))
            passed = (shard.at - then).total_seconds()
            if passed > 0:
                self._rates[key] = max(0, shard.requests - requests) / passed
            if passed or key not in self._before:
                self._before[key] = (shard.at, shard.requests)
            rates[key] = self._rates.get(key, 0.0)
        return sum(rates.values())


def _shards(look: Progress) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("  SHARD", "PROGRESS", "", "REQUESTS", "FINDINGS"):
        table.add_column(column, justify="right", no_wrap=True)
    for shard in sorted(look.active, key=lambda each: each.shard)[:MOST_SHARDS]:
        bar = _bar(shard.percent)
        table.add_row(
            Text(str(shard.shard)),
            bar,
            Text(f"{shard.percent} %"),
            Text(f"{shard.requests:,}"),
            Text(f"{shard.findings:,}"),
        )
    return table


def _bar(percent: float) -> ProgressBar:
    return ProgressBar(total=100, completed=percent, width=20, complete_style="cyan", finished_style="green")


def _left(plan: Plan, percent: float, now: datetime) -> str:
    """Estimate the time left from the speed so far; empty before there is any progress."""
    status = plans.status(plan)
    if plans.has_ended(plan) or percent < 2 or not status.start_time:
        return ""
    passed = plans.seconds_since(status.start_time, now)
    return f"~{plans.span(passed * (100 - percent) / percent)}"
