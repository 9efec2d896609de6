"""Metrics of the operator: plans and queue, durations of reconciles, requests to the API server, ends of scans.

The controller and the API client report events to it (`scanplan.controller.observer`). Gauges are read from the operator's memory
at each scrape, without a request to the API server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum

from kubernetes.aio.client import ApiException
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scanplan.api.documents.words import ErrorClass, Severity
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.plan.exports import EXPORT_KINDS, ExportState
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanplan_status import Findings, ScanPlanStatus
from scanplan.client.queues.statistics import BUCKETS
from scanplan.controller.cache.notifiers import Notifiers
from scanplan.controller.cache.schedules import Schedules
from scanplan.controller.cache.store import Store
from scanplan.controller.engine.workqueue import WorkQueue
from scanplan.controller.observer import Observer
from scanplan.core.planning.task import Plan
from scanplan.kube.failures import UNREACHABLE
from scanplan.metrics.projects import of_projects

_RESOURCE = re.compile(r"/(?:api/v1|apis/[^/]+/[^/]+)(?:/namespaces/[^/]+)?/([a-z]+)(?:/[^/]+(?:/([a-z]+))?)?")
_RESOURCES = {
    "configmaps",
    "events",
    "jobs",
    "persistentvolumeclaims",
    "pods",
    "scannotifiers",
    "scannotifiers/status",
    "scanplans",
    "scanplans/status",
    "scanschedules",
    "scanschedules/status",
    "secrets",
    "workloads",
}


RESULTS = (
    Reason.DELIVERED,
    Reason.SECRET_UNAVAILABLE,
    Reason.RECEIVER_INVALID,
    Reason.RECEIVER_DENIED,
    Reason.RECEIVER_UNREACHABLE,
    Reason.RECEIVER_REFUSED,
)
"""Of an attempt to send a message."""


class ErrorKind(StrEnum):
    """Why a reconcile failed: the API server refused, the connection broke, or a bug."""

    API = "api"
    CONNECTION = "connection"
    BUG = "bug"

    @classmethod
    def of(cls, error: Exception) -> ErrorKind:
        if isinstance(error, ApiException):
            return cls.API
        return cls.CONNECTION if isinstance(error, UNREACHABLE) else cls.BUG


class OperatorMetrics(Collector, Observer):
    """Counters and histograms of the operator. It computes its gauges when Prometheus scrapes."""

    def __init__(
        self,
        store: Store,
        queue: WorkQueue,
        schedules: Schedules,
        notifiers: Notifiers,
        is_working: Callable[[], bool],
        publications: Mapping[str, int] | None = None,
    ) -> None:
        """Create all counters at zero.

        Args:
            store: the plans, counted by phase.
            queue: the work queue, whose length is a gauge.
            schedules: the schedules, each with gauges of its own.
            notifiers: the notifiers, as the schedules.
            is_working: whether this operator is the leader. A standby exports no plans and no queue: zeros would hide that
                there is no leader.
            publications: statuses sent to Redis, by outcome; None where Redis is off.
        """
        self._store = store
        self._queue = queue
        self._schedules = schedules
        self._notifiers = notifiers
        self._is_working = is_working
        self._publications = publications
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
        self.messages = Counter(
            "scanplan_notifier_attempts",
            "Attempts to send a message of a ScanNotifier, by result: Delivered, or the reason why not.",
            ["result"],
            registry=self._registry,
        )
        self.exports = Counter(
            "scanplan_exports",
            "Exports that have ended, by kind and by state: Exported, Failed or Skipped.",
            ["kind", "state"],
            registry=self._registry,
        )
        # Prometheus sees no increase in a counter that appears with its first event. So all of them start at 0.
        for kind in ErrorKind:
            self.errors.labels(kind.value)
        for phase in filter(lambda each: each.is_terminal, Phase):
            self.ended.labels(phase.value)
        for error in ErrorClass:
            self.retries.labels(error.value)
        for severity in Severity:
            self.findings.labels(severity.value)
        for result in RESULTS:
            self.messages.labels(result.value)
        for export in EXPORT_KINDS:
            for state in filter(lambda each: each.is_terminal, ExportState):
                self.exports.labels(export, state.value)

    def describe(self) -> Iterator[Metric]:
        yield from ()

    def collect(self) -> Iterator[Metric]:
        yield from self._registry.collect()
        if self._publications is not None:
            published = CounterMetricFamily(
                "scanplan_operator_publications",
                "Statuses offered to Redis, by what became of them.",
                labels=["outcome"],
            )
            for outcome, number in self._publications.items():
                published.add_metric([outcome], number)
            yield published
        if not self._is_working():
            return
        plans = GaugeMetricFamily("scanplan_operator_plans", "Plans that are there, by phase.", labels=["phase"])
        for phase in Phase:
            plans.add_metric([phase.value], self._store.plans.phases.get(phase.value, 0))
        yield plans
        yield GaugeMetricFamily(
            "scanplan_operator_queue_length", "Plans that wait to be looked at.", value=len(self._queue)
        )
        yield from self._of_schedules()
        yield from self._of_notifiers()
        yield from of_projects(self._store.projects)

    def _of_schedules(self) -> Iterator[Metric]:
        """What the status of each schedule says."""
        of = ["namespace", "name"]
        begin = GaugeMetricFamily(
            "scanplan_schedule_next_timestamp_seconds", "When the next run of a schedule starts.", labels=of
        )
        successful = GaugeMetricFamily(
            "scanplan_schedule_last_successful_timestamp_seconds", "When a run last completed.", labels=of
        )
        failed = GaugeMetricFamily(
            "scanplan_schedule_last_run_failed", "1 where the newest run that has ended did not complete.", labels=of
        )
        missed = CounterMetricFamily(
            "scanplan_schedule_missed", "Times that passed without a run: away, too late or refused.", labels=of
        )
        skipped = CounterMetricFamily(
            "scanplan_schedule_skipped", "Times that passed because the last scan had not ended.", labels=of
        )
        for name, facts in self._schedules.facts():
            if facts.next:
                begin.add_metric(name, facts.next.timestamp())
            if facts.last_successful:
                successful.add_metric(name, facts.last_successful.timestamp())
            failed.add_metric(name, facts.last_failed)
            missed.add_metric(name, facts.missed)
            skipped.add_metric(name, facts.skipped)
        yield from (begin, successful, failed, missed, skipped)

    def _of_notifiers(self) -> Iterator[Metric]:
        """What the status of each notifier says."""
        of = ["namespace", "name"]
        ready = GaugeMetricFamily("scanplan_notifier_ready", "0 where the receiver takes no message.", labels=of)
        pending = GaugeMetricFamily("scanplan_notifier_pending", "Messages that are still to be sent.", labels=of)
        oldest = GaugeMetricFamily(
            "scanplan_notifier_oldest_message_timestamp_seconds",
            "When the oldest message came into the outbox; absent where it is empty.",
            labels=of,
        )
        sent = CounterMetricFamily("scanplan_notifier_sent", "Messages that the receiver has taken.", labels=of)
        lost = CounterMetricFamily("scanplan_notifier_lost", "Messages that were given up after a day.", labels=of)
        for name, facts in self._notifiers.facts():
            ready.add_metric(name, facts.ready)
            pending.add_metric(name, facts.pending)
            if facts.oldest:
                oldest.add_metric(name, facts.oldest.timestamp())
            sent.add_metric(name, facts.sent)
            lost.add_metric(name, facts.lost)
        yield from (ready, pending, oldest, sent, lost)

    def message_tried(self, result: Reason) -> None:
        self.messages.labels(result.value).inc()

    def count_request(self, method: str, path: str, status: int | None) -> None:
        """Count a request to the API server; `status` is None where no answer came."""
        answer = "none" if status is None else "2xx" if 200 <= status < 300 else str(status)
        self.requests.labels(method, resource_of(path), answer).inc()

    def reconciled(self, seconds: float, error: Exception | None) -> None:
        self.reconciles.observe(seconds)
        if error is not None:
            self.errors.labels(ErrorKind.of(error).value).inc()

    def status_written(self, plan: Plan, status: ScanPlanStatus) -> None:
        """Count what has happened since the status before."""
        before, phase = plan.status, status.phase
        self._count_exports(plan, status)
        error = status.error.class_ if status.error else ""
        if phase is Phase.RETRYING and error in set(ErrorClass) and status.attempts != before.attempts:
            self.retries.labels(error).inc()
        changed = (before.phase, before.task_id) != (phase, status.task_id)
        if phase is None or not phase.is_terminal or not changed:
            return
        self.ended.labels(phase.value).inc()
        for severity in Severity:
            self.findings.labels(severity.value).inc(getattr(status.findings or Findings(), severity.value))
        # An edit from before a restart was not seen here, so its time is unknown. The same holds for a resumed plan.
        asked = self._asked.pop(plan.uid, plan.created if plan.generation == 1 else None)
        if status.start_time is not None and status.duration_ms is not None:
            self.durations.observe(status.duration_ms / 1000)
            started = datetime.fromisoformat(status.start_time)
            if asked and asked <= started:  # a replayed result had no waiting time
                self.waits.observe((started - asked).total_seconds())

    def _count_exports(self, plan: Plan, status: ScanPlanStatus) -> None:
        kinds = {export.name: export.kind for export in plan.spec.exports}
        for each in set(status.exports or ()) - set(plan.status.exports or ()):
            if each.state.is_terminal and each.name in kinds:
                self.exports.labels(kinds[each.name], each.state.value).inc()

    def plan_changed(self, before: Plan | None, after: Plan | None, now: datetime) -> None:
        """Remember when an edit asked for another scan."""
        if before is None:
            return
        if after is None or after.uid != before.uid:
            self._asked.pop(before.uid, None)
        elif before.generation != after.generation and before.input_digest != after.input_digest:
            self._asked[after.uid] = now.replace(microsecond=0)  # start times have no fractions of a second


def resource_of(path: str) -> str:
    """The resource and subresource of an API path, such as ``scanplans/status``; ``other`` for any other path."""
    match = _RESOURCE.match(path)
    resource = "/".join(part for part in match.groups() if part) if match else ""
    return resource if resource in _RESOURCES else "other"
