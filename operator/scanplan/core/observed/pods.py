"""What the core sees of pods: small immutable views of API objects."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scanplan.api import labels
from scanplan.api.documents.report import ShardReport, decode_report
from scanplan.api.times import required_time
from scanplan.core.observed import fields
from scanplan.core.observed.untrusted import MAX_MESSAGE, MAX_REPORT, number

_SIGKILLED = 137
"""Exit code of a container that was killed: 128 + SIGKILL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodView:
    """A scan pod as the core sees it."""

    name: str
    index: int
    phase: str
    created: datetime
    job_uid: str = ""
    collector: bool = False
    deleting: bool = False
    exit_code: int | None = None
    reason: str = ""
    """The container's (OOMKilled, Error) or the pod's (Evicted) reason."""
    message: str = ""
    disrupted: bool = False
    waiting_reason: str = ""
    waiting_message: str = ""
    unschedulable: str = ""
    report: ShardReport | None = None

    @property
    def killed(self) -> bool:
        """Its container was killed: by the kernel for memory, or by anybody's SIGKILL."""
        return self.reason == "OOMKilled" or self.exit_code == _SIGKILLED

    @property
    def alive(self) -> bool:
        """Its container may still be running."""
        return self.phase not in {"Succeeded", "Failed"}


def pod_view(pod: dict[str, Any]) -> PodView:
    """View of a scan pod as the API returns it."""
    metadata, status = pod["metadata"], fields.mapping(pod, "status")
    annotations, marks = fields.mapping(metadata, "annotations"), fields.mapping(metadata, "labels")
    # A service mesh may have put containers of its own beside the scanner's.
    containers = fields.items(status, "containerStatuses")
    container = next((each for each in containers if each.get("name") == labels.CONTAINER), {})
    state = fields.mapping(container, "state")
    terminated, waiting = fields.mapping(state, "terminated"), fields.mapping(state, "waiting")
    conditions = {fields.text(condition, "type"): condition for condition in fields.items(status, "conditions")}
    scheduled = conditions.get("PodScheduled", {})
    message = terminated.get("message", "")
    return PodView(
        name=metadata["name"],
        index=number(annotations.get("batch.kubernetes.io/job-completion-index")) or 0,
        phase=status.get("phase", ""),
        created=required_time(metadata["creationTimestamp"]),
        job_uid=marks.get("batch.kubernetes.io/controller-uid", ""),
        collector=marks.get(labels.COMPONENT) == labels.COMPONENT_COLLECTOR,
        deleting="deletionTimestamp" in metadata,
        exit_code=terminated.get("exitCode"),
        reason=status.get("reason") or terminated.get("reason", ""),
        message=(status.get("message") or message)[:MAX_MESSAGE],
        disrupted=conditions.get("DisruptionTarget", {}).get("status") == "True",
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", "")[:MAX_MESSAGE],
        unschedulable=scheduled.get("message", "")[:MAX_MESSAGE] if scheduled.get("status") == "False" else "",
        report=decode_report(message) if message and len(message) <= MAX_REPORT else None,
    )
