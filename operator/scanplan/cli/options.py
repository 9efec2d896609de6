"""Options that many commands share, spelled as in kubectl."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from scanplan.cli.output.failure import Failure
from scanplan.kube.resources import PLANS


def _plan_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Plan names for shell completion; empty where the cluster does not answer."""
    from scanplan.client.cluster.cluster import connect  # noqa: PLC0415 - needs the `kubernetes` extra

    given = ctx.params
    try:
        cluster = connect(given.get("namespace"), given.get("context"), given.get("kubeconfig"))
        return [
            name for plan in cluster.listed(PLANS) if (name := str(plan["metadata"]["name"])).startswith(incomplete)
        ]
    except Failure:
        return []


Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", metavar="NAME", help="Namespace; by default the context's.", show_default=False),
]
Context = Annotated[
    str | None,
    typer.Option(
        "--context", metavar="NAME", help="Context of the kubeconfig; by default the current one.", show_default=False
    ),
]
Kubeconfig = Annotated[
    Path | None,
    typer.Option(
        "--kubeconfig", metavar="FILE", help="Kubeconfig; by default $KUBECONFIG or ~/.kube/config.", show_default=False
    ),
]
Everywhere = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of all namespaces.")]


class TableOrJson(StrEnum):
    """Formats of a list."""

    TABLE = "table"
    JSON = "json"


class TextOrJson(StrEnum):
    """Formats of an answer."""

    TEXT = "text"
    JSON = "json"


TableFormat = Annotated[TableOrJson, typer.Option("--output", "-o", help="Format.")]
TextFormat = Annotated[TextOrJson, typer.Option("--output", "-o", help="Format.")]
PlanName = Annotated[str, typer.Argument(metavar="PLAN", help="Name of the ScanPlan.", autocompletion=_plan_names)]
PlanNames = Annotated[
    list[str] | None,
    typer.Argument(metavar="PLAN", help="Names of ScanPlans; by default all.", autocompletion=_plan_names),
]
RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A ScanPlan, or the runId of one; RUN~1 is its previous result.",
        autocompletion=_plan_names,
    ),
]
Exceptions = Annotated[
    list[Path] | None,
    typer.Option(
        "--exceptions",
        metavar="FILE",
        help="Go by the ScanExceptions in this file or folder instead of the cluster's. Those that name another namespace do not "
        "count. Several times.",
        exists=True,
        show_default=False,
    ),
]
Directory = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Read from this folder, which has ui_projects/ (as `scanplan run` leaves it), instead of a cluster.",
        exists=True,
        file_okay=False,
        show_default=False,
    ),
]
