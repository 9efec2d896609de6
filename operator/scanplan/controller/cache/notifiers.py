"""The known notifiers by name, as the compressed JSON that they came as; `Notifiers.get` reads one anew."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from scanplan.api.times import lenient_time
from scanplan.api.v1alpha1.conditions import ConditionType
from scanplan.api.v1alpha1.scannotifier import ScanNotifierSpec, ScanNotifierStatus
from scanplan.controller.cache.bodies import identity_of, spec_of, status_of
from scanplan.controller.engine.workqueue import PlanName
from scanplan.core.notify.decision import Notifier

_METADATA = ("namespace", "name", "uid", "generation", "creationTimestamp", "resourceVersion", "deletionTimestamp")
_STAND_IN = ScanNotifierSpec.model_construct()
REMEMBERED_DELETIONS = 10_000
"""More than notifiers can be deleted while one request is under way."""
_FAST = 1
"""Compression level."""


class Facts(NamedTuple):
    """What metrics say of a notifier."""

    oldest: datetime | None
    """When the oldest message in the outbox came into it."""
    pending: int
    sent: int
    lost: int
    ready: bool


class _Folded(NamedTuple):
    uid: str
    resource_version: str
    facts: Facts
    content: bytes


class Notifiers:
    """To be changed by `put` and `drop` alone."""

    def __init__(self) -> None:
        self._notifiers: dict[PlanName, _Folded] = {}
        self._gone: dict[str, None] = {}
        """UIDs deleted lately: an answer that comes after the deletion must not bring its object back."""

    def __iter__(self) -> Iterator[PlanName]:
        return iter(tuple(self._notifiers))

    def of(self, namespace: str) -> list[PlanName]:
        """The notifiers of a namespace."""
        return [name for name in self._notifiers if name.namespace == namespace]

    def get(self, name: PlanName) -> Notifier | None:
        """A notifier as it is known now."""
        known = self._notifiers.get(name)
        return notifier_of(msgspec.json.decode(zlib.decompress(known.content))) if known else None

    def facts(self) -> Iterator[tuple[PlanName, Facts]]:
        """What metrics say of all."""
        return ((name, known.facts) for name, known in self._notifiers.items())

    def put(self, body: dict[str, Any]) -> bool:
        """Take in a ScanNotifier object as the API returns it; whether it is news."""
        metadata = body["metadata"]
        name = PlanName(metadata["namespace"], metadata["name"])
        known = self._notifiers.get(name)
        if metadata["uid"] in self._gone or (known and int(known.resource_version) >= int(metadata["resourceVersion"])):
            return False
        kept = {
            "metadata": {key: metadata[key] for key in _METADATA if key in metadata},
            "spec": body.get("spec") or {},
            "status": body.get("status") or {},
        }
        content = zlib.compress(msgspec.json.encode(kept), _FAST)
        facts = _facts(notifier_of(kept).status)
        self._notifiers[name] = _Folded(metadata["uid"], metadata["resourceVersion"], facts, content)
        return True

    def drop(self, name: PlanName, uid: str) -> None:
        """Forget a deleted notifier; a newer one of the same name stays."""
        self._gone[uid] = None
        if len(self._gone) > REMEMBERED_DELETIONS:
            del self._gone[next(iter(self._gone))]
        known = self._notifiers.get(name)
        if known and known.uid == uid:
            del self._notifiers[name]


def notifier_of(body: dict[str, Any]) -> Notifier:
    """A ScanNotifier object as the core reads it."""
    spec, problem = spec_of(ScanNotifierSpec, body, _STAND_IN)
    status, unreadable = status_of(ScanNotifierStatus, body)
    return Notifier(**identity_of(body), spec=spec, status=status, problem=problem or unreadable)


def _facts(status: ScanNotifierStatus) -> Facts:
    ready = status.condition(ConditionType.READY)
    times = (lenient_time(each.taken_time) for each in status.outbox)
    return Facts(
        oldest=min(filter(None, times), default=None),
        pending=len(status.outbox),
        sent=status.sent or 0,
        lost=status.lost or 0,
        ready=ready is not None and ready.status == "True",
    )
