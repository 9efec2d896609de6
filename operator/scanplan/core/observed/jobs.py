"""What the core sees of Jobs: small immutable views of API objects.

The controller keeps one `JobView` per Job in memory instead of the whole object, which is ten times as large. The views are the
only place that knows the API's field names. Anything unknown is passed over, since a newer Kubernetes may add what it likes.
Anybody may label objects of their own as ours, so nothing in a label or an annotation can make a view fail.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from scanplan.api import labels, wire
from scanplan.api.documents.words import DiscoveryReport
from scanplan.api.times import lenient_time, parse_time, required_time
from scanplan.core.observed import fields
from scanplan.core.observed.asked import Asked
from scanplan.core.observed.fields import Object
from scanplan.core.observed.pods import PodView
from scanplan.core.observed.untrusted import MAX_MESSAGE, MAX_REPORT, number, short

MAX_OWNERS = 256
"""Plans that can share a Job. Anybody may write thousands of references into a Job of their own, each of which is kept."""
BORN_SECONDS = 5.0
"""A Job that is made suspended has the condition Suspended so soon; later, it may have run before."""
ASKED = " was asked)"
"""Ends the words about a mutable field that has another value than was asked."""
_MAX_MANAGERS = 8
"""Names of managers that are kept of a Job."""


@dataclass(frozen=True, slots=True)
class JobCondition:
    """A condition of a Job that is True."""

    reason: str
    message: str
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A Job as the core sees it."""

    namespace: str
    name: str
    uid: str
    resource_version: int = field(compare=False)
    """Views that differ in this alone are equal: a decision finds nothing new."""
    created: datetime
    deleting: bool = False
    deleting_since: datetime | None = None
    managed: bool = False
    """Made by this operator, by label."""
    key: str | None = None
    owners: frozenset[str] = frozenset()
    """UIDs of the plans that own it."""
    pins: tuple[tuple[str, str], ...] = ()
    """(owner UID, input digest)"""
    creator: str = ""
    collector: bool = False
    """Merges what a task's pods have left, and scans nothing."""
    exporter: bool = False
    """Exports the result of a task, and scans nothing."""
    next_run_digest: str = ""
    endpoint_count: int | None = None
    discovery: DiscoveryReport | None = None
    queue_name: str = ""
    """Kueue's LocalQueue; empty: the operator's own limit holds."""
    document_parts: int = 0
    """Objects that hold its task document; 0 where it is inline."""
    document_confidential: bool = False
    """These are Secrets; otherwise they are ConfigMaps."""
    first_seen: datetime | None = None
    image: str = ""
    claim: str = ""
    completions: int = 1
    rate_shares: int | None = None
    """By how many shards the limit of requests was divided; None: there is no limit."""
    parallelism: int = 1
    suspended: bool = False
    deadline_seconds: int | None = None
    ttl_seconds: int | None = None
    recorded: Asked | None = None
    """What the operator has asked of the fields above, as the Job's annotation says."""
    altered: tuple[str, ...] = ()
    """Paths of what admission changed when this process made the Job."""
    managers: tuple[str, ...] = field(default=(), compare=False)
    """Others than the operator that have written fields of it (https://kubernetes.io/docs/reference/using-api/server-side-apply/)."""
    active: int = 0
    ready: int = 0
    terminating: int = 0
    succeeded: int = 0
    failed_pods: int = 0
    uncounted: bool = False
    """Pods have ended that are not in the numbers above yet."""
    failed_at: frozenset[int] = frozenset()
    """Indexes that have failed for good."""
    start_time: datetime | None = None
    completion_time: datetime | None = None
    complete: JobCondition | None = None
    failed: JobCondition | None = None
    failure_target: JobCondition | None = None
    is_suspended: JobCondition | None = None

    def pin_of(self, uid: str) -> str | None:
        """The input digest that the owner `uid` pinned here."""
        return dict(self.pins).get(uid)

    @property
    def asked(self) -> Asked:
        """What the operator has asked of the mutable fields; of a Job without a record: what is there."""
        return self.recorded or Asked(
            ttl_seconds=self.ttl_seconds,
            deadline_seconds=self.deadline_seconds,
            parallelism=self.parallelism,
            suspend=None if self.queue_name else self.suspended,
        )

    @property
    def never_ran(self) -> bool:
        """It has been suspended since it was created, so it has had no pod. Other Jobs may have pods that they don't count yet."""
        stopped = self.is_suspended.since if self.is_suspended else None
        born = stopped is None or (stopped - self.created).total_seconds() < BORN_SECONDS
        return self.suspended and born and not (self.counts_pods or self.start_time or self.finished)

    @property
    def counts_pods(self) -> bool:
        """Its status tells of a pod, running or ended."""
        return bool(self.active or self.terminating or self.succeeded or self.failed_pods or self.failed_at)

    @property
    def by_kueue(self) -> bool:
        """Somebody else suspends and resumes it: it has a queue, or `suspend` is not as the operator asked."""
        ours = self.asked.suspend is not None and self.asked.suspend == self.suspended
        return bool(self.queue_name) or self.asked.deactivated or not ours

    @property
    def changed_fields(self) -> tuple[str, ...]:
        """Mutable fields that have another value than the operator asked for."""
        asked = self.asked
        fields = (
            ("ttlSecondsAfterFinished", asked.ttl_seconds, self.ttl_seconds),
            ("activeDeadlineSeconds", asked.deadline_seconds, self.deadline_seconds),
            ("parallelism", asked.parallelism, self.parallelism),
            ("suspend", None if self.queue_name or asked.deactivated else asked.suspend, self.suspended),
        )
        return tuple(
            f"spec.{name} ({_written(found)} where {_written(wanted)}{ASKED}"
            for name, wanted, found in fields
            if wanted is not None and wanted != found
        )

    @property
    def failed_indexes(self) -> int:
        """How many shards have failed for good."""
        return len(self.failed_at)

    @property
    def in_progress(self) -> bool:
        """Neither finished nor being deleted."""
        return not self.finished and not self.deleting

    @property
    def finished(self) -> bool:
        """Complete or Failed, whatever the reason."""
        return self.complete is not None or self.failed is not None

    @property
    def holds_slot(self) -> bool:
        """Counts against the namespace's concurrency: at work, and not on its way out."""
        return not (
            self.finished or self.suspended or self.deleting or self.collector or self.exporter or self.queue_name
        )

    def counts_only(self, pods: Iterable[PodView]) -> bool:
        """Whether all the ended pods that its status counts are among these."""
        ended = sum(pod.job_uid == self.uid and not pod.alive for pod in pods)
        return ended >= self.succeeded + self.failed_pods


