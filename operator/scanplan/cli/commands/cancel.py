"""``scanplan cancel``: ends scans for good."""

from __future__ import annotations

from typing import Annotated

import typer

from scanplan.cli import options, plans
from scanplan.cli.output.failure import told
from scanplan.cli.output.terminal import say, warn
from scanplan.kube.resources import PLANS


@told
def cancel(
    names: Annotated[list[str], typer.Argument(metavar="PLAN", help="Names of ScanPlans.")],
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Cancel plans. What was found so far is kept, and merged into a partial result.

    A scan that several plans share goes on until the last of them is cancelled. `scanplan rerun` starts a cancelled plan anew.

    Exit codes: 0; 66 no such plan.
    """
    from scanplan.client.cluster.cluster import connect  # noqa: PLC0415 - needs the `kubernetes` extra

    cluster = connect(namespace, context, kubeconfig)
    for name in names:
        plan = cluster.named(PLANS, name)
        if plans.has_ended(plan):
            say(f"{name}: has ended already ({plans.phase(plan).value})")
            continue
        cluster.change(PLANS, name, {"cancel": True})
        say(f"{name}: is being cancelled")
        if keeper := plans.keeper(plan):
            warn(f"{name} is kept by {keeper}, which may set spec.cancel back: change it there too")
