"""``scanplan export``: shows what has become of a plan's exports, and asks for another attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scanplan.api.v1alpha1.conditions import ConditionType
from scanplan.api.v1alpha1.plan.exports import EXPORT_KINDS, ExportState, ExportStatus
from scanplan.cli import options, plans
from scanplan.cli.output import listing
from scanplan.cli.output.failure import NO_INPUT, UNAVAILABLE, Failure, told
from scanplan.cli.output.help import SETTINGS, Command
from scanplan.cli.output.terminal import say, warn, write_json
from scanplan.kube.resources import PLANS

if TYPE_CHECKING:
    from scanplan.kube.objects import Object

app = typer.Typer(
    help="Show what has become of a plan's exports, and try again.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=SETTINGS,
)


@app.command("list", cls=Command)
@told
def show(
    name: options.PlanName,
    output: options.TableFormat = options.TableOrJson.TABLE,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """List the exports of a plan, and what has become of each.

    Exit codes: 0; 66 no such plan.
    """
    from scanplan.client.cluster.cluster import connect  # noqa: PLC0415 - needs the `kubernetes` extra

    plan = connect(namespace, context, kubeconfig).named(PLANS, name)
    if output is options.TableOrJson.JSON:
        write_json({"items": plans.status(plan).document().get("exports", [])})
        return
    known = {each.name: each for each in plans.status(plan).exports or ()}
    rows = [_row(each, known.get(each["name"])) for each in plan["spec"].get("exports", ())]
    listing.show(["NAME", "KIND", "STATE", "REASON", "AT", "MESSAGE"], rows, f"{name} has no exports")


@app.command("retry", cls=Command)
@told
def retry(
    name: options.PlanName,
    wait: Annotated[
        int, typer.Option(min=0, max=86_400, metavar="SECONDS", help="How long to wait for its end; 0: don't wait.")
    ] = 0,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Export again what has failed or was skipped. It sets spec.retryExports; the scan stays as it is.

    Exit codes: 0; with --wait 69 where an export fails again, or has not ended; 66 no such plan, or it has no exports.
    """
    from scanplan.client.cluster.cluster import connect  # noqa: PLC0415 - needs the `kubernetes` extra

    cluster = connect(namespace, context, kubeconfig)
    plan = cluster.named(PLANS, name)
    if not plan["spec"].get("exports"):
        raise Failure(f"{name} has no exports", "write them into spec.exports", NO_INPUT)
    value = plans.token()
    cluster.change(PLANS, name, {"retryExports": value})
    say(f"{name}: exports again what has failed or was skipped ({value})")
    if keeper := plans.keeper(plan):
        warn(f"{name} is kept by {keeper}, which may set spec.retryExports back: change it there too")
    if not wait:
        return
    left = plans.awaited(lambda: unexported(cluster.named(PLANS, name)), wait)
    if left != "":
        warn(f"{name}: {left or 'the exports have not ended yet'}")
        raise typer.Exit(UNAVAILABLE)
    say(f"{name}: the result is exported")


def unexported(plan: Object) -> str | None:
    """Why a result is not exported; empty: it is; None: nobody knows yet."""
    exported = plans.condition(plan, ConditionType.EXPORTED)
    if not plans.is_current(plan) or exported is None or exported.status == "Unknown":
        return None
    return "" if exported.status == "True" else f"{exported.reason}: {exported.message}"


def _row(export: Object, known: ExportStatus | None) -> list[Any]:
    kind = next((kind for kind in EXPORT_KINDS if kind in export), "-")
    if known is None:
        return [export["name"], kind, "-", "-", "-", "it is due when the scan has ended"]
    told = known.message or ("under way" if known.state is ExportState.EXPORTING else "")
    return [export["name"], kind, known.state.value, known.reason, known.at, told]
