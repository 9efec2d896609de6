"""A message as a CloudEvent 1.0 in structured mode: one JSON document, so that the signature covers all of it.

Sources: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md and the HTTP protocol binding and JSON event format
beside it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from scanplan.api import labels
from scanplan.api.v1alpha1.notification import Notice

CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"
PREFIX = "dev.scanplan.scan."
_TYPES = {
    "NewFindings": "newfindings",
    "Failed": "failed",
    "Recovered": "recovered",
    "Completed": "completed",
    "Test": "test",
}


def event(notice: Notice, message_id: str, notifier: str) -> dict[str, Any]:
    """The event.

    Args:
        message_id: the same for each attempt.
        notifier: name of the ScanNotifier.
    """
    data = notice.model_dump(mode="json", by_alias=True, exclude_none=True)
    data |= {"newTotal": notice.new_total, "notifier": notifier}
    found = {
        "specversion": "1.0",
        "id": message_id,
        "source": f"{labels.API_VERSION}/{labels.NOTIFIER_PLURAL}/{notice.namespace}/{notifier}",
        "type": f"{PREFIX}{_TYPES.get(notice.event, 'other')}",
        "time": notice.time,
        "datacontenttype": "application/json",
        "data": data,
    }
    return {**found, "subject": f"{labels.PLURAL}/{notice.plan}"} if notice.plan else found


def body(notice: Notice, message_id: str, notifier: str) -> bytes:
    """The event as it is sent; the same bytes for each attempt."""
    return msgspec.json.encode(event(notice, message_id, notifier))