def job_view(job: dict[str, Any]) -> JobView:
    """View of a Job object as the API returns it."""
    metadata, spec, status = job["metadata"], fields.mapping(job, "spec"), fields.mapping(job, "status")
    annotations, marks = fields.mapping(metadata, "annotations"), fields.mapping(metadata, "labels")
    conditions = {
        condition["type"]: JobCondition(
            condition.get("reason", ""),
            condition.get("message", "")[:MAX_MESSAGE],
            parse_time(condition.get("lastTransitionTime")),
        )
        for condition in fields.items(status, "conditions")
        if condition.get("status") == "True"
    }
    pod = fields.mapping(fields.mapping(spec, "template"), "spec")
    volumes = fields.items(pod, "volumes")
    completions = spec.get("completions") or 1
    owners = frozenset(itertools.islice(_owners(metadata), MAX_OWNERS))
    return JobView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=int(metadata["resourceVersion"]),
        created=required_time(metadata["creationTimestamp"]),
        deleting="deletionTimestamp" in metadata,
        deleting_since=parse_time(metadata.get("deletionTimestamp")),
        managed=marks.get(labels.MANAGED_BY) == labels.MANAGED_BY_VALUE,
        key=short(annotations.get(labels.TASK_KEY)),
        owners=owners,
        pins=tuple(
            (owner, digest)
            for name, value in annotations.items()
            if name.startswith(labels.PIN_PREFIX)
            and (owner := name.removeprefix(labels.PIN_PREFIX)) in owners
            and (digest := short(value)) is not None
        ),
        creator=short(annotations.get(labels.CREATOR)) or "",
        collector=marks.get(labels.COMPONENT) == labels.COMPONENT_COLLECTOR,
        exporter=marks.get(labels.COMPONENT) == labels.COMPONENT_EXPORTER,
        next_run_digest=short(annotations.get(labels.NEXT_RUN_DIGEST)) or "",
        queue_name=marks.get(labels.KUEUE_QUEUE, ""),
        document_parts=number(annotations.get(labels.DOCUMENT_PARTS)) or 0,
        document_confidential=any(
            "secret" in source
            for volume in volumes
            for source in fields.items(fields.mapping(volume, "projected"), "sources")
        ),
        first_seen=lenient_time(annotations.get(labels.FIRST_SEEN)),
        endpoint_count=number(annotations.get(labels.ENDPOINT_COUNT)),
        discovery=_discovery(annotations.get(labels.DISCOVERY)),
        rate_shares=number(annotations.get(labels.RATE_SHARES)),
        image=next((short(container.get("image")) or "" for container in fields.items(pod, "containers")), ""),
        claim=next(filter(None, map(_claim, volumes)), ""),
        completions=completions,
        parallelism=spec.get("parallelism", 1),
        suspended=bool(spec.get("suspend")),
        deadline_seconds=spec.get("activeDeadlineSeconds"),
        ttl_seconds=spec.get("ttlSecondsAfterFinished"),
        recorded=Asked.read(annotations.get(labels.ASKED)),
        managers=tuple(itertools.islice(_managers(metadata), _MAX_MANAGERS)),
        active=status.get("active", 0),
        ready=status.get("ready", 0),
        terminating=status.get("terminating", 0),
        succeeded=status.get("succeeded", 0),
        failed_pods=status.get("failed", 0),
        uncounted=any(fields.mapping(status, "uncountedTerminatedPods").values()),
        failed_at=indexes(status.get("failedIndexes", ""), completions),
        start_time=parse_time(status.get("startTime")),
        completion_time=parse_time(status.get("completionTime")),
        complete=conditions.get("Complete"),
        failed=conditions.get("Failed"),
        failure_target=conditions.get("FailureTarget"),
        is_suspended=conditions.get("Suspended"),
    )


