"""Progress of running scans, read from their pods on demand, between the statuses that the operator writes.

Every few seconds a running pod logs percent, requests and findings of its shard. A pod that has ended left its report. The operator
does not store this progress, to save writes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from scanplan.api import labels
from scanplan.api.v1alpha1.scanplan_status import ShardCounts
from scanplan.api.v1alpha1.task import Severity
from scanplan.cli import plans
from scanplan.cli.output.failure import Failure
from scanplan.core.observed import views
from scanplan.runner.progress import Event

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster, Object

MOST_PODS = 32
"""Logs read at a look; of further pods no more than their state is known."""
TAIL = 3
"""Lines: the last is the newest, unless it was cut."""

_decode = msgspec.json.Decoder(Event).decode


@dataclass(frozen=True)
class ShardProgress:
    """A shard at work."""

    shard: int
    percent: int = 0
    requests: int = 0
    findings: int = 0
    at: datetime | None = None
    """When the pod said so, by its clock."""


@dataclass(frozen=True)
class Progress:
    """A plan at work."""

    percent: float
    """Of all shards together, 0 to 100."""
    active: tuple[ShardProgress, ...] = ()
    found: Counter[Severity] = field(default_factory=Counter)
    """Findings of the shards that have ended."""

    @property
    def finding(self) -> int:
        """Findings so far of the shards at work."""
        return sum(shard.findings for shard in self.active)


def event_of(line: bytes) -> Event | None:
    """A line of a scan pod's log; None where it is something else."""
    try:
        return _decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError):  # a pod may write there what it likes
        return None


def look(cluster: Cluster, plan: Object) -> Progress:
    """How far a plan is, by its pods."""
    shards = plans.status(plan).shards or ShardCounts(total=1)
    total = max(1, shards.total)
    pods = [
        pod for pod in cluster.pods(plan) if pod["metadata"]["labels"].get(labels.COMPONENT) == labels.COMPONENT_SCANNER
    ]
    found: Counter[Severity] = Counter()
    newest = {view.index: view for view in map(views.pod_view, pods) if view.report}
    for view in newest.values():
        assert view.report is not None  # noqa: S101 - only those were taken
        found.update({severity: getattr(view.report.findings, severity.value) for severity in Severity})
    # The status says it a little later than the pods themselves.
    succeeded = sum(1 for view in newest.values() if view.phase == "Succeeded")
    ended = max(shards.succeeded, succeeded) + shards.failed
    running = [pod for pod in pods if pod.get("status", {}).get("phase") == "Running"]
    active = tuple(_shard(cluster, pod) for pod in running[:MOST_PODS])
    percent = (100 * ended + sum(shard.percent for shard in active)) / total
    return Progress(min(percent, 100.0), active, found)


def _shard(cluster: Cluster, pod: Object) -> ShardProgress:
    view = views.pod_view(pod)
    latest = ShardProgress(view.index)
    try:
        lines = list(cluster.log(pod, tail=TAIL))
    except Failure:  # it has ended meanwhile, or may not be read
        return latest
    for line in lines:
        event = event_of(line)
        if event and event.event in {"progress", "finished"}:
            percent = 100 if event.event == "finished" else max(event.percent, 0)
            at = views.lenient_time(event.time)
            latest = ShardProgress(
                view.index, min(percent, 100), max(event.requests, latest.requests), max(event.findings, 0), at
            )
    return latest
