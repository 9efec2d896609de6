"""The operator measured: what it holds, how long it takes, what it asks of the API server, and how scans end.

Measuring sits around the operator's parts (`scanplan.controller.extension`), so they know nothing of it. Gauges are read from the
operator's own memory when they are asked for; nothing is asked of the API server for them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from kubernetes.aio.client import ApiClient, ApiException
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.task import ErrorClass, Severity
from scanplan.client.queues.statistics import BUCKETS
from scanplan.controller.cache.store import Store
from scanplan.controller.engine.workqueue import PlanName, WorkQueue
from scanplan.controller.scanplan import Controller
from scanplan.controller.sharing import Sharing
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.task import Plan
from scanplan.kube.api import Api, Object, PatchType

if TYPE_CHECKING:
    from scanplan.client.redis.publication import Publication

OnStatus = Callable[[Plan, dict[str, Any]], None]

_RESOURCE = re.compile(r"/(?:api/v1|apis/[^/]+/[^/]+)(?:/namespaces/[^/]+)?/([a-z]+)(?:/[^/]+(?:/([a-z]+))?)?")
_RESOURCES = {
    "configmaps",
    "events",
    "jobs",
    "persistentvolumeclaims",
    "pods",
    "scanplans",
    "scanplans/status",
    "secrets",
    "workloads",
}


class ErrorKind(StrEnum):
    """Whose fault a failed reconcile is."""

    API = "api"
    CONNECTION = "connection"
    BUG = "bug"

    @classmethod
    def of(cls, error: Exception) -> ErrorKind:
        if isinstance(error, ApiException):
            return cls.API
        return cls.CONNECTION if isinstance(error, OSError) else cls.BUG


class OperatorMetrics(Collector):
    """Everything that is counted; itself the collector of the gauges."""

    def __init__(self, publication: Publication | None = None) -> None:
        """`publication`: where statuses are published to Redis, which counts what became of them."""
        self.controller: Controller | None = None
        self._publication = publication
        self._asked: dict[str, datetime] = {}
        """When another scan was asked for, by the UID of the plan that was edited."""
        self._registry = CollectorRegistry()
        self.reconciles = Histogram(
            "scanplan_operator_reconcile_seconds", "Time to bring a plan to rest.", registry=self._registry
        )
        self.errors = Counter(
            "scanplan_operator_reconcile_errors",
            "Reconciles that failed and are tried again, by kind: api (the server refused), connection, bug.",
            ["kind"],
            registry=self._registry,
        )
        self.requests = Counter(
            "scanplan_operator_api_requests",
            "Requests to the API server, by verb, resource and HTTP status.",
            ["verb", "resource", "status"],
            registry=self._registry,
        )
        self.ended = Counter(
            "scanplan_operator_scans", "Scans that have ended, by phase.", ["phase"], registry=self._registry
        )
        self.retries = Counter(
            "scanplan_operator_retries", "Failed attempts, by class of error.", ["class"], registry=self._registry
        )
        self.findings = Counter(
            "scanplan_operator_findings", "Published findings, by severity.", ["severity"], registry=self._registry
        )
        self.durations = Histogram(
            "scanplan_operator_scan_duration_seconds",
            "From a scan's first pod to its end.",
            buckets=BUCKETS,
            registry=self._registry,
        )
        self.waits = Histogram(
            "scanplan_operator_scan_wait_seconds",
            "From the request for a scan to its first pod.",
            buckets=BUCKETS,
            registry=self._registry,
        )
        # A counter that begins with its first event shows no increase to Prometheus: they all begin with 0.
        for kind in ErrorKind:
            self.errors.labels(kind.value)
        for phase in filter(lambda each: each.is_terminal, Phase):
            self.ended.labels(phase.value)
        for error in ErrorClass:
            self.retries.labels(error.value)
        for severity in Severity:
            self.findings.labels(severity.value)

    def describe(self) -> Iterator[Metric]:
        yield from ()

    def collect(self) -> Iterator[Metric]:
        yield from self._registry.collect()
        if self._publication:
            published = CounterMetricFamily(
                "scanplan_operator_publications",
                "Statuses offered to Redis, by what became of them.",
                labels=["outcome"],
            )
            for outcome, number in self._publication.outcomes.items():
                published.add_metric([outcome.value], number)
            yield published
        if self.controller is None:
            return
        plans = GaugeMetricFamily("scanplan_operator_plans", "Plans that are there, by phase.", labels=["phase"])
        for phase in Phase:
            plans.add_metric([phase.value], self.controller.store.plans.phases.get(phase.value, 0))
        yield plans
        waiting = len(self.controller.queue)
        yield GaugeMetricFamily("scanplan_operator_queue_length", "Plans that wait to be looked at.", value=waiting)

    def count_status(self, plan: Plan, status: dict[str, Any]) -> None:
        """A plan's status was written: what happened, by comparison with the one before."""
        before, phase = plan.status, status.get("phase", "")
        error = status.get("error", {}).get("class")
        if phase == Phase.RETRYING and error in set(ErrorClass) and status.get("attempts") != before.get("attempts"):
            self.retries.labels(error).inc()
        changed = (before.get("phase"), before.get("taskId")) != (phase, status.get("taskId"))
        if phase not in {each.value for each in Phase if each.is_terminal} or not changed:
            return
        self.ended.labels(phase).inc()
        for severity in Severity:
            self.findings.labels(severity.value).inc(status.get("findings", {}).get(severity.value, 0))
        # An edit that nobody here has seen, before a restart or to resume the plan, was made nobody knows when.
        asked = self._asked.pop(plan.uid, plan.created if plan.generation == 1 else None)
        if "startTime" in status and "durationMs" in status:
            self.durations.observe(status["durationMs"] / 1000)
            started = datetime.fromisoformat(status["startTime"])
            if asked and asked <= started:  # a result that was there already was not waited for
                self.waits.observe((started - asked).total_seconds())

    def see_plan(self, before: Plan | None, after: Plan | None, now: datetime) -> None:
        """A watch has brought a plan as it is `after` (None: it is deleted): whether another scan is asked for."""
        if before is None:
            return
        if after is None or after.uid != before.uid:
            self._asked.pop(before.uid, None)
        elif before.generation != after.generation and before.input_digest != after.input_digest:
            self._asked[after.uid] = now.replace(microsecond=0)  # as start times are written


