"""The events that viewers of the page get: all plans, and then each change of one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus, ShardCounts
from scanplan.kube.objects import Object

_MESSAGE = 512
"""Most characters of a condition's reason, and of its message."""

Namespaces = frozenset[str] | None
"""The namespaces whose plans a viewer may see; None: all."""


def event(kind: str, content: object) -> bytes:
    """One event of a stream (https://html.spec.whatwg.org/multipage/server-sent-events.html); JSON has no line ends in it."""
    return f"event: {kind}\ndata: {json.dumps(content, separators=(',', ':'))}\n\n".encode()


def row(plan: Mapping[str, Any]) -> Object:
    """The fields of a plan that the page shows. They never include targets."""
    metadata, status = plan["metadata"], ScanPlanStatus.read(plan)
    artifacts, shards = status.artifacts, status.shards or ShardCounts(total=0)
    return {
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "created": metadata["creationTimestamp"],
        "project": plan.get("spec", {}).get("projectId", ""),
        "phase": status.phase or Phase.PENDING,
        "reason": status.reason or "",
        "shards": {"total": shards.total, "succeeded": shards.succeeded, "failed": shards.failed},
        "findings": status.findings.counts if status.findings else {},
        "started": status.start_time,
        "completed": status.completion_time,
        "attempts": status.attempts or 0,
        "files": [file.name for file in (artifacts.files if artifacts else None) or ()],
        "cluster": artifacts.cluster if artifacts else None,
        "conditions": [
            {
                "type": each.type,
                "status": each.status,
                "reason": each.reason[:_MESSAGE],
                "message": each.message[:_MESSAGE],
            }
            for each in status.conditions
        ],
    }


def seen(rows: Iterable[Object], namespaces: Namespaces) -> list[Object]:
    """The rows of these namespaces."""
    return [row for row in rows if namespaces is None or row["namespace"] in namespaces]


def snapshot(rows: list[Object]) -> bytes:
    """The event with all plans that a viewer may see."""
    return event("snapshot", {"plans": rows})


def change(changed: Mapping[str, Object], gone: Mapping[str, str], namespaces: Namespaces) -> bytes:
    """The change event for these namespaces. It is empty if it has no plan of theirs, so that nobody learns of others."""
    rows = seen(changed.values(), namespaces)
    lost = [uid for uid, namespace in gone.items() if namespaces is None or namespace in namespaces]
    return event("change", {"plans": rows, "gone": lost}) if rows or lost else b""
