"""The known schedules by name, as the compressed JSON that they came as; `Schedules.get` reads one anew.

A schedule is looked at twice in each of its runs. A template may be long, and a tenant may write many.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from scanplan.api.times import parse_time
from scanplan.api.v1alpha1.scanschedule import ScanScheduleSpec, ScanScheduleStatus, ScanTemplate, ScanTemplateSpec
from scanplan.controller.cache.bodies import identity_of, spec_of, status_of
from scanplan.controller.engine.workqueue import PlanName
from scanplan.core.schedule.schedule import Schedule

_METADATA = ("namespace", "name", "uid", "generation", "creationTimestamp", "resourceVersion", "deletionTimestamp")
REMEMBERED_DELETIONS = 10_000
"""More than schedules can be deleted while one request is under way."""
_FAST = 1
"""Compression level."""


_STAND_IN = ScanScheduleSpec.model_construct(
    schedule="", template=ScanTemplate.model_construct(spec=ScanTemplateSpec.model_construct(templates=[]))
)


class Facts(NamedTuple):
    """What metrics say of a schedule."""

    next: datetime | None
    """When its next run starts, with its offset."""
    last_successful: datetime | None
    last_failed: bool
    """The newest run that has ended did not complete."""
    missed: int
    skipped: int


class _Folded(NamedTuple):
    uid: str
    resource_version: str
    facts: Facts
    content: bytes


class Schedules:
    """To be changed by `put` and `drop` alone."""

    def __init__(self) -> None:
        self._schedules: dict[PlanName, _Folded] = {}
        self._gone: dict[str, None] = {}
        """UIDs deleted lately: an answer that comes after the deletion must not bring its object back."""

    def __iter__(self) -> Iterator[PlanName]:
        return iter(tuple(self._schedules))

    def get(self, name: PlanName) -> Schedule | None:
        """A schedule as it is known now."""
        known = self._schedules.get(name)
        return schedule_of(msgspec.json.decode(zlib.decompress(known.content))) if known else None

    def facts(self) -> Iterator[tuple[PlanName, Facts]]:
        """What metrics say of all."""
        return ((name, known.facts) for name, known in self._schedules.items())

    def put(self, body: dict[str, Any]) -> bool:
        """Take in a ScanSchedule object as the API returns it; whether it is news."""
        metadata = body["metadata"]
        name = PlanName(metadata["namespace"], metadata["name"])
        known = self._schedules.get(name)
        if metadata["uid"] in self._gone or (known and int(known.resource_version) >= int(metadata["resourceVersion"])):
            return False
        kept = {
            "metadata": {key: metadata[key] for key in _METADATA if key in metadata},
            "spec": body.get("spec") or {},
            "status": body.get("status") or {},
        }
        content = zlib.compress(msgspec.json.encode(kept), _FAST)
        self._schedules[name] = _Folded(
            metadata["uid"], metadata["resourceVersion"], _facts(schedule_of(body)), content
        )
        return True

    def drop(self, name: PlanName, uid: str) -> None:
        """Forget a deleted schedule; a newer one of the same name stays."""
        self._gone[uid] = None
        if len(self._gone) > REMEMBERED_DELETIONS:
            del self._gone[next(iter(self._gone))]
        known = self._schedules.get(name)
        if known and known.uid == uid:
            del self._schedules[name]


def _facts(schedule: Schedule) -> Facts:
    status = schedule.status
    begin, succeeded = parse_time(status.next_schedule_time), status.condition("Succeeded")
    return Facts(
        next=begin + schedule.offset if begin else None,
        last_successful=parse_time(status.last_successful_time),
        last_failed=succeeded is not None and succeeded.status == "False",
        missed=status.missed or 0,
        skipped=status.skipped or 0,
    )


def schedule_of(body: dict[str, Any]) -> Schedule:
    """A ScanSchedule object as the core reads it."""
    spec, problem = spec_of(ScanScheduleSpec, body, _STAND_IN)
    status, unreadable = status_of(ScanScheduleStatus, body)
    return Schedule(**identity_of(body), spec=spec, status=status, problem=problem or unreadable)
