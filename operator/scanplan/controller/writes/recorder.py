"""Post Events about plans and schedules.

The loss of one costs a line in `kubectl describe`, so no failure here is worth a retry, let alone the reconcile.
"""

from __future__ import annotations

import logging
import socket
from datetime import datetime
from typing import Any

from kubernetes.aio.client import ApiException

from scanplan.api import labels
from scanplan.core.planning.task import Plan
from scanplan.core.schedule.schedule import Schedule
from scanplan.core.status.events import Event
from scanplan.kube.api import Api
from scanplan.kube.failures import UNREACHABLE, message_of

log = logging.getLogger("scanplan.events")

REPORTER = f"{labels.GROUP}/operator"
_NAME_LENGTH = 200


async def record(api: Api, about: Plan | Schedule, event: Event, now: datetime, kind: str = labels.KIND) -> None:
    """Post one Event, or log why not."""
    try:
        await api.create_event(about.namespace, manifest(about, event, now, kind))
    except ApiException as error:
        log.warning("%s/%s: %s not recorded: %s", about.namespace, about.name, event.reason, message_of(error))
    except UNREACHABLE as error:
        log.warning("%s/%s: %s not recorded: %r", about.namespace, about.name, event.reason, error)


def manifest(about: Plan | Schedule, event: Event, now: datetime, kind: str = labels.KIND) -> dict[str, Any]:
    """The Event (events.k8s.io/v1)."""
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": f"{about.name[:_NAME_LENGTH]}-", "namespace": about.namespace},
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "type": "Warning" if event.warning else "Normal",
        "reason": event.reason,
        "action": "Reconcile",
        "note": event.message,
        "reportingController": REPORTER,
        "reportingInstance": socket.gethostname(),
        "regarding": {
            "apiVersion": labels.API_VERSION,
            "kind": kind,
            "namespace": about.namespace,
            "name": about.name,
            "uid": about.uid,
        },
    }
