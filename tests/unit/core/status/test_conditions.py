"""The table of phases and conditions: what `kubectl wait`, Argo CD and Flux make of a plan.

The rules are kstatus's: Reconciling or Stalled are there only while True; Ready True means that nothing is to be waited for.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from scanplan.api.v1alpha1.conditions import ConditionType, Reason
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.core.status.conditions import Condition, for_phase, render
from tests.unit.core.objects import NOW

TABLE = {
    # phase: Ready, Reconciling, Stalled, Succeeded → what kstatus says
    Phase.PENDING: ("False", "True", None, "Unknown", "InProgress"),
    Phase.QUEUED: ("False", "True", None, "Unknown", "InProgress"),
    Phase.RUNNING: ("False", "True", None, "Unknown", "InProgress"),
    Phase.RETRYING: ("False", "True", None, "Unknown", "InProgress"),
    Phase.SUSPENDED: ("True", None, None, "Unknown", "Current"),
    Phase.COMPLETED: ("True", None, None, "True", "Current"),
    Phase.CANCELLED: ("True", None, None, "False", "Current"),
    Phase.FAILED: ("False", None, "True", "False", "Failed"),
}


def kstatus(conditions: Mapping[str, str]) -> str:
    """sigs.k8s.io/cli-utils/pkg/kstatus/status, `GetStatus` for a custom resource of the observed generation."""
    if conditions.get("Stalled") == "True":
        return "Failed"
    if conditions.get("Reconciling") == "True" or conditions.get("Ready") in {"False", "Unknown"}:
        return "InProgress"
    return "Current"


@pytest.mark.parametrize("phase", Phase)
def test_conditions_of_each_phase(phase: Phase) -> None:
    *expected, status = TABLE[phase]
    made = {condition.type.value: condition.status for condition in for_phase(phase, Reason.RUNNING, "words")}
    assert [made.get(name) for name in ("Ready", "Reconciling", "Stalled", "Succeeded")] == expected
    assert kstatus(made) == status


def test_every_condition_has_the_reason_and_the_words() -> None:
    for condition in for_phase(Phase.RETRYING, Reason.RETRYING, "trying again: disk full"):
        assert (condition.reason, condition.message) == (Reason.RETRYING, "trying again: disk full")


def test_a_transition_time_is_when_the_status_changed_and_not_when_the_words_did() -> None:
    first = render([Condition(ConditionType.READY, "False", Reason.PENDING, "a")], [], 1, NOW)
    later = NOW + timedelta(minutes=5)
    words = render([Condition(ConditionType.READY, "False", Reason.RUNNING, "b")], first, 2, later)
    assert [each.model_dump(by_alias=True) for each in words] == [
        {
            "type": "Ready",
            "status": "False",
            "reason": "Running",
            "message": "b",
            "lastTransitionTime": "2026-11-24T06:00:00Z",
            "observedGeneration": 2,
        }
    ]
    turned = render([Condition(ConditionType.READY, "True", Reason.COMPLETED, "c")], words, 2, later)
    assert turned[0].last_transition_time == "2026-11-24T06:05:00Z"


def test_a_condition_that_no_longer_holds_is_gone() -> None:
    before = render(for_phase(Phase.RUNNING, Reason.RUNNING, ""), [], 1, NOW)
    after = render(for_phase(Phase.COMPLETED, Reason.COMPLETED, ""), before, 1, NOW)
    assert [each.type for each in after] == ["Ready", "Succeeded"]


def test_a_word_that_is_too_long_does_not_make_the_status_unwritable() -> None:
    """The CRD bounds messages, and the API server's own can hold a whole manifest."""
    (rendered,) = render([Condition(ConditionType.READY, "False", Reason.JOB_REJECTED, "x" * 100_000)], [], 1, NOW)
    assert len(rendered.message) == 4_096
    assert rendered.message.endswith("x…")
