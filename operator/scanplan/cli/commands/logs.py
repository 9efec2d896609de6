"""``scanplan logs``: the logs of the runners of all shards together."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from scanplan.api import labels
from scanplan.cli import options
from scanplan.cli.output import progress
from scanplan.cli.output.failure import NO_INPUT, Failure, told
from scanplan.cli.output.terminal import answers
from scanplan.core.observed.pods import pod_view
from scanplan.kube.resources import PLANS
from scanplan.report import text

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster
    from scanplan.kube.objects import Object
    from scanplan.runner.progress import Event

MOST_FOLLOWED = 50


@told
def logs(
    name: options.PlanName,
    shard: Annotated[
        int | None, typer.Option(metavar="N", help="Only this shard, counted from 0.", min=0, show_default=False)
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the pods have ended.")] = False,
    tail: Annotated[
        int | None, typer.Option(metavar="N", help="Only so many last lines of each pod.", min=1, show_default=False)
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="The JSON lines as they are.")] = False,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Print the log of a plan's pods. It has starts, progress, warnings, and how each attempt ended.

    Nuclei's own log is an artifact of each attempt: `scanplan artifacts get PLAN --all`.

    Exit codes: 0; 66 no such plan, or it has no pods (any more).
    """
    from scanplan.client.cluster.cluster import connect  # noqa: PLC0415 - needs the `kubernetes` extra

    cluster = connect(namespace, context, kubeconfig)
    plan = cluster.named(PLANS, name)
    pods = [
        pod
        for pod in cluster.pods(plan)
        if shard is None
        or (
            pod_view(pod).index == shard and pod["metadata"]["labels"].get(labels.COMPONENT) == labels.COMPONENT_SCANNER
        )
    ]
    if not pods:
        raise Failure(f"there are no pods of {name}: not started yet, or gone", f"scanplan explain {name}", NO_INPUT)
    if follow:
        _together(cluster, pods[-MOST_FOLLOWED:], tail, raw)
        return
    for pod in pods:
        for line in cluster.log(pod, tail=tail):
            _print(pod, line, raw)


def _together(cluster: Cluster, pods: list[Object], tail: int | None, raw: bool) -> None:
    """Follow all pods at the same time."""
    lines: queue.Queue[tuple[Object, bytes | None]] = queue.Queue()

    def follow(pod: Object) -> None:
        try:
            for line in cluster.log(pod, tail=tail, follow=True):
                lines.put((pod, line))
        except Failure as failure:
            lines.put((pod, f"{failure.message}".encode()))
        lines.put((pod, None))

    for pod in pods:
        threading.Thread(target=follow, args=(pod,), daemon=True).start()
    left = len(pods)
    while left:
        pod, line = lines.get()
        if line is None:
            left -= 1
        else:
            _print(pod, line, raw)


def _print(pod: Object, line: bytes, raw: bool) -> None:
    shown_on = answers(endless=True)
    if raw:
        shown_on.print(Text(line.decode(errors="replace")))
        return
    event = progress.event_of(line)
    style = {"warning": "yellow", "finished": "bold"}.get(event.event, "") if event else ""
    words = _words(event) if event else f"{pod['metadata']['name']}: {line.decode(errors='replace')}"
    shown_on.print(Text(text.line(words, 4_000), style))


def _words(event: Event) -> str:
    who = "collector" if event.shard < 0 else f"shard {event.shard}, attempt {event.attempt}"
    match event.event:
        case "started":
            what = f"started, {event.endpoints:,} endpoints"
        case "progress":
            what = f"{event.percent} %, {event.requests:,} requests, {event.findings:,} findings"
        case "finished":
            what = f"{event.outcome}, {max(event.findings, 0):,} findings"
        case _:
            what = ""
    moment = event.time.split(".")[0].replace("T", " ").removesuffix("Z")
    return f"{moment} {who}: {': '.join(filter(None, (what, event.message)))}"
