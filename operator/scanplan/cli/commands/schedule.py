"""``scanplan schedule``: lists schedules and their runs, starts a run now, pauses and resumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scanplan.api import labels
from scanplan.api.v1alpha1.conditions import ConditionType
from scanplan.api.v1alpha1.scanschedule import ScanScheduleStatus, StartReason
from scanplan.cli import options, plans
from scanplan.cli.output import listing
from scanplan.cli.output.failure import TEMPORARY, Failure, told
from scanplan.cli.output.help import SETTINGS, Command
from scanplan.cli.output.terminal import say, warn, write_json
from scanplan.core.schedule.names import reason_of
from scanplan.kube.resources import PLANS, SCHEDULES

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster
    from scanplan.kube.objects import Object

app = typer.Typer(
    help="List schedules, start a run now, pause and resume.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=SETTINGS,
)


SEEN_SECONDS = 10.0
"""How long a trigger waits for an operator that has not seen its schedule."""
Name = Annotated[str, typer.Argument(metavar="SCHEDULE", help="Name of the ScanSchedule.")]


@app.command("list", cls=Command)
@told
def show(
    everywhere: options.Everywhere = False,
    output: options.TableFormat = options.TableOrJson.TABLE,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """List schedules: their times, and what the last run found.

    Exit codes: 0; 69 the cluster knows no ScanSchedules.
    """
    from scanplan.client.cluster.cluster import connect  # noqa: PLC0415 - needs the `kubernetes` extra

    found = list(connect(namespace, context, kubeconfig).listed(SCHEDULES, everywhere=everywhere))
    if output is options.TableOrJson.JSON:
        write_json({"items": found})
        return
    rows = []
    for each in listing.in_order(found):
        spec, status = each["spec"], ScanScheduleStatus.read(each)
        last, ready = status.last_run, status.condition(ConditionType.READY)
        facts = [status.last_schedule_time, status.next_schedule_time, status.active_count]
        facts += [last.findings, last.new, last.resolved] if last else [None] * 3
        rows.append(
            [
                *([each["metadata"]["namespace"]] if everywhere else []),
                each["metadata"]["name"],
                spec["schedule"],
                spec.get("timeZone", ""),
                str(spec.get("suspend", False)).lower(),
                *("-" if fact is None else fact for fact in facts),
                ready.reason if ready else "-",
            ]
        )
    heads = ["NAME", "SCHEDULE", "ZONE", "SUSPEND", "LAST", "NEXT", "ACTIVE", "FINDINGS", "NEW", "RESOLVED", "STATE"]
    listing.show((["NAMESPACE"] if everywhere else []) + heads, rows, "no schedules")


@app.command(cls=Command)
@told
def history(
    name: Name,
    output: options.TableFormat = options.TableOrJson.TABLE,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """List the runs of a schedule, the newest first.

    Exit codes: 0; 66 no such schedule.
    """
    cluster, schedule = _connected(name, namespace, context, kubeconfig)
    uid = schedule["metadata"]["uid"]
    runs = [
        run
        for run in cluster.listed(PLANS, selector=f"{labels.SCHEDULE}={name}")
        if any(owner.get("uid") == uid for owner in run["metadata"].get("ownerReferences") or ())
    ]
    runs.sort(key=lambda run: (run["metadata"]["creationTimestamp"], run["metadata"]["name"]), reverse=True)
    if output is options.TableOrJson.JSON:
        write_json({"items": runs})
        return
    now = plans.now()
    rows = [
        [
            run["metadata"]["name"],
            plans.phase(run).value,
            plans.status(run).reason or "-",
            _start(name, run),
            *(plans.findings(run).get(name, "-") for name in ("total", "new", "resolved")),
            plans.duration(run, now),
        ]
        for run in runs
    ]
    listing.show(
        ["RUN", "PHASE", "REASON", "SCHEDULED", "FINDINGS", "NEW", "RESOLVED", "DURATION"], rows, f"{name} has no runs"
    )


@app.command(cls=Command)
@told
def trigger(
    name: Name,
    token: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The same name starts nothing new. By default the time.", show_default=False),
    ] = None,
    output: options.TableFormat = options.TableOrJson.TABLE,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Start one run now, also while the schedule is suspended. It sets spec.trigger.

    A schedule that the operator has not seen yet is not triggered: the value that it begins with starts no run.

    Exit codes: 0; 66 no such schedule; 75 the operator has not seen it yet.
    """
    cluster, _ = _connected(name, namespace, context, kubeconfig)
    if plans.awaited(lambda: _digest(cluster.named(SCHEDULES, name)), SEEN_SECONDS) is None:
        hint = "the same command once `scanplan schedule list` shows its STATE; is the operator running?"
        raise Failure(f"{name}: the operator has not seen it yet, and would start no run", hint, TEMPORARY)
    value = token or plans.token()
    _set(name, {"trigger": value}, f"a run is asked for ({value})", output, namespace, context, kubeconfig)


@app.command(cls=Command)
@told
def pause(
    name: Name,
    output: options.TableFormat = options.TableOrJson.TABLE,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Start nothing by the timetable. Runs that have begun go on. It sets spec.suspend.

    Exit codes: 0; 66 no such schedule.
    """
    _set(name, {"suspend": True}, "paused", output, namespace, context, kubeconfig)


@app.command(cls=Command)
@told
def resume(
    name: Name,
    output: options.TableFormat = options.TableOrJson.TABLE,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Go on with the next time. Nothing starts at once. It sets spec.suspend.

    Exit codes: 0; 66 no such schedule.
    """
    _set(name, {"suspend": False}, "resumed: the next time counts", output, namespace, context, kubeconfig)


def _start(schedule: str, run: Object) -> str:
    """The time that a run was made for, or what else has started it."""
    words = {StartReason.TRIGGERED: "triggered", StartReason.TEMPLATES_CHANGED: "templates changed"}
    known: str | None = (run["metadata"].get("annotations") or {}).get(labels.SCHEDULED_AT)
    return known or words.get(reason_of(schedule, run["metadata"]["name"]), "-")


def _digest(schedule: Object) -> str | None:
    """The digest that the operator writes when it first sees a schedule."""
    return ScanScheduleStatus.read(schedule).timetable_digest


def _set(name: str, spec: dict[str, Any], words: str, output: options.TableOrJson, *where: Any) -> None:
    cluster, before = _connected(name, *where)
    after = cluster.change(SCHEDULES, name, spec)
    if output is options.TableOrJson.JSON:
        write_json(after)
    else:
        say(f"{name}: {words}")
    if keeper := plans.keeper(before):
        warn(f"{name} is kept by {keeper}, which may set it back: change it there too")


def _connected(name: str, *where: Any) -> tuple[Cluster, Object]:
    from scanplan.client.cluster.cluster import connect  # noqa: PLC0415 - needs the `kubernetes` extra

    cluster = connect(*where)
    return cluster, cluster.named(SCHEDULES, name)
