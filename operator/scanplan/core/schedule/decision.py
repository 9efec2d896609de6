"""What goes into a schedule's reconcile and what comes out of it: `Observed` in, `Act` or `Write` out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scanschedule import ScanScheduleStatus
from scanplan.core.schedule.schedule import Run, Schedule
from scanplan.core.status.events import Event

RETRY_SECONDS = 10.0
"""When to try again what others have to lift: a quota, a missing right."""
STALLED_SECONDS = 60.0
"""When to try again what a person has to change: a name that is taken, a template that is refused."""


@dataclass(frozen=True, slots=True)
class CreateRun:
    """POST the ScanPlan; the answers are: created, there already, or refused."""

    manifest: dict[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class CancelRun:
    """Set `spec.cancel` of a run, whose findings so far are then kept."""

    run: Run


@dataclass(frozen=True, slots=True)
class DeleteRun:
    """Delete a run that the history has no place for, with its UID as precondition."""

    run: Run


Action = CreateRun | CancelRun | DeleteRun


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server refused to create a run."""

    run: str
    reason: Reason
    message: str
    stalled: bool
    """True: it will refuse until a person changes something."""

    @classmethod
    def forbidden(cls, run: str, message: str) -> Refusal:
        """403: a quota, an admission policy, or a right that was not granted."""
        reason = Reason.QUOTA_EXCEEDED if "exceeded quota" in message else Reason.RUN_REJECTED
        return cls(run, reason, f"run {run} can't be created: {message}", stalled=False)

    @classmethod
    def invalid(cls, run: str, message: str) -> Refusal:
        """400 or 422: the template asks for something that Kubernetes doesn't take."""
        return cls(run, Reason.RUN_REJECTED, f"Kubernetes refuses run {run}: {message}", stalled=True)

    @classmethod
    def name_conflict(cls, run: str) -> Refusal:
        """The name belongs to a ScanPlan that is no run of this schedule."""
        message = f"a ScanPlan named {run} exists that is no run of this schedule; it is left alone: remove it"
        return cls(run, Reason.NAME_CONFLICT, message, stalled=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One schedule and all that bears on it."""

    schedule: Schedule
    runs: tuple[Run, ...] = ()
    """The ScanPlans that it owns."""
    zones: Mapping[str, tzinfo]
    """Time zones by their IANA names."""
    templates: str = ""
    """Digest of the images that hold the templates of a run that is made now (`rescan.digest`)."""
    refusal: Refusal | None = None
    """Why the run that the last decision asked for was not made."""


@dataclass(frozen=True, slots=True)
class Act:
    """Carry out these actions in order, observe again, and decide again."""

    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """Nothing is left to be done but to write the status, where it differs."""

    status: ScanScheduleStatus | None = None
    """The whole status to write; None: leave it."""
    decide_again_at: datetime | None = None
    """When to decide again without any event."""
    events: tuple[Event, ...] = ()
    """To be recorded once the status is written."""


NOTHING = Write()
"""Nothing is to be done or written."""
Decision = Act | Write
"""What to do about a schedule: exactly one of these."""
