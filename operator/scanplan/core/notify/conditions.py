"""The conditions of a ScanNotifier, by kstatus's rules.

Ready is False while the receiver takes nothing. Then Reconciling is True where the operator tries again. Stalled is True where
a person has to change something, such as a Secret that is not there or a host that the owner does not allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from scanplan.api.v1alpha1.conditions import ConditionType, Reason
from scanplan.api.v1alpha1.scannotifier import ScanNotifierStatus
from scanplan.core.notify import backoff
from scanplan.core.notify.decision import Checked, Notifier, NotSent, Outcome, Sent, Trouble
from scanplan.core.status.conditions import Condition, render

_WORKING = {Reason.RECEIVER_FOUND, Reason.DELIVERED}
_TROUBLES = {
    Reason.SECRET_UNAVAILABLE,
    Reason.RECEIVER_INVALID,
    Reason.RECEIVER_DENIED,
    Reason.RECEIVER_UNREACHABLE,
    Reason.RECEIVER_REFUSED,
}
_LASTING = {reason.value: reason for reason in (*_WORKING, *_TROUBLES)}
"""What holds until the next look at the receiver."""


def was_suspended(status: ScanNotifierStatus) -> bool:
    """Whether the status is of a suspended notifier."""
    ready = status.condition(ConditionType.READY)
    return ready is not None and ready.reason == Reason.SUSPENDED


def is_stalled(status: ScanNotifierStatus) -> bool:
    """Whether the receiver waits for a person's change."""
    return status.condition(ConditionType.STALLED) is not None


def to_be_checked(of: Notifier, now: datetime) -> bool:
    """Whether to look at the receiver without a message: once for each generation, and again while it can't be sent to."""
    ready = of.status.condition(ConditionType.READY)
    if ready is None or ready.reason == Reason.PENDING:
        return True
    return is_stalled(of.status) and not backoff.until(of.status.paused_until, now)


def with_conditions(
    of: Notifier, status: ScanNotifierStatus, outcomes: Sequence[Outcome], now: datetime
) -> ScanNotifierStatus:
    """The status with its conditions."""
    return status.model_copy(
        update={
            "observed_generation": of.generation,
            "conditions": render(_conditions(of, outcomes), of.status.conditions, of.generation, now),
        }
    )


def _conditions(of: Notifier, outcomes: Sequence[Outcome]) -> list[Condition]:
    if of.problem:
        return _in_trouble(Trouble(Reason.INVALID_SPEC, of.problem, lasting=True))
    if of.spec.suspend:
        return [Condition(ConditionType.READY, "True", Reason.SUSPENDED, "it sends nothing while it is suspended")]
    current = [each for each in outcomes if not isinstance(each, Checked) or each.generation == of.generation]
    for outcome in reversed(current):
        match outcome:
            case Sent():
                return [Condition(ConditionType.READY, "True", Reason.DELIVERED, "the receiver took the last message")]
            case NotSent(_, trouble, _):
                return _in_trouble(trouble)
            case Checked(_, trouble, _) if trouble:
                return _in_trouble(trouble)
            case Checked():
                message = "the receiver can be sent to; whether it takes messages, the next one shows"
                return [Condition(ConditionType.READY, "True", Reason.RECEIVER_FOUND, message)]
    return _as_before(of)


def _as_before(of: Notifier) -> list[Condition]:
    """What was known of the receiver, as long as the spec is the same."""
    before = of.status.condition(ConditionType.READY)
    reason = _LASTING.get(before.reason) if before else None
    if before is None or reason is None or of.status.observed_generation != of.generation:
        message = "the operator looks whether the receiver can be sent to"
        return [
            Condition(ConditionType.READY, "False", Reason.PENDING, message),
            Condition(ConditionType.RECONCILING, "True", Reason.PENDING, message),
        ]
    if reason in _WORKING:
        return [Condition(ConditionType.READY, "True", reason, before.message)]
    return _in_trouble(Trouble(reason, before.message, lasting=is_stalled(of.status)))


def _in_trouble(trouble: Trouble) -> list[Condition]:
    kind = ConditionType.STALLED if trouble.lasting else ConditionType.RECONCILING
    return [
        Condition(ConditionType.READY, "False", trouble.reason, trouble.message),
        Condition(kind, "True", trouble.reason, trouble.message),
    ]
