"""The known ScanExceptions by namespace, and what the newest result of each plan says of them.

Exceptions are kept as the compressed JSON that they came as, without what is for people only. A namespace may have very many,
and each new Job needs the end and the size of all of them. So these are read once, when an exception comes. The loop that writes
statuses unfolds one exception at a time. A plan's result takes memory only where it was counted with exceptions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from scanplan.api import labels
from scanplan.api.times import lenient_time
from scanplan.api.v1alpha1.scanexception import ScanExceptionStatus
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.controller.cache.bodies import status_of, warn_of_unreadable
from scanplan.controller.cache.deletions import Deletions
from scanplan.controller.engine.workqueue import ObjectName
from scanplan.core.exceptions.statuses import Known, Use, latest_end
from scanplan.core.observed import folding
from scanplan.findings import exceptions
from scanplan.findings.exceptions import HANDED_BYTES, ScanException

LONG_BYTES = 32 << 10
"""Of an exception as JSON. A longer one is not kept, and does not act: tenants must not fill the operator's memory."""
_SPEC = ("match", "status", "expiresAt")
_METADATA = ("name", "generation", "resourceVersion")


class _Folded(NamedTuple):
    uid: str
    resource_version: str
    generation: int
    seen: datetime
    content: bytes
    """Without `match`, where that is too long."""
    since: datetime
    """When an operator first saw this generation."""
    ends: datetime | None
    """None: it can't be read, so it does not act."""
    handed_bytes: int


class KnownExceptions:
    """To be changed by its `put` and `drop` methods alone."""

    def __init__(self, deletions: Deletions | None = None) -> None:
        """`deletions`: the deleted objects of all kinds; None: of this kind alone."""
        self._deleted = deletions or Deletions()
        self._known: defaultdict[str, dict[str, _Folded]] = defaultdict(dict)
        self._uses: defaultdict[str, dict[str, Use]] = defaultdict(dict)
        self._handed: dict[str, str] = {}

    def __iter__(self) -> Iterator[str]:
        """The namespaces that have exceptions."""
        return iter([namespace for namespace, known in self._known.items() if known])

    def put(self, body: dict[str, Any], now: datetime) -> bool:
        """Take in a ScanException object as the API returns it; whether it is news."""
        metadata, spec = body["metadata"], body.get("spec") or {}
        namespace, name = metadata["namespace"], metadata["name"]
        before = self._known[namespace].get(name)
        if self._deleted.cover(metadata["uid"], namespace):
            return False
        if before and int(before.resource_version) >= int(metadata["resourceVersion"]):
            return False
        same = before is not None and (before.uid, before.generation) == (metadata["uid"], metadata["generation"])
        kept: dict[str, Any] = {
            "metadata": {key: metadata[key] for key in _METADATA},
            "spec": {key: spec[key] for key in _SPEC if key in spec},
            "status": body.get("status") or {},
        }
        content = msgspec.json.encode(kept)
        if len(content) > LONG_BYTES:
            kept = {"metadata": kept["metadata"]}
            content = msgspec.json.encode(kept)
        known = _known(kept, before.seen if before and same else now)
        self._known[namespace][name] = _folded(metadata["uid"], known, content)
        self._handed.pop(namespace, None)
        if known.unreadable:
            warn_of_unreadable(labels.EXCEPTION_KIND, namespace, name, known.unreadable)
        return True

    def drop(self, namespace: str, name: str, uid: str) -> None:
        """Forget a deleted exception; a newer one of the same name stays."""
        self._deleted.add(uid, namespace)
        known = self._known[namespace].get(name)
        if known and known.uid == uid:
            del self._known[namespace][name]
            self._handed.pop(namespace, None)

    def of(self, namespace: str) -> Iterator[Known]:
        """The exceptions that a namespace has now, each unfolded when it is asked for: there may be very many."""
        return map(_unfolded, list(self._known.get(namespace, {}).values()))

    def next_end(self, namespace: str, now: datetime) -> datetime | None:
        """When the next exception of a namespace expires."""
        ends = (known.ends for known in self._known.get(namespace, {}).values())
        return min((end for end in ends if end and end > now), default=None)

    def handed(self, namespace: str, max_days: int, now: datetime) -> str:
        """The exceptions that act in a namespace, as pods get them; empty: there are none."""
        if not self._known.get(namespace):
            return ""
        if namespace not in self._handed:
            self._handed[namespace] = self._handed_out(namespace, max_days, now)
        return self._handed[namespace]

    def _handed_out(self, namespace: str, max_days: int, now: datetime) -> str:
        acting = [
            (exceptions.rank(known.ends, name), known)
            for name, known in self._known[namespace].items()
            if known.ends and now < known.ends <= latest_end(known.since, max_days)
        ]
        fitting: list[ScanException] = []
        room = HANDED_BYTES
        for _, known in sorted(acting):
            if known.handed_bytes <= room and (exception := _unfolded(known).exception):
                room -= known.handed_bytes
                fitting.append(exception)
        return exceptions.handed(fitting, len(acting) - len(fitting), now) if acting else ""

    # plans

    def put_plan(self, name: ObjectName, status: ScanPlanStatus) -> None:
        """Take in what a plan's newest result says of exceptions."""
        applied = status.exceptions
        time = lenient_time(applied.time) if applied else None
        if applied is None or time is None:
            self.drop_plan(name)
            return
        self._uses[name.namespace][name.name] = Use(
            time=time,
            total=status.findings.total if status.findings else 0,
            findings={use.name: use.findings for use in applied.used},
            more=applied.more,
        )

    def drop_plan(self, name: ObjectName) -> None:
        """Forget a plan."""
        self._uses.get(name.namespace, {}).pop(name.name, None)

    def uses(self, namespace: str) -> list[Use]:
        """What the newest results of the namespace's plans say of exceptions."""
        return list(self._uses.get(namespace, {}).values())


def _folded(uid: str, known: Known, content: bytes) -> _Folded:
    exception = known.exception
    return _Folded(
        uid,
        known.resource_version,
        known.generation,
        known.seen,
        folding.folded(content),
        known.since,
        exception.expires_at if exception else None,
        exceptions.handed_bytes(exception) if exception else 0,
    )


def _unfolded(folded: _Folded) -> Known:
    return _known(folding.unfolded(folded.content), folded.seen)


def _known(body: dict[str, Any], seen: datetime) -> Known:
    status, unreadable = status_of(ScanExceptionStatus, body)
    exception, problem = None, ""
    if "spec" not in body:
        problem = f"the exception is longer than {LONG_BYTES >> 10} KiB: split it"
    else:
        try:
            exception = exceptions.read(body)
        except ValueError as error:
            problem = str(error)
    metadata = body["metadata"]
    return Known(
        name=metadata["name"],
        generation=metadata["generation"],
        resource_version=metadata["resourceVersion"],
        seen=seen,
        exception=exception,
        problem=problem,
        unreadable=unreadable,
        status=status,
    )
