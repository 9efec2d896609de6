"""A ScanException's status, computed whole from the exception, the results that know it, and the time.

A result knows the exceptions that were there when its Job was made. The operator hands them to the pods, and the merge says
which of them match. So what is told here follows from the statuses of plans. No result is read, and nothing is remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from scanplan.api.times import format_precise, format_time, lenient_time
from scanplan.api.v1alpha1.conditions import ConditionType, Reason
from scanplan.api.v1alpha1.scanexception import ScanExceptionStatus
from scanplan.core.status.conditions import Condition, render
from scanplan.findings.exceptions import ScanException


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A ScanException object as the core reads it."""

    name: str
    generation: int
    resource_version: str
    seen: datetime
    """When this process first saw this generation."""
    exception: ScanException | None
    problem: str = ""
    """Why the spec can't be read."""
    unreadable: str = ""
    """Which fields the status has of a newer version of the operator; `status` is without them. Nothing may be written then."""
    status: ScanExceptionStatus

    @property
    def since(self) -> datetime:
        """When an operator first saw this generation."""
        observed = lenient_time(self.status.observed_time)
        return observed if observed and self.status.observed_generation == self.generation else self.seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """The newest result of one plan, as far as exceptions go."""

    time: datetime
    """It knows the exceptions that were there then."""
    total: int
    """Its findings."""
    findings: Mapping[str, int]
    """How many of them an exception matches, by its name."""
    more: bool
    """Others match too, that are not named."""


def refusal(known: Known, max_days: int) -> tuple[Reason, str] | None:
    """Why an exception doesn't act; None: it does, as long as it has not expired.

    Args:
        max_days: days after it was written until which it may last, by the operator's owner.
    """
    if known.exception is None:
        return Reason.INVALID_SPEC, known.problem
    latest = latest_end(known.since, max_days)
    if known.exception.expires_at > latest:
        allowed = format_time(latest.astimezone(UTC))
        return Reason.EXPIRES_TOO_LATE, f"expiresAt is more than {max_days} days ahead: at most {allowed} is allowed"
    return None


def latest_end(since: datetime, max_days: int) -> datetime:
    """Until when an exception may last that an operator first saw at `since`."""
    return since + timedelta(days=max_days)


def of(known: Known, uses: Iterable[Use], max_days: int, now: datetime) -> ScanExceptionStatus:
    """The status of an exception; `uses` are of all plans of its namespace that have a result."""
    knowing = [use for use in uses if use.time >= known.since]
    counts = [count for use in knowing if (count := use.findings.get(known.name))]
    return ScanExceptionStatus(
        observed_generation=known.generation,
        observed_time=format_precise(known.since),
        findings=sum(counts),
        plans=len(counts),
        conditions=render(
            _conditions(known, knowing, counts, max_days, now), known.status.conditions, known.generation, now
        ),
    )


def _conditions(known: Known, knowing: list[Use], counts: list[int], max_days: int, now: datetime) -> list[Condition]:
    if refused := refusal(known, max_days):
        return [Condition(ConditionType.READY, "False", *refused), Condition(ConditionType.STALLED, "True", *refused)]
    exception = known.exception
    assert exception is not None  # noqa: S101 - what has none is refused
    if now >= exception.expires_at:
        message = f"it ended {format_time(exception.expires_at.astimezone(UTC))}: its findings count again"
        return _told(ConditionType.EXPIRED, Reason.EXPIRED, message)
    matched, total = sum(counts), sum(use.total for use in knowing)
    if exception.match.is_any:
        return _told(ConditionType.TOO_WIDE, Reason.TOO_WIDE, "it has only patterns that match every finding")
    if matched == total > 1 and not exception.match.fingerprints:
        message = f"it matches all {total} findings of the {len(knowing)} results that know it"
        return _told(ConditionType.TOO_WIDE, Reason.TOO_WIDE, message)
    if matched:
        message = f"it matches {matched} of {total} findings, in {len(counts)} of {len(knowing)} results that know it"
        return [Condition(ConditionType.READY, "True", Reason.IN_FORCE, message)]
    if knowing and not any(use.more for use in knowing):
        message = f"it matches none of {total} findings, of {len(knowing)} results that know it"
        return _told(ConditionType.UNUSED, Reason.UNUSED, message)
    message = "no scan has told yet whether it matches a finding: those that start from now on will"
    return [Condition(ConditionType.READY, "True", Reason.NO_RESULT_YET, message)]


def _told(kind: ConditionType, reason: Reason, message: str) -> list[Condition]:
    """Ready, and what a person should know: nothing waits for an exception, so none of this makes it fail."""
    return [Condition(ConditionType.READY, "True", reason, message), Condition(kind, "True", reason, message)]
