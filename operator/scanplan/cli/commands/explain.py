"""``scanplan explain``: why a plan is in its state, and what to do.

Kubernetes' knowledge about a plan is spread over the plan, its Job, pods, events, quotas and other waiting plans. This command
shows it on one page, the answer first. It names what the user may not read, and shows the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from scanplan.api.v1alpha1.conditions import ConditionType
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.cli import operator_settings, options, plans, quotas
from scanplan.cli.output import advice
from scanplan.cli.output.failure import Failure, told
from scanplan.cli.output.terminal import answers
from scanplan.core.observed.jobs import job_view
from scanplan.core.observed.pods import pod_view
from scanplan.core.status import failure
from scanplan.kube.resources import PLANS, RESOURCE_QUOTAS
from scanplan.report import text

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster
    from scanplan.kube.objects import Object

MOST_PODS = 20
MOST_EVENTS = 12
UNSEEN_SECONDS = 30
"""Seconds within which a healthy operator has seen a plan."""


@told
def explain(
    name: options.PlanName,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Say why a plan is in its state, and what to do. It looks at conditions, Job, pods, events, quota, place in the queue.

    Exit codes: 0; 66 no such plan.
    """
    from scanplan.client.cluster.cluster import connect  # noqa: PLC0415 - needs the `kubernetes` extra

    cluster = connect(namespace, context, kubeconfig)
    _Page(cluster, cluster.named(PLANS, name)).print()


