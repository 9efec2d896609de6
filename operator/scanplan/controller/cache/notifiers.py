"""The known notifiers: what the core and the metrics read of each."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from scanplan.api import labels
from scanplan.api.times import lenient_time
from scanplan.api.v1alpha1.conditions import ConditionType
from scanplan.api.v1alpha1.scannotifier import ScanNotifierSpec, ScanNotifierStatus
from scanplan.controller.cache.bodies import identity_of, spec_of, status_of
from scanplan.controller.cache.deletions import Deletions
from scanplan.controller.cache.known import Known
from scanplan.core.notify.decision import Notifier
from scanplan.kube.objects import Object

_STAND_IN = ScanNotifierSpec.model_construct()


class Facts(NamedTuple):
    """What metrics say of a notifier."""

    oldest: datetime | None
    """When the oldest message in the outbox came into it."""
    pending: int
    sent: int
    lost: int
    ready: bool


class Notifiers(Known[Notifier, Facts]):
    """By name."""

    def __init__(self, deletions: Deletions | None = None) -> None:
        """`deletions`: as in `Known`."""
        super().__init__(labels.NOTIFIER_KIND, notifier_of, _facts, deletions)


def notifier_of(body: Object) -> Notifier:
    """A ScanNotifier object as the core reads it."""
    spec, problem = spec_of(ScanNotifierSpec, body, _STAND_IN)
    status, unreadable = status_of(ScanNotifierStatus, body)
    return Notifier(**identity_of(body), spec=spec, status=status, problem=problem, unreadable=unreadable)


def _facts(notifier: Notifier) -> Facts:
    status = notifier.status
    ready = status.condition(ConditionType.READY)
    times = (lenient_time(each.taken_time) for each in status.outbox)
    return Facts(
        oldest=min(filter(None, times), default=None),
        pending=len(status.outbox),
        sent=status.sent or 0,
        lost=status.lost or 0,
        ready=ready is not None and ready.status == "True",
    )
