"""``scanplan notify``: lists notifiers, and sends a test message."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scanplan.api.v1alpha1.conditions import ConditionType
from scanplan.api.v1alpha1.scannotifier import Outgoing, ScanNotifierStatus
from scanplan.cli import options, plans
from scanplan.cli.output import listing
from scanplan.cli.output.failure import TEMPORARY, told
from scanplan.cli.output.help import SETTINGS, Command
from scanplan.cli.output.terminal import say, warn, write_json
from scanplan.kube.resources import NOTIFIERS

if TYPE_CHECKING:
    from scanplan.kube.objects import Object

app = typer.Typer(
    help="List notifiers, and send a test message.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=SETTINGS,
)


Name = Annotated[str, typer.Argument(metavar="NOTIFIER", help="Name of the ScanNotifier.")]


@app.command("list", cls=Command)
@told
def show(
    everywhere: options.Everywhere = False,
    output: options.TableFormat = options.TableOrJson.TABLE,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """List notifiers: what they tell, to what, and how sending goes.

    Exit codes: 0; 69 the cluster knows no ScanNotifiers.
    """
    from scanplan.client.cluster.cluster import connect  # noqa: PLC0415 - needs the `kubernetes` extra

    found = list(connect(namespace, context, kubeconfig).listed(NOTIFIERS, everywhere=everywhere))
    if output is options.TableOrJson.JSON:
        write_json({"items": found})
        return
    heads = ["NAME", "RECEIVER", "ON", "SEVERITY", "STATE", "SENT", "PENDING", "LOST", "LAST"]
    rows = [[*([each["metadata"]["namespace"]] if everywhere else []), *_row(each)] for each in listing.in_order(found)]
    listing.show((["NAMESPACE"] if everywhere else []) + heads, rows, "no notifiers")


@app.command("test", cls=Command)
@told
def send_test(
    name: Name,
    wait: Annotated[
        int, typer.Option(min=0, max=3600, metavar="SECONDS", help="How long to wait for the receiver; 0: don't wait.")
    ] = 60,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Send a test message, and say what became of it. It sets spec.test; the operator sends.

    A notifier that the operator has not seen yet is not tested: it would send nothing for the first value.

    Exit codes: 0 the receiver took it; 66 no such notifier; 75 it did not, or not yet.
    """
    from scanplan.client.cluster.cluster import connect  # noqa: PLC0415 - needs the `kubernetes` extra

    cluster = connect(namespace, context, kubeconfig)
    end = time.monotonic() + wait
    why_not = plans.awaited(lambda: untestable(cluster.named(NOTIFIERS, name)), wait)
    if why_not != "":
        warn(
            f"{name}: {why_not or 'the operator has not seen it yet, so no message was asked for; is the operator running?'}"
        )
        raise typer.Exit(TEMPORARY)
    value = plans.token()
    changed = cluster.change(NOTIFIERS, name, {"test": value})
    if keeper := plans.keeper(changed):
        warn(f"{name} is kept by {keeper}, which may set spec.test back; that sends nothing")
    if not wait:
        say(f"{name}: a test message is asked for ({value})")
        return
    result = plans.awaited(lambda: outcome(cluster.named(NOTIFIERS, name), value) or None, end - time.monotonic())
    if result is not True:
        warn(f"{name}: {result or 'the operator has not sent it yet; is it running?'}")
        raise typer.Exit(TEMPORARY)
    say(f"{name}: the receiver took the message")


def untestable(notifier: Object) -> str | None:
    """Why a notifier can't be tested; empty: it can; None: the operator has not seen it yet."""
    status = ScanNotifierStatus.read(notifier)
    if status.choice_digest is not None:
        return ""
    return _stalled(notifier, status) or None


def outcome(notifier: Object, value: str) -> str | bool:
    """What became of a test message: True: it was taken; a text: why not; False: nobody knows yet."""
    from scanplan.core.notify.outbox import id_of_test  # noqa: PLC0415 - this command's alone

    status = ScanNotifierStatus.read(notifier)
    ready = status.condition(ConditionType.READY)
    if notifier["spec"].get("suspend"):
        return "it is suspended, and sends the message when it no longer is"
    if stalled := _stalled(notifier, status):
        return stalled
    if status.last_test != value:
        return False
    id_ = id_of_test(notifier["metadata"]["uid"], value)
    waiting: Outgoing | None = next((each for each in status.outbox if each.id == id_), None)
    if waiting is None:
        return True
    return f"{ready.reason}: {ready.message}; trying again" if waiting.attempts and ready else False


def _stalled(notifier: Object, status: ScanNotifierStatus) -> str:
    """What a person has to change before anything is sent; empty: nothing that the operator knows of."""
    ready, current = (
        status.condition(ConditionType.READY),
        status.observed_generation == notifier["metadata"]["generation"],
    )
    return f"{ready.reason}: {ready.message}" if current and status.condition(ConditionType.STALLED) and ready else ""


def _row(notifier: Object) -> list[Any]:
    spec, status = notifier["spec"], ScanNotifierStatus.read(notifier)
    ready = status.condition(ConditionType.READY)
    receiver = next((kind for kind in ("webhook", "slack", "teams", "email") if kind in spec), "-")
    return [
        notifier["metadata"]["name"],
        receiver,
        ",".join(spec.get("true") or spec.get("on", ())),
        spec.get("minSeverity", ""),
        ready.reason if ready else "-",
        status.sent or 0,
        status.pending or 0,
        status.lost or 0,
        status.last_sent_time or "-",
    ]