def indexes(text: str, completions: int) -> frozenset[int]:
    """The indexes that a Job's ``completedIndexes`` or ``failedIndexes`` names: ``"0-2,5"`` is 0, 1, 2 and 5.

    Args:
        completions: no index is as high; what names a higher one, or none at all, counts for nothing.
    """
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        low, high = number(first), number(last or first)
        if low is not None and high is not None:
            found.update(range(low, min(high + 1, completions)))
    return frozenset(found)


def _claim(volume: Object) -> str:
    """The name of the PersistentVolumeClaim that a volume mounts; empty: it mounts none."""
    return fields.text(fields.mapping(volume, "persistentVolumeClaim"), "claimName")


def _owners(metadata: Object) -> Iterator[str]:
    """UIDs of the plans that a Job says it belongs to."""
    for reference in fields.items(metadata, "ownerReferences"):
        ours = reference.get("kind") == labels.KIND and reference.get("apiVersion", "").startswith(f"{labels.GROUP}/")
        if ours and (uid := short(fields.text(reference, "uid"))):
            yield uid


def _managers(metadata: Object) -> Iterator[str]:
    """Who else has written a Job, beyond its status."""
    for entry in fields.items(metadata, "managedFields"):
        manager = short(entry.get("manager")) or ""
        if manager and manager != labels.MANAGED_BY_VALUE and not entry.get("subresource"):
            yield manager


def _written(value: int | bool | None) -> str:
    """A field's value as YAML has it."""
    return "none" if value is None else str(value).lower()


def _discovery(text: str | None) -> DiscoveryReport | None:
    """What was discovered, by an annotation, which anybody may have written."""
    if not text or len(text) > MAX_REPORT:
        return None
    try:
        return wire.decode(text, DiscoveryReport)
    except msgspec.MsgspecError:
        return None
