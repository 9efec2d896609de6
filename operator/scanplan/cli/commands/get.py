"""``scanplan get``: lists plans and their states as a table."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from scanplan.api.documents.words import Severity
from scanplan.cli import options, plans
from scanplan.cli.output import listing
from scanplan.cli.output.failure import USAGE, Failure, told
from scanplan.cli.output.terminal import answers, line, say, write_json
from scanplan.kube.resources import PLANS


class Output(StrEnum):
    """Formats of a list of plans."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    NAME = "name"


@told
def get(
    names: options.PlanNames = None,
    everywhere: options.Everywhere = False,
    selector: Annotated[
        str,
        typer.Option(
            "--selector", "-l", metavar="LABELS", help="Only with these labels, such as team=web.", show_default=False
        ),
    ] = "",
    output: Annotated[Output, typer.Option("--output", "-o", help="Format.")] = Output.TABLE,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """List plans: state, progress, findings. `-o wide` adds what the operator says of each.

    Exit codes: 0; 66 there is no plan of that name; 69 the cluster knows no ScanPlans.
    """
    from scanplan.client.cluster.cluster import connect  # noqa: PLC0415 - needs the `kubernetes` extra

    if names and (everywhere or selector):
        raise Failure("plans are chosen by name, or by namespace and labels", "leave out the names", USAGE)
    cluster = connect(namespace, context, kubeconfig)
    found = (
        [cluster.named(PLANS, name) for name in names]
        if names
        else list(cluster.listed(PLANS, everywhere=everywhere, selector=selector))
    )
    if output is Output.JSON:
        write_json(found[0] if names and len(names) == 1 else {"items": found})
    elif output is Output.NAME:
        for plan in found:
            answers().print(line(f"scanplan.scanplan.dev/{plan['metadata']['name']}"))
    elif found:
        answers().print(_table(found, everywhere=everywhere, wide=output is Output.WIDE))
    else:
        say("no plans" if everywhere else f"no plans in namespace {cluster.namespace}")


def _table(found: list[dict[str, Any]], *, everywhere: bool, wide: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in (["NAMESPACE"] if everywhere else []) + ["NAME", "PHASE", "REASON"]:
        table.add_column(column, no_wrap=True)
    for column in ("SHARDS", "ENDPOINTS", "FINDINGS", "CRITICAL", "HIGH", "NEW", "DURATION", "AGE"):
        table.add_column(column, justify="right", no_wrap=True)
    if wide:
        table.add_column("MESSAGE", overflow="fold")
    now = plans.now()
    for plan in listing.in_order(found):
        status = plans.status(plan)
        table.add_row(
            *([line(plan["metadata"]["namespace"])] if everywhere else []),
            line(plans.name(plan)),
            plans.phase_text(plan),
            line(status.reason or "-"),
            line(plans.shards(plan)),
            Text("-" if status.endpoint_count is None else f"{status.endpoint_count:,}"),
            Text(f"{plans.findings(plan)['total']:,}" if plans.findings(plan) else "-"),
            plans.count_text(plan, Severity.CRITICAL),
            plans.count_text(plan, Severity.HIGH),
            Text(f"{plans.findings(plan).get('new', '-')}"),
            line(plans.duration(plan, now)),
            Text(plans.age(plan, now)),
            *([line(plans.message(plan))] if wide else []),
        )
    return table
