"""Which exceptions act, for readers of results. They see only the objects: the operator's own limit shows in the status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from scanplan.api.v1alpha1.conditions import ConditionType
from scanplan.api.v1alpha1.scanexception import ScanExceptionStatus
from scanplan.findings import exceptions
from scanplan.findings.exceptions import MAX_DAYS, ScanException


def in_force(bodies: Iterable[Mapping[str, Any]], now: datetime) -> list[ScanException]:
    """Those of these ScanException objects that act now: readable, not expired, and not refused by the operator."""
    found = []
    for body in bodies:
        try:
            exception = exceptions.read(body)
        except ValueError:
            continue
        if now < exception.expires_at <= now + timedelta(days=MAX_DAYS) and not _is_refused(body):
            found.append(exception)
    return found


def _is_refused(body: Mapping[str, Any]) -> bool:
    """Whether the operator has refused this generation; an object of a file has neither generation nor status."""
    stalled = ScanExceptionStatus.read(body).condition(ConditionType.STALLED)
    return (
        stalled is not None
        and stalled.status == "True"
        and stalled.observed_generation == body["metadata"].get("generation")
    )
