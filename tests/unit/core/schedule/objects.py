"""Schedules and runs for the tests of `scanplan.core.schedule`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanschedule import ScanScheduleSpec, ScanScheduleStatus
from scanplan.core.schedule.schedule import Run, Schedule

ZONES: Mapping[str, tzinfo] = {name: ZoneInfo(name) for name in ("Etc/UTC", "Europe/Berlin")}
TEMPLATE = {"spec": {"endpoints": ["https://a.example"], "templates": ["http/cves/"]}}


def at(text: str) -> datetime:
    """A time of 27 November 2026."""
    return datetime.fromisoformat(f"2026-11-27T{text}").replace(tzinfo=UTC)


def schedule(
    status: ScanScheduleStatus | None = None, created: str = "01:30", generation: int = 1, **spec: Any
) -> Schedule:
    """A schedule of each full hour."""
    return Schedule(
        namespace="team",
        name="nightly",
        uid="schedule-1",
        generation=generation,
        created=at(created),
        spec=ScanScheduleSpec.model_validate({"schedule": "0 * * * *", "template": TEMPLATE, **spec}),
        status=status or ScanScheduleStatus(observed_generation=-1),
        resource_version="7",
    )


def run(hour: str, phase: Phase = Phase.COMPLETED, **fields: Any) -> Run:
    """The run of a full hour, which has ended a minute later."""
    created = at(f"{hour}:00")
    usual = {"ended": phase.is_terminal, "completed": at(f"{hour}:01") if phase.is_terminal else None}
    name = f"nightly-20261127{hour}00"
    return Run(name=name, uid=f"uid-{hour}", created=created, phase=phase, **{**usual, **fields})
