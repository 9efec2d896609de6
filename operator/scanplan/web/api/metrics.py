"""Prometheus metrics: the API's own requests, the queue's depth, and what its workers have counted.

The queue is read at a scrape, at most every ten seconds. Where it can't be reached, `scanplan_queue_up` is 0 and its other numbers
are left out. Label values are few: routes, states, classes, severities.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence

import prometheus_client
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from scanplan.client.errors import QueueUnavailable
from scanplan.client.queues.base import TaskQueue
from scanplan.client.queues.statistics import BUCKETS, Histogram
from scanplan.web.api.problems import Handler

KEEP_SECONDS = 10.0


class QueueCollector(Collector):
    """The queue as it is now. Blocking: it is collected on a thread."""

    def __init__(self, queue: TaskQueue) -> None:
        self._queue = queue
        self._until = 0.0
        self._families: list[Metric] = []

    def describe(self) -> Iterator[Metric]:
        yield from ()  # so that registering it asks nobody

    def collect(self) -> Iterator[Metric]:
        if time.monotonic() > self._until:
            self._families = list(self._read())
            self._until = time.monotonic() + KEEP_SECONDS
        yield from self._families

    def _read(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("scanplan_queue_up", "1 where the queue could be read.")
        try:
            health = self._queue.health()
            counted = self._queue.statistics()
        except QueueUnavailable:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        for name, text, value in (
            ("waiting", "Tasks that wait for a worker, or for their next attempt.", health.queue_size),
            ("workers", "Workers that are there, or scans that run.", health.active_workers),
            ("failed", "Failed tasks that are still known.", health.failed_jobs),
        ):
            yield GaugeMetricFamily(f"scanplan_queue_{name}", text, value=value)
        for name, label, text, values in (
            ("tasks", "status", "Tasks that have ended, by status.", counted.tasks),
            (
                "task_failed_attempts",
                "class",
                "Attempts that failed and may be repeated, by class of error.",
                counted.retries,
            ),
            ("findings", "severity", "Published findings, by severity.", counted.findings),
        ):
            family = CounterMetricFamily(f"scanplan_{name}", text, labels=[label])
            for kind, number in sorted(values.items()):
                family.add_metric([kind], number)
            yield family
        yield _histogram("scanplan_task_duration_seconds", "Attempts that ended a task.", counted.duration)
        yield _histogram("scanplan_task_wait_seconds", "From a task's submission to its first attempt.", counted.wait)


class Metrics:
    """One server's metrics."""

    def __init__(self, collectors: Sequence[Collector]) -> None:
        self.registry = CollectorRegistry()
        for collector in collectors:
            self.registry.register(collector)
        self._requests = Counter(
            "scanplan_api_requests",
            "Requests by route, method and status.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self._seconds = prometheus_client.Histogram(
            "scanplan_api_request_seconds", "Time to answer, by route.", ["route"], registry=self.registry
        )

    def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        return generate_latest(self.registry)

    @web.middleware
    async def counted(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count a request. Its route is the pattern, not the path, which anybody may make up."""
        resource = request.match_info.route.resource
        route = resource.canonical if resource else "none"
        method = request.method if request.method in {"GET", "HEAD"} else "other"
        begun = time.monotonic()
        status = 499  # the client went away
        try:
            response = await handler(request)
            status = response.status
            return response
        finally:
            self._requests.labels(route, method, str(status)).inc()
            self._seconds.labels(route).observe(time.monotonic() - begun)


def _histogram(name: str, text: str, values: Histogram) -> HistogramMetricFamily:
    bounds = [*map(str, BUCKETS), "+Inf"]
    cumulated = list(itertools.accumulate(values.counts))
    return HistogramMetricFamily(name, text, buckets=list(zip(bounds, cumulated, strict=True)), sum_value=values.total)
