"""A scan that has ended, as notifiers see it: read from its plan's status, and nothing else.

A scan ends when its plan's `Succeeded` condition becomes True or False. So the time of its end is the time of that change: the
operator writes it with the server's clock, and it comes in order, whenever the Job has ended.
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
from scanplan.core.observed import folding

_KEPT = (
    "phase",
    "reason",
    "projectId",
    "runId",
    "taskId",
    "taskKey",
    "completionTime",
    "duration",
    "endpointCount",
    "findings",
    "newFindings",
)
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
    metadata, status = body["metadata"], body.get("status") or {}
    phase = status.get("phase")
    if phase not in {Phase.COMPLETED.value, Phase.FAILED.value, Phase.CANCELLED.value}:
        return None
    conditions = status.get("conditions") or ()
    changed = next(
        (
            lenient_time(str(each.get("lastTransitionTime")))
            for each in conditions
            if each.get("type") == ConditionType.SUCCEEDED.value and each.get("status") in {"True", "False"}
        ),
        None,
    )
    completed = lenient_time(status.get("completionTime"))
    time = max((each for each in (changed, completed) if each), default=None)
    if time is None:
        return None
    kept = {
        "labels": dict(list((metadata.get("labels") or {}).items())[:_MAX_LABELS]),
        "schedule": _schedule(metadata),
        "status": {
            **{name: status[name] for name in _KEPT if name in status},
            "conditions": [_short(each) for each in conditions if each.get("type") == ConditionType.READY.value],
        },
    }
    content = msgspec.json.encode(kept)
    if len(content) > _MAX_KEPT_BYTES:
        return None
    key = status.get("taskKey") or ""
    return Ended(
        namespace=metadata["namespace"],
        plan=metadata["name"],
        uid=metadata["uid"],
        id=_digest(metadata["uid"], key, time.astimezone(UTC).isoformat()),
        result=_digest(key, completed.isoformat()) if completed else "",
        time=time.astimezone(UTC),
        lasting=bool(completed) or phase != Phase.FAILED.value,
        content=folding.folded(content),
    )


def _digest(*marks: str) -> str:
    return hashlib.sha256("\0".join(marks).encode()).hexdigest()[:16]


def _short(condition: Mapping[str, Any]) -> dict[str, Any]:
    """A condition with the begin of its message: a kubelet may say a lot."""
    return {**condition, "message": str(condition.get("message", ""))[:_MAX_TEXT]}


def _schedule(metadata: Mapping[str, Any]) -> str:
    """The schedule that controls a plan; anybody may write references of any length."""
    for reference in metadata.get("ownerReferences") or ():
        ours = (reference.get("apiVersion"), reference.get("kind")) == (labels.API_VERSION, labels.SCHEDULE_KIND)
        if ours and reference.get("controller") is True:
            return str(reference.get("name", ""))[:_MAX_TEXT]
    return ""
