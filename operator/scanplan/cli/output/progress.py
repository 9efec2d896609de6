"""Progress of running scans, read from their pods on demand, between the statuses that the operator writes.

Every few seconds a running pod logs percent, requests and findings of its shard. A pod that has ended left its report. The operator
does not store this progress, to save writes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from scanplan.api import labels, wire
from scanplan.api.documents.words import Severity
from scanplan.api.times import lenient_time
from scanplan.api.v1alpha1.scanplan_status import ShardCounts
from scanplan.cli import plans
from scanplan.cli.output.failure import Failure
from scanplan.core.observed.pods import pod_view
from scanplan.runner.progress import Event

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster
    from scanplan.kube.objects import Object

MOST_PODS = 32
"""Pods whose logs are read at a time. For further pods only the state is shown."""
TAIL = 3
"""Log lines to read. The last may be cut off, so the one before it is needed too."""

_decode = wire.decoder(Event).decode


@dataclass(frozen=True)
class ShardProgress:
    """Progress of a running shard."""

    shard: int
    percent: int = 0
    requests: int = 0
    findings: int = 0
    at: datetime | None = None
    """When the pod logged it, by the pod's clock."""


@dataclass(frozen=True)
class Progress:
    """Progress of a running plan."""

    percent: float
    """Percent of all shards together, 0 to 100."""
    active: tuple[ShardProgress, ...] = ()
    found: Counter[Severity] = field(default_factory=Counter)
    """Findings of the shards that have ended."""

    @property
    def finding(self) -> int:
        """Findings so far of the shards at work."""
        return sum(shard.findings for shard in self.active)


def event_of(line: bytes) -> Event | None:
    """Parse a line of a scan pod's log; None where it is no event."""
    try:
        return _decode(line)
    except wire.UNREADABLE:  # the log may hold anything
        return None


def look(cluster: Cluster, plan: Object) -> Progress:
    """Compute a plan's progress from its pods."""
    shards = plans.status(plan).shards or ShardCounts(total=1)
    total = max(1, shards.total)
    pods = [
        pod for pod in cluster.pods(plan) if pod["metadata"]["labels"].get(labels.COMPONENT) == labels.COMPONENT_SCANNER
    ]
    found: Counter[Severity] = Counter()
    newest = {view.index: view for view in map(pod_view, pods) if view.report}
    for view in newest.values():
        assert view.report is not None  # noqa: S101 - only those were taken
        found.update({severity: getattr(view.report.findings, severity.value) for severity in Severity})
    # The status follows the pods with a short delay.
    succeeded = sum(1 for view in newest.values() if view.phase == "Succeeded")
    ended = max(shards.succeeded, succeeded) + shards.failed
    running = [pod for pod in pods if pod.get("status", {}).get("phase") == "Running"]
    active = tuple(_shard(cluster, pod) for pod in running[:MOST_PODS])
    percent = (100 * ended + sum(shard.percent for shard in active)) / total
    return Progress(min(percent, 100.0), active, found)


def _shard(cluster: Cluster, pod: Object) -> ShardProgress:
    view = pod_view(pod)
    latest = ShardProgress(view.index)
    try:
        lines = list(cluster.log(pod, tail=TAIL))
    except Failure:  # the pod has ended, or the user may not read it
        return latest
    for line in lines:
        event = event_of(line)
        if event and event.event in {"progress", "finished"}:
            percent = 100 if event.event == "finished" else max(event.percent, 0)
            at = lenient_time(event.time)
            latest = ShardProgress(
                view.index, min(percent, 100), max(event.requests, latest.requests), max(event.findings, 0), at
            )
    return latest