class MeasuredApi(Api):
    """Counts its requests."""

    def __init__(self, client: ApiClient, metrics: OperatorMetrics) -> None:
        super().__init__(client)
        self._metrics = metrics

    async def _call(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        query: list[tuple[str, str]] | None = None,
        patch_type: PatchType | None = None,
    ) -> Object:
        status = "none"
        try:
            answer = await super()._call(method, path, body, query, patch_type)
            status = "2xx"
            return answer
        except ApiException as error:
            status = str(error.status)
            raise
        finally:
            self._metrics.requests.labels(method, resource_of(path), status).inc()


class MeasuredController(Controller):
    """Counts what it does, and how scans end."""

    def __init__(
        self,
        api: Api,
        policy: Policy,
        metrics: OperatorMetrics,
        on_status: OnStatus,
        sharing: Sharing | None = None,
    ) -> None:
        """`on_status` is told of each status that was written, with the plan as it was before."""
        super().__init__(api, Store(), WorkQueue(), policy, sharing=sharing)
        self._metrics = metrics
        self._on_status = on_status

    async def run(self, workers: int) -> None:
        # From now on, not before: a standby's gauges would say that there are no plans, and hide that nobody leads.
        self._metrics.controller = self
        await super().run(workers)

    def plan_event(self, kind: str | None, body: dict[str, Any]) -> None:
        metadata = body["metadata"]
        name = PlanName(metadata["namespace"], metadata["name"])
        if self.store.plans.version(name) == (metadata["uid"], metadata.get("resourceVersion")):
            super().plan_event(kind, body)  # no news, of which a list is full
            return
        before = self.store.plans.get(name)
        super().plan_event(kind, body)
        self._metrics.see_plan(before, self.store.plans.get(name), self.now())

    async def reconcile(self, name: PlanName) -> None:
        begun = time.monotonic()
        try:
            await super().reconcile(name)
        except Exception as error:
            self._metrics.errors.labels(ErrorKind.of(error).value).inc()
            raise
        finally:
            self._metrics.reconciles.observe(time.monotonic() - begun)

    async def _write_status(self, plan: Plan, status: dict[str, Any]) -> bool:
        written = await super()._write_status(plan, status)
        if written:
            self._metrics.count_status(plan, status)
            self._on_status(plan, status)
        return written


def resource_of(path: str) -> str:
    """The resource of an API path, with its subresource; one of few, since it is a label."""
    match = _RESOURCE.match(path)
    resource = "/".join(part for part in match.groups() if part) if match else ""
    return resource if resource in _RESOURCES else "other"
