"""Notifiers and ended scans, as the API server has them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from scanplan.api.v1alpha1.scannotifier import ScanNotifierSpec, ScanNotifierStatus
from scanplan.core.notify.decision import Notifier
from scanplan.core.notify.scans import Ended, ended

WEBHOOK: dict[str, Any] = {
    "webhook": {
        "urlFrom": {"secretKeyRef": {"name": "hook", "key": "url"}},
        "signingKeysFrom": [{"secretKeyRef": {"name": "hook", "key": "signing"}}],
    }
}
EMAIL: dict[str, Any] = {"email": {"host": "mail.example.com", "from": "scans@example.com", "to": ["team@example.com"]}}


def at(text: str) -> datetime:
    """A time of one day."""
    return datetime.fromisoformat(f"2026-11-27T{text}").replace(tzinfo=UTC)


def spec(**fields: Any) -> ScanNotifierSpec:
    return ScanNotifierSpec.model_validate({**WEBHOOK, **fields})


def notifier(status: ScanNotifierStatus | None = None, generation: int = 1, **fields: Any) -> Notifier:
    return Notifier(
        namespace="shop",
        name="team",
        uid="n-1",
        generation=generation,
        created=at("00:00"),
        resource_version="1",
        deleting=False,
        spec=spec(**fields),
        status=status or ScanNotifierStatus(observed_generation=-1),
    )


def plan(
    name: str = "nightly-1",
    time: str = "02:10:00",
    phase: str = "Completed",
    *,
    reason: str = "",
    message: str = "words",
    new: dict[str, int] | None = None,
    run: str = "nightly",
    uid: str = "",
    labels: dict[str, str] | None = None,
    completed: bool = True,
    **status: Any,
) -> dict[str, Any]:
    """A ScanPlan object whose scan has ended."""
    when = f"2026-11-27T{time}Z"
    succeeded = "True" if phase == "Completed" else "False"
    new = new or {}
    condition = {"lastTransitionTime": when, "reason": reason or phase, "message": message}
    return {
        "metadata": {"namespace": "shop", "name": name, "uid": uid or f"uid-{name}", "labels": labels or {}},
        "status": {
            "phase": phase,
            "projectId": "shop",
            "runId": run,
            "taskId": f"task-{name}",
            "taskKey": f"key-{name}",
            **({"completionTime": when} if completed else {}),
            "findings": {"total": sum(new.values()), **new, "new": sum(new.values()), "newBySeverity": new},
            "conditions": [
                {"type": "Ready", "status": succeeded, **condition},
                {"type": "Succeeded", "status": succeeded, **condition},
            ],
            **status,
        },
    }


def scan(name: str = "nightly-1", time: str = "02:10:00", phase: str = "Completed", **fields: Any) -> Ended:
    found = ended(plan(name, time, phase, **fields))
    assert found
    return found
