"""Conditions of a plan, built in one place from its phase (kstatus's rules; see the table in docs/design.md).

`Reconciling` and `Stalled` are there only while they are True. `Ready` says that the plan is as its author wants it: scanned,
suspended on request or cancelled on request. A plan that waits for its next window is Reconciling. A transition time changes only
with the condition's status.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from scanplan.api.times import format_time
from scanplan.api.v1alpha1 import status
from scanplan.api.v1alpha1.conditions import ConditionType, Reason
from scanplan.api.v1alpha1.scanplan import Phase

ConditionStatus = Literal["True", "False", "Unknown"]
_READY = {Phase.COMPLETED, Phase.SUSPENDED, Phase.CANCELLED}
_SUCCEEDED: Mapping[Phase, ConditionStatus] = {Phase.COMPLETED: "True", Phase.FAILED: "False", Phase.CANCELLED: "False"}


MESSAGE_LENGTH = 4_096
"""Of what others say (kubelet, API server, runner) no more is kept: a status with too long a word would be refused for ever."""


def fit(message: str) -> str:
    """The message, cut to `MESSAGE_LENGTH` characters."""
    return message if len(message) <= MESSAGE_LENGTH else f"{message[: MESSAGE_LENGTH - 1]}…"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition as decided now, without its times."""

    type: ConditionType
    status: ConditionStatus
    reason: Reason
    message: str


def for_phase(phase: Phase, reason: Reason, message: str) -> list[Condition]:
    """The conditions that every plan of this phase has."""
    ready = phase in _READY and reason is not Reason.OUTSIDE_WINDOW
    result = [Condition(ConditionType.READY, "True" if ready else "False", reason, message)]
    if phase is Phase.FAILED:
        result.append(Condition(ConditionType.STALLED, "True", reason, message))
    elif not ready:
        result.append(Condition(ConditionType.RECONCILING, "True", reason, message))
    result.append(Condition(ConditionType.SUCCEEDED, _SUCCEEDED.get(phase, "Unknown"), reason, message))
    return result


def render(
    conditions: Iterable[Condition],
    previous: Iterable[status.Condition],
    generation: int,
    now: datetime,
) -> tuple[status.Condition, ...]:
    """The conditions as they are written; those whose status is unchanged keep their transition time."""
    before = {condition.type: condition for condition in previous}
    rendered = []
    for condition in conditions:
        old = before.get(condition.type)
        same = old is not None and old.status == condition.status
        rendered.append(
            status.Condition(
                type=condition.type.value,
                status=condition.status,
                reason=condition.reason.value,
                message=fit(condition.message),
                last_transition_time=old.last_transition_time if old and same else format_time(now),
                observed_generation=generation,
            )
        )
    return tuple(rendered)
