"""A scan that has ended, as notifiers see it: read from its plan's status, and nothing else.

A scan ends when its plan's `Succeeded` condition becomes True or False. So the time of its end is the time of that change. The
operator writes it with the server's clock, so these times are in order, whenever the Jobs have ended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from scanplan.api import labels
from scanplan.api.times import lenient_time
from scanplan.api.v1alpha1.conditions import ConditionType
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanplan_status import NewFindings, ScanPlanStatus
from scanplan.api.v1alpha1.status import Condition
from scanplan.core.observed import folding

_KEPT = {
    "phase",
    "reason",
    "project_id",
    "run_id",
    "task_id",
    "task_key",
    "completion_time",
    "duration",
    "endpoint_count",
    "findings",
    "new_findings",
    "conditions",
}
"""The members of a status that messages are made of."""
_MAX_LABELS = 64
_MAX_TEXT = 512
_MAX_KEPT_BYTES = 64 << 10
"""Of a scan as it is kept; more is not the operator's own."""


class Scan(NamedTuple):
    """What an ended scan is told by."""

    labels: Mapping[str, str]
    schedule: str
    status: ScanPlanStatus

    def without_new_findings(self) -> Scan:
        """The same scan with no new findings to be told."""
        return self._replace(status=self.status.model_copy(update={"new_findings": NewFindings()}))

    @property
    def run(self) -> str:
        """Project and run, which scans of the same things have in common."""
        return f"{self.status.project_id or ''}/{self.status.run_id or ''}"


class Ended(NamedTuple):
    """An ended scan as it is kept: thousands of them are, and few are looked at."""

    namespace: str
    plan: str
    uid: str
    id: str
    """Of this end of this plan; the same whoever reads it."""
    result: str
    """Of what its Job has brought; the same for all plans that share the Job. Empty: the task has not ended."""
    time: datetime
    lasting: bool
    """The task has ended. A plan that can't run as written may still run, when what it names comes."""
    content: bytes

    @property
    def scan(self) -> Scan:
        """The rest of it."""
        kept = folding.unfolded(self.content)
        return Scan(kept["labels"], kept["schedule"], ScanPlanStatus.read({"status": kept["status"]}))


def ended(body: Mapping[str, Any]) -> Ended | None:
    """What a ScanPlan object, as the API server returns it, says of an end; None: its scan has not ended."""
    status = ScanPlanStatus.of_ended(body)
    if status is None:
        return None
    metadata = body["metadata"]
    succeeded = status.condition(ConditionType.SUCCEEDED)
    changed = lenient_time(succeeded.last_transition_time) if succeeded and succeeded.status != "Unknown" else None
    completed = lenient_time(status.completion_time)
    time = max((each for each in (changed, completed) if each), default=None)
    if time is None:
        return None
    ready = status.condition(ConditionType.READY)
    kept = {
        "labels": dict(list((metadata.get("labels") or {}).items())[:_MAX_LABELS]),
        "schedule": _schedule(metadata),
        "status": status.model_copy(update={"conditions": (_short(ready),) if ready else ()}).model_dump(
            mode="json", by_alias=True, exclude_none=True, include=_KEPT
        ),
    }
    content = msgspec.json.encode(kept)
    if len(content) > _MAX_KEPT_BYTES:
        return None
    key = status.task_key or ""
    return Ended(
        namespace=metadata["namespace"],
        plan=metadata["name"],
        uid=metadata["uid"],
        id=_digest(metadata["uid"], key, time.astimezone(UTC).isoformat()),
        result=_digest(key, completed.isoformat()) if completed else "",
        time=time.astimezone(UTC),
        lasting=bool(completed) or status.phase is not Phase.FAILED,
        content=folding.folded(content),
    )


def _digest(*marks: str) -> str:
    return hashlib.sha256("\0".join(marks).encode()).hexdigest()[:16]


def _short(condition: Condition) -> Condition:
    """A condition with the begin of its message: a kubelet may say a lot."""
    return condition.model_copy(update={"message": condition.message[:_MAX_TEXT]})


def _schedule(metadata: Mapping[str, Any]) -> str:
    """The schedule that controls a plan; anybody may write references of any length."""
    for reference in metadata.get("ownerReferences") or ():
        ours = (reference.get("apiVersion"), reference.get("kind")) == (labels.API_VERSION, labels.SCHEDULE_KIND)
        if ours and reference.get("controller") is True:
            return str(reference.get("name", ""))[:_MAX_TEXT]
    return ""
