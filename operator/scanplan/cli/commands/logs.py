"""``scanplan logs``: the logs of the runners of all shards together."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from scanplan.api import labels
from scanplan.cli import options
from scanplan.cli.output import progress
from scanplan.cli.output.failure import DATA, NO_INPUT, Failure, NotFound, told
from scanplan.cli.output.terminal import answers, warn
from scanplan.core.observed.pods import pod_view
from scanplan.kube.resources import PLANS, PODS
from scanplan.report import text

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster
    from scanplan.kube.objects import Object
    from scanplan.runner.progress import Event

MOST_FOLLOWED = 50
LOOK_SECONDS = 2.0
"""Between two looks at a pod that has not started."""


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

    Nuclei's own log is an artifact of each attempt: `scanplan artifacts get PLAN --all`. A pod without a log, since it has not
    started or was deleted, is named on standard error. With --follow it is followed once it starts.

    Exit codes: 0; 66 no such plan, or it has no pods (any more); 69 a log broke off.
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
        try:
            for line in cluster.log(pod, tail=tail):
                _print(pod, line, raw)
        except Failure as failure:
            if not _is_of_pod(failure):
                raise
            _remark(pod, failure)


def _together(cluster: Cluster, pods: list[Object], tail: int | None, raw: bool) -> None:
    """Follow all pods at the same time.

    Raises:
        Failure: the log of a pod broke off, or may not be read; the others were followed to their ends.
    """
    lines: queue.Queue[tuple[Object, bytes | Exception | None]] = queue.Queue()

    def follow(pod: Object) -> None:
        try:
            for line in _followed(cluster, pod, tail, lambda failure: lines.put((pod, failure))):
                lines.put((pod, line))
        except Exception as error:  # without it, the command would wait for this pod for ever
            lines.put((pod, error))
        lines.put((pod, None))

    for pod in pods:
        threading.Thread(target=follow, args=(pod,), daemon=True).start()
    left = len(pods)
    broken: Failure | None = None
    while left:
        pod, line = lines.get()
        match line:
            case None:
                left -= 1
            case Failure():
                _remark(pod, line)
                broken = broken if _is_of_pod(line) else line
            case Exception():
                raise line
            case _:
                _print(pod, line, raw)
    if broken:
        raise broken


def _followed(cluster: Cluster, pod: Object, tail: int | None, waits: Callable[[Failure], None]) -> Iterator[bytes]:
    """The lines of a pod's log, from when it starts until it has ended.

    Args:
        waits: is told once why there is no log yet.

    Raises:
        Failure: the pod is gone or has no log, or the log can't be read.
    """
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    said = False
    while True:
        try:
            yield from cluster.log(pod, tail=tail, follow=True)
            return
        except Failure as failure:
            if failure.code != DATA or pod_view(pod).phase != "Pending":
                raise
            if not said:
                waits(failure)
                said = True
        time.sleep(LOOK_SECONDS)
        pod = cluster.object(PODS, name, namespace=namespace)


def _is_of_pod(failure: Failure) -> bool:
    """Whether one pod alone has no log: it has not started (400), or was deleted since the list."""
    return failure.code == DATA or isinstance(failure, NotFound)


def _remark(pod: Object, failure: Failure) -> None:
    warn(f"{pod['metadata']['name']}: {failure.message}")


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