class _Page:
    """The explanation of one plan."""

    def __init__(self, cluster: Cluster, plan: Object) -> None:
        self._cluster = cluster
        self._plan = plan
        self._out = answers()
        self._status = plans.status(plan)
        self._name = plans.name(plan)
        self._unread: list[str] = []
        self._jobs = self._read("Jobs", lambda: cluster.jobs(plan))
        self._pods = self._read("pods", lambda: cluster.pods(plan))

    def print(self) -> None:
        self._headline()
        self._advice()
        self._conditions()
        self._defaults()
        self._job()
        self._pod_table()
        self._quotas()
        self._events()
        for what in self._unread:
            self._say(f"(not shown: {what})", "dim")

    def _defaults(self) -> None:
        """Print the operator's defaults for all plans; nothing if the user may not read the operator's Deployment."""
        try:
            operators = list(operator_settings.deployments(self._cluster))
        except Failure:
            return
        for words in filter(
            None, (operator_settings.defaults_in(operator_settings.environment(each)) for each in operators)
        ):
            self._say(f"set for all plans by the operator's owner: {words}", "dim")

    def _headline(self) -> None:
        now = plans.now()
        ready = plans.condition(self._plan, "Ready")
        reason = f" ({ready.reason})" if ready and ready.reason != plans.phase(self._plan).value else ""
        since = f", for {plans.span(plans.seconds_since(ready.last_transition_time, now))}" if ready else ""
        self._out.print(Text(f"{self._name}: ", "bold") + plans.phase_text(self._plan) + Text(f"{reason}{since}"))
        if words := self._unseen() or plans.message(self._plan):
            self._say(f"  {words}")
        if self._status.artifacts and plans.findings(self._plan):
            kept = "" if self._status.artifacts.complete else " of a partial result"
            self._say(
                f"  scanplan results {self._name} shows the {plans.findings(self._plan)['total']:,} findings{kept}"
            )

    def _unseen(self) -> str:
        """The explanation where no operator has seen this generation of the plan."""
        metadata = self._plan["metadata"]
        waited = plans.seconds_since(str(metadata["creationTimestamp"]), plans.now())
        if self._status.observed_generation == metadata.get("generation") or waited < UNSEEN_SECONDS:
            return ""
        return "no operator has looked at it (since its last change): is one running, and does it watch this namespace?"

    def _advice(self) -> None:
        phase = plans.phase(self._plan)
        steps: list[str] = []
        if self._unseen():
            steps = ["scanplan doctor"]
        elif phase is Phase.QUEUED:
            steps = [self._place()]
        elif phase is Phase.SUSPENDED:
            ready = self._status.condition("Ready")
            resume = f'kubectl patch scanplan {self._name} --type=merge -p \'{{"spec":{{"suspend":false}}}}\''
            steps = advice.of(ready.reason if ready else "", self._name) or [resume]
        elif phase is Phase.CANCELLED:
            steps = [f"start it anew: scanplan rerun {self._name}"]
        elif phase is not Phase.COMPLETED:
            ready, error = self._status.condition("Ready"), self._status.error
            steps = advice.of(ready.reason if ready else "", self._name)
            steps = steps or advice.of(error.reason if error else "", self._name)
        if self._is("AppliesNextRun", "True"):
            steps.append(f"run with what was edited: scanplan rerun {self._name}")
        if self._is("EndpointsReachable", "False", "Unknown") and phase is Phase.COMPLETED:
            steps.append(f"see which endpoints did not answer: scanplan results {self._name} -o html -f report.html")
        if self._is(ConditionType.EXPORTED, "False"):
            steps.append(f"once it is mended, export again: scanplan export retry {self._name}")
        if steps:
            self._say("\nWhat to do", "bold")
            for step in steps:
                self._say(f"  {step}")

    def _is(self, kind: str, *values: str) -> bool:
        """Whether the plan has this condition with one of these values."""
        condition = self._status.condition(kind)
        return condition is not None and condition.status in values

    def _place(self) -> str:
        """The plan's place in the queue. No status has it, because it would change with every other plan."""
        if queue := self._plan["spec"].get("queueName"):
            return f"wait for Kueue: kubectl get workloads, kubectl describe localqueue {queue}"
        waiting = [
            plan
            for plan in self._read("other plans", lambda: self._cluster.listed(PLANS))
            if plans.phase(plan) is Phase.QUEUED
        ]
        order = sorted(
            waiting, key=lambda plan: (-plan["spec"].get("priority", 5), str(plan["metadata"]["creationTimestamp"]))
        )
        names = [plans.name(plan) for plan in order]
        place = names.index(self._name) + 1 if self._name in names else len(names)
        return (
            f"wait: it is number {place} of {len(names)} that wait for a slot; a higher spec.priority moves it forward"
        )

    def _conditions(self) -> None:
        table = _table("CONDITION", "STATUS", "REASON", "MESSAGE")
        before = ""
        for condition in self._status.conditions:
            message = condition.message
            words = "(the same)" if message == before else message
            table.add_row(*map(_plain, (condition.type, condition.status, condition.reason, words)))
            before = message
        self._show("Conditions", table)

    def _job(self) -> None:
        table = _table("JOB", "SHARDS", "ACTIVE", "READY", "SUCCEEDED", "FAILED PODS", "STATE")
        for job in map(job_view, self._jobs):
            ended = job.complete or job.failed or job.failure_target
            words = f"{ended.reason}: {ended.message}".strip(": ") if ended else ""
            if job.deleting:
                state = "being deleted"
            elif job.complete:
                state = "Complete"
            elif ended:
                state = f"Failed {words}"
            else:
                state = "suspended" if job.suspended else "at work"
            counts = (job.completions, job.active, job.ready, job.succeeded, job.failed_pods)
            table.add_row(_plain(job.name), *map(_plain, counts), _plain(state))
        self._show("Jobs", table)
        if not self._jobs and self._status.task_id:
            self._say(f"\nJob {self._status.task_id} is not there (any more)", "dim")

    def _pod_table(self) -> None:
        table = _table("POD", "SHARD", "PHASE", "WHY")
        for pod in self._pods[-MOST_PODS:]:
            view = pod_view(pod)
            error = failure.of_pod(view) or failure.blocked_by([view])
            ended = f"ended with {view.exit_code} {view.reason}".strip() if view.exit_code else ""
            shard = "collector" if view.collector else str(view.index)
            table.add_row(
                *map(_plain, (view.name, shard, view.phase, f"{error.reason}: {error.message}" if error else ended))
            )
        more = f" (the last {MOST_PODS} of {len(self._pods)})" if len(self._pods) > MOST_PODS else ""
        self._show(f"Pods{more}", table)

    def _quotas(self) -> None:
        path = self._cluster.path(RESOURCE_QUOTAS, namespace=self._plan["metadata"]["namespace"])
        table = _table("QUOTA", "RESOURCE", "USED", "OF")
        for quota in self._read("quotas", lambda: self._cluster.each(path)):
            for resource, used, hard in quotas.used_up(quota):
                table.add_row(*map(_plain, (quota["metadata"]["name"], resource, used, hard)))
        self._show("Quotas that are used up", table)

    def _events(self) -> None:
        newest_pods = [pod["metadata"]["name"] for pod in self._pods[-5:]]
        names = [self._name, *(job["metadata"]["name"] for job in self._jobs), *newest_pods]
        namespace = self._plan["metadata"]["namespace"]
        found = self._read("events", lambda: self._cluster.events(namespace, names))
        table = _table("AGE", "ABOUT", "REASON", "MESSAGE")
        now = plans.now()
        for event in [each for each in found if each.get("type") != "Normal"][-MOST_EVENTS:]:
            moment = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
            what = event.get("involvedObject", {})
            about = f"{what.get('kind', '')} {what.get('name', '')}"
            age = plans.span(plans.seconds_since(str(moment), now))
            table.add_row(*map(_plain, (age, about, event.get("reason", ""), event.get("message", ""))))
        self._show("Warnings of Kubernetes", table)

    def _read(self, what: str, look: Callable[[], Iterable[Object]]) -> list[Object]:
        try:
            return list(look())
        except Failure as error:
            self._unread.append(f"{what}: {error.message}")
            return []

    def _show(self, title: str, table: Table) -> None:
        if table.row_count:
            self._say(f"\n{title}", "bold")
            self._out.print(table)

    def _say(self, words: str, style: str = "") -> None:
        self._out.print(Text(words, style))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=True, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _plain(value: object) -> Any:
    return Text(text.line(value, 2_000))
