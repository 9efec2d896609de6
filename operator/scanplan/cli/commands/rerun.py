"""``scanplan rerun``: asks for the same scan again."""

from __future__ import annotations

from typing import Annotated

import typer

from scanplan.cli import options, plans
from scanplan.cli.commands.watch import watch_to_end
from scanplan.cli.output.failure import ANSWER_IS_NO, told
from scanplan.cli.output.terminal import say, warn
from scanplan.kube.resources import PLANS


@told
def rerun(
    name: options.PlanName,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of the new run; the same name asks for nothing new. By default the time.",
            show_default=False,
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Watch it to its end.")] = False,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Scan a plan's content anew. It sets spec.rerun. The results so far stay; `scanplan diff PLAN~1 PLAN` compares.

    A run that is still going on is replaced, and what it has found stays on the claim.

    Exit codes: 0; with --follow 1 where the scan doesn't complete; 66 no such plan.
    """
    from scanplan.client.cluster.cluster import connect  # noqa: PLC0415 - needs the `kubernetes` extra

    cluster = connect(namespace, context, kubeconfig)
    plan = cluster.named(PLANS, name)
    value = token or plans.token()
    if plan["spec"].get("rerun") == value:
        say(f"{name}: has spec.rerun {value} already, nothing to do")
    else:
        cluster.change(PLANS, name, {"rerun": value, **({"cancel": False} if plan["spec"].get("cancel") else {})})
        say(f"{name}: runs again ({value})")
        if keeper := plans.keeper(plan):
            warn(f"{name} is kept by {keeper}, which may set spec.rerun back: change it there too")
    if plan["spec"].get("suspend"):
        warn(f"{name} is suspended: it starts when spec.suspend is false")
    if follow and not watch_to_end(cluster, [name]):
        raise typer.Exit(ANSWER_IS_NO)
