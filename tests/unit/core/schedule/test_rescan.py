"""Changed templates start one run: a schedule that misses them scans for weeks without the checks that are new."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scanplan.api import labels
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scan_defaults import ScanDefaults
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanschedule import Start, StartReason
from scanplan.core.planning.policy import Policy
from scanplan.core.schedule import rescan
from scanplan.core.schedule.decision import Act, CancelRun, CreateRun, Decision, Observed, Refusal, Write
from scanplan.core.schedule.names import name_of_rescan, name_of_trigger
from scanplan.core.schedule.reconcile import reconcile
from scanplan.core.schedule.schedule import Run, Schedule
from tests.unit.core.schedule.objects import TEMPLATE, ZONES, at, run, schedule

ON: dict[str, Any] = {"rescanOn": ["TemplatesChanged"]}
RESCAN = name_of_rescan("nightly", "", "old", "new")


def decide(of: Schedule, now: str, *runs: Run, templates: str = "new", refusal: Refusal | None = None) -> Decision:
    observed = Observed(schedule=of, runs=runs, zones=ZONES, templates=templates, refusal=refusal)
    return reconcile(observed, at(now))


def written(of: Schedule, now: str, *runs: Run, templates: str = "new") -> Schedule:
    decision = decide(of, now, *runs, templates=templates)
    assert isinstance(decision, Write)
    return replace(of, status=decision.status or of.status)


def seen(**spec: Any) -> Schedule:
    """A schedule whose last status knows the old templates."""
    return written(schedule(**{**ON, **spec}), "01:40", templates="old")


def rescanned(**fields: Any) -> Run:
    return replace(run("01", Phase.RUNNING, templates="new"), name=RESCAN, created=at("01:45"), **fields)


def test_changed_templates_start_a_run_that_says_which() -> None:
    decision = decide(seen(), "01:45")
    assert isinstance(decision, Act)
    (action,) = decision.actions
    assert isinstance(action, CreateRun)
    assert action.name == RESCAN
    assert action.manifest["metadata"]["annotations"] == {labels.TEMPLATES_DIGEST: "new"}


def test_nobody_asks_nothing_starts() -> None:
    of = written(schedule(), "01:40", templates="old")
    assert of.status.templates_digest is None
    assert isinstance(decide(of, "01:45"), Write)


def test_nothing_starts_on_create_or_when_somebody_begins_to_ask() -> None:
    assert written(schedule(**ON), "01:40").status.templates_digest == "new"
    before = written(schedule(), "01:40", templates="old")
    asked = replace(schedule(generation=2, **ON), status=before.status)
    assert written(asked, "01:45").status.templates_digest == "new"


def test_one_change_starts_one_run_whatever_becomes_of_it() -> None:
    """The run is known by its name after a crash before the status, and by the status after it is deleted."""
    of = written(seen(), "01:46", rescanned())
    assert of.status.templates_digest == "new"
    assert isinstance(decide(of, "01:50"), Write)
    assert isinstance(decide(of, "01:50", rescanned(ended=True)), Write)


def test_another_start_takes_the_new_templates_too() -> None:
    """Else each change that a nightly run comes before would be scanned for twice."""
    of = seen()
    nightly = run("02", Phase.RUNNING, templates="new")
    assert written(of, "02:00", nightly).status.templates_digest == "new"


def test_a_time_of_the_timetable_comes_first() -> None:
    decision = decide(seen(), "02:00")
    assert isinstance(decision, Act)
    assert [action.name for action in decision.actions if isinstance(action, CreateRun)] == ["nightly-202611270200"]


def test_it_waits_for_the_scan_that_runs_and_is_not_forgotten() -> None:
    """With Forbid. The running scan has the old templates."""
    running = run("01", Phase.RUNNING, templates="old")
    of = written(seen(), "01:45", running)
    assert of.status.templates_digest == "old"
    assert "nightly-202611270100 has ended" in str(of.status.conditions)
    of = written(of, "02:00", running)
    assert (of.status.templates_digest, of.status.skipped) == ("old", 1)
    assert isinstance(decide(of, "02:10", run("01", templates="old")), Act)


def test_replace_cancels_and_allow_runs_both() -> None:
    running = run("01", Phase.RUNNING, templates="old")
    decision = decide(seen(concurrencyPolicy="Replace"), "01:45", running)
    assert isinstance(decision, Act)
    assert decision.actions == (CancelRun(running),)
    decision = decide(seen(concurrencyPolicy="Allow"), "01:45", running)
    assert isinstance(decision, Act)
    assert isinstance(decision.actions[0], CreateRun)


def test_a_trigger_that_waits_too_is_enough() -> None:
    of = seen(trigger="a")
    of = replace(seen(trigger="b"), status=of.status)
    decision = decide(of, "01:45")
    assert isinstance(decision, Act)
    assert isinstance(decision.actions[0], CreateRun)
    triggered = replace(run("01", Phase.RUNNING, templates="new"), name=name_of_trigger("nightly", "b"))
    assert decision.actions[0].name == triggered.name
    of = written(of, "01:46", triggered)
    assert (of.status.templates_digest, of.status.last_trigger) == ("new", "b")


def test_a_suspended_schedule_starts_nothing_then_or_afterwards() -> None:
    of = replace(seen(suspend=True), status=seen().status)
    of = written(of, "01:45")
    assert of.status.templates_digest == "new"
    resumed = replace(schedule(generation=3, **ON), status=of.status)
    assert isinstance(decide(resumed, "01:50"), Write)


def test_templates_that_go_back_start_a_run_too() -> None:
    of = written(seen(), "01:46", rescanned())
    decision = decide(of, "01:50", rescanned(ended=True), templates="old")
    assert isinstance(decision, Act)
    assert isinstance(decision.actions[0], CreateRun)
    assert decision.actions[0].name == name_of_rescan("nightly", RESCAN, "new", "old")


def test_each_of_many_changes_to_and_fro_starts_a_run() -> None:
    """An upgrade that was rolled back and made again: lost otherwise are the checks of the new templates, until the next time."""
    of, made = seen(), list[Run]()
    for minute, templates in enumerate(["new", "old", "new", "old"], start=41):
        decision = decide(of, f"01:{minute}", *made, templates=templates)
        assert isinstance(decision, Act)
        (action,) = decision.actions
        assert isinstance(action, CreateRun)
        made.append(replace(run("01", templates=templates), name=action.name, created=at(f"01:{minute}")))
        after_a_crash = decide(of, f"01:{minute}", *made, templates=templates)
        assert isinstance(after_a_crash, Write)
        of = written(of, f"01:{minute}", *made, templates=templates)
    assert len({each.name for each in made}) == 4


def test_a_refused_run_is_tried_again() -> None:
    refusal = Refusal.forbidden(RESCAN, "exceeded quota")
    decision = decide(seen(), "01:45", refusal=refusal)
    assert isinstance(decision, Write)
    assert decision.status
    assert decision.decide_again_at
    assert decision.status.templates_digest == "old"


def test_the_status_and_an_event_say_why() -> None:
    decision = decide(seen(), "01:46", rescanned())
    assert isinstance(decision, Write)
    assert decision.status
    assert decision.status.last_start == Start(
        name=RESCAN, reason=StartReason.TEMPLATES_CHANGED, time="2026-11-27T01:45:00Z"
    )
    assert [event.reason for event in decision.events] == [Reason.TEMPLATES_CHANGED]
    again = decide(replace(seen(), status=decision.status), "01:47", rescanned(ended=True))
    assert isinstance(again, Write)
    assert again.events == ()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nightly-202611270100", StartReason.SCHEDULED),
        (name_of_trigger("nightly", "x"), StartReason.TRIGGERED),
        (RESCAN, StartReason.TEMPLATES_CHANGED),
    ],
)
def test_the_newest_run_stays_told_when_it_is_deleted(name: str, reason: StartReason) -> None:
    of = written(seen(), "01:50", replace(rescanned(), name=name))
    assert of.status.last_start
    assert of.status.last_start.reason is reason
    assert written(of, "01:51", run("00")).status.last_start == of.status.last_start


# which images


def digest(policy: Policy | None = None, **spec: Any) -> str:
    of = schedule(template={"spec": {**TEMPLATE["spec"], **spec}})
    return rescan.digest(of, policy or Policy(scanner_image="scanner@sha256:1"))


def test_the_digest_follows_each_image_that_holds_templates_and_nothing_else() -> None:
    image = {"image": {"reference": "templates@sha256:1"}}
    other = {"image": {"reference": "templates@sha256:2"}}
    defaults = ScanDefaults.model_validate({"templatesFrom": [{"image": {"reference": "owners@sha256:1"}}]})
    different = {
        digest(),
        digest(Policy(scanner_image="scanner@sha256:2")),
        digest(Policy(scanner_image="scanner@sha256:1", scan_defaults=defaults)),
        digest(scanner={"image": "own@sha256:1"}),
        digest(templatesFrom=[image]),
        digest(templatesFrom=[other]),
    }
    assert len(different) == 6
    assert digest() == digest(scanner={"rateLimit": 5}, templatesFrom=[{"configMap": {"name": "c"}}])
    assert digest(scanner={"image": "scanner@sha256:1"}) == digest()
