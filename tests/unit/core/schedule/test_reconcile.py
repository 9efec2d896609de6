"""What is decided about a schedule: when a run is made, what counts as missed, and what the status says."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from scanplan.api.v1alpha1.conditions import ConditionType, Reason
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanschedule import ScanScheduleStatus
from scanplan.core.schedule.decision import Act, CancelRun, CreateRun, Decision, DeleteRun, Observed, Refusal, Write
from scanplan.core.schedule.names import name_at, name_of_trigger, time_of
from scanplan.core.schedule.reconcile import reconcile
from scanplan.core.schedule.schedule import Run, Schedule
from tests.unit.core.schedule.objects import ZONES, at, run, schedule


def decide(of: Schedule, now: str, *runs: Run, refusal: Refusal | None = None) -> Decision:
    return reconcile(Observed(schedule=of, runs=runs, zones=ZONES, refusal=refusal), at(now))


def written(of: Schedule, now: str, *runs: Run, refusal: Refusal | None = None) -> ScanScheduleStatus:
    decision = decide(of, now, *runs, refusal=refusal)
    assert isinstance(decision, Write)
    assert decision.status
    return decision.status


def seen(now: str = "01:40", **spec: Any) -> Schedule:
    """A schedule whose status was written at this time."""
    of = schedule(**spec)
    return replace(of, status=written(of, now))


def edited(of: Schedule, **spec: Any) -> Schedule:
    return replace(schedule(generation=of.generation + 1, **spec), status=of.status)


def created(decision: Decision) -> list[str]:
    assert isinstance(decision, Act)
    return [action.name for action in decision.actions if isinstance(action, CreateRun)]


def test_nothing_starts_on_create() -> None:
    status = written(schedule(), "01:40")
    assert (status.next_schedule_time, status.missed, status.active_count) == ("2026-11-27T02:00:00Z", 0, 0)


def test_a_time_that_has_come_makes_its_run() -> None:
    assert created(decide(seen(), "02:00")) == ["nightly-202611270200"]


def test_a_moment_before_its_time_nothing_is_made() -> None:
    decision = reconcile(Observed(schedule=seen(), zones=ZONES), at("02:00") - timedelta(microseconds=1))
    assert decision == Write(decide_again_at=at("02:00"))


def test_a_run_is_known_by_its_name_whoever_has_made_it() -> None:
    """After a crash between the run's POST and the status, a restart must not make a second one."""
    status = written(seen(), "02:00", run("02", Phase.RUNNING))
    assert (status.last_schedule_time, status.next_schedule_time) == ("2026-11-27T02:00:00Z", "2026-11-27T03:00:00Z")
    assert (status.active, status.missed) == (("nightly-202611270200",), 0)


def test_a_run_that_was_deleted_is_not_made_again() -> None:
    of = seen()
    of = replace(of, status=written(of, "02:00", run("02", Phase.RUNNING)))
    status = written(of, "02:10")
    assert (status.last_schedule_time, status.active) == ("2026-11-27T02:00:00Z", ())


def test_a_schedule_that_nobody_has_looked_at_yet_starts_what_came_since_it_was_created() -> None:
    """The operator was away: the time is not lost."""
    assert created(decide(schedule(created="01:30"), "02:00:05")) == ["nightly-202611270200"]


@pytest.mark.parametrize(
    ("now", "deadline", "made", "missed"),
    [
        ("02:30", 3600, ["nightly-202611270200"], 0),
        ("05:30", 3600, ["nightly-202611270500"], 3),
        ("05:30", 600, [], 4),
        ("05:10", 600, ["nightly-202611270500"], 3),
        ("02:10:01", 600, [], 1),
    ],
)
def test_after_a_downtime_at_most_one_start_is_made_good(now: str, deadline: int, made: list[str], missed: int) -> None:
    of = seen(startingDeadlineSeconds=deadline)
    decision = decide(of, now)
    if made:
        assert created(decision) == made
        decision = decide(of, now, run(made[0][-4:-2], Phase.RUNNING))
    assert isinstance(decision, Write)
    assert decision.status
    assert decision.status.missed == missed
    assert [event.reason for event in decision.events] == ([Reason.START_MISSED] if missed else [])


def test_a_missed_time_with_a_run_is_not_missed() -> None:
    """A crash after the POST at 02:00, and back at 04:00: one time is missed, not two."""
    of = seen()
    assert created(decide(of, "04:00", run("02"))) == ["nightly-202611270400"]
    assert written(of, "04:00", run("02"), run("04", Phase.RUNNING)).missed == 1


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("Forbid", None), ("Replace", [CancelRun]), ("Allow", [CreateRun])],
)
def test_a_scan_that_has_not_ended(policy: str, expected: list[type] | None) -> None:
    decision = decide(seen(concurrencyPolicy=policy), "02:00", run("01", Phase.RUNNING))
    if expected is None:
        assert isinstance(decision, Write)
        assert decision.status
        assert (decision.status.skipped, decision.status.missed) == (1, 0)
        assert decision.status.next_schedule_time == "2026-11-27T03:00:00Z"
        assert [event.reason for event in decision.events] == [Reason.START_SKIPPED]
    else:
        assert isinstance(decision, Act)
        assert [type(action) for action in decision.actions] == expected


def test_replace_waits_for_the_end_of_what_it_has_cancelled() -> None:
    """Or the two would run at once, and the new one be compared with a result that is not there yet."""
    of = seen(concurrencyPolicy="Replace")
    cancelled = run("01", Phase.RUNNING, cancelled=True)
    decision = decide(of, "02:00", cancelled)
    assert isinstance(decision, Write)
    assert decision.status
    assert decision.status.last_schedule_time == "2026-11-27T01:00:00Z"
    of = replace(of, status=decision.status)
    assert created(decide(of, "02:05", run("01", Phase.CANCELLED))) == ["nightly-202611270200"]
    assert written(of, "03:00:01", cancelled).missed == 1  # 02:00; 03:00 waits in its place
    assert created(decide(of, "03:00:01", run("01", Phase.CANCELLED))) == ["nightly-202611270300"]


def test_a_run_that_was_edited_after_its_end_is_at_work_again() -> None:
    """Judged on the scan, not on the words of an old status."""
    assert written(seen(), "02:00", run("01", Phase.COMPLETED, ended=False)).skipped == 1


# edits and suspension


@pytest.mark.parametrize(
    "change",
    [{"schedule": "*/5 * * * *"}, {"timeZone": "Europe/Berlin"}, {"spreadSeconds": 60}, {"suspend": True}],
    ids=lambda change: next(iter(change)),
)
def test_an_edit_starts_nothing(change: dict[str, Any]) -> None:
    of = edited(seen(), **change)
    decision = decide(of, "01:57")
    assert isinstance(decision, Write)
    assert decision.status
    assert decision.status.next_schedule_time in {None, "2026-11-27T02:00:00Z"}


def test_a_suspended_schedule_starts_nothing_and_misses_nothing() -> None:
    of = seen(suspend=True)
    assert of.status.next_schedule_time is None
    assert decide(of, "05:00") == Write()


def test_nothing_starts_when_a_suspension_ends() -> None:
    status = written(edited(seen(suspend=True)), "05:30")
    assert (status.next_schedule_time, status.missed) == ("2026-11-27T06:00:00Z", 0)


def test_a_time_that_had_come_before_an_edit_is_counted() -> None:
    """Whether it had been edited before or after 02:00, nobody can say: the time is not passed over in silence."""
    status = written(edited(seen(), schedule="30 * * * *"), "02:10")
    assert (status.missed, status.next_schedule_time) == (1, "2026-11-27T02:30:00Z")


def test_an_edit_of_the_template_neither_loses_nor_moves_a_time() -> None:
    template = {"spec": {"endpoints": ["https://b.example"], "templates": ["http/cves/"]}}
    decision = decide(edited(seen(), template=template), "02:00:01")
    assert created(decision) == ["nightly-202611270200"]
    assert isinstance(decision, Act)
    (action,) = decision.actions
    assert isinstance(action, CreateRun)
    assert action.manifest["spec"]["endpoints"] == ["https://b.example"]


# triggers


def test_a_trigger_starts_one_run_now_once() -> None:
    of = edited(seen(), trigger="please")
    name = name_of_trigger("nightly", "please")
    assert created(decide(of, "01:45")) == [name]
    status = written(of, "01:45", replace(run("01", Phase.RUNNING), name=name))
    assert (status.last_trigger, status.last_schedule_time) == ("please", None)
    assert decide(replace(of, status=status), "01:50", replace(run("01", Phase.RUNNING), name=name)) == Write(
        decide_again_at=at("02:00")
    )
    assert written(replace(of, status=status), "01:50").active == ()  # deleted: not made again


def test_a_trigger_works_while_suspended_and_waits_while_forbidden() -> None:
    assert created(decide(edited(seen(suspend=True), suspend=True, trigger="please"), "01:45"))
    of = edited(seen(), trigger="please")
    status = written(of, "01:45", run("01", Phase.RUNNING))
    assert status.last_trigger is None
    ready = status.condition(ConditionType.READY)
    assert ready
    assert "nightly-202611270100" in ready.message
    assert created(decide(replace(of, status=status), "01:46", run("01")))


@pytest.mark.parametrize(
    ("spec", "runs", "refusal"),
    [
        ({"concurrencyPolicy": "Replace"}, (run("01", Phase.RUNNING, cancelled=True),), None),
        ({}, (), Refusal.forbidden("nightly-202611270200", "exceeded quota: few")),
    ],
    ids=["a cancelled scan has not ended", "the run is refused"],
)
def test_a_trigger_waits_behind_a_run_of_the_timetable(
    spec: dict[str, Any], runs: tuple[Run, ...], refusal: Refusal | None
) -> None:
    """Lost otherwise: the run that a person has asked for."""
    of = edited(seen(**spec), **spec, trigger="please")
    of = replace(of, status=written(of, "02:00", *runs, refusal=refusal))
    assert of.status.last_trigger is None
    at_work = [run("01", Phase.CANCELLED), run("02")] if runs else [run("02")]
    assert created(decide(of, "02:05", *at_work)) == [name_of_trigger("nightly", "please")]


def test_the_trigger_that_a_schedule_is_created_with_starts_nothing() -> None:
    """A restore from Git or from a backup would scan everything at once."""
    of = seen(trigger="please")
    assert of.status.last_trigger == "please"
    assert decide(of, "01:45") == Write(decide_again_at=at("02:00"))
    broken = schedule(trigger="please", schedule="every night")
    assert written(broken, "01:40").last_trigger == "please"


# what can't be read


@pytest.mark.parametrize(
    "spec", [{"schedule": "0 0 0 2 * *"}, {"schedule": "0 0 L * *"}, {"timeZone": "Europe/Atlantis"}]
)
def test_what_cannot_be_read_is_stalled_and_never_a_guess(spec: dict[str, Any]) -> None:
    decision = decide(schedule(**spec), "02:00")
    assert isinstance(decision, Write)
    assert decision.decide_again_at is None
    assert decision.status
    stalled = decision.status.condition(ConditionType.STALLED)
    assert stalled
    assert (stalled.status, stalled.reason) == ("True", Reason.INVALID_SCHEDULE)
    repaired = edited(replace(schedule(), status=decision.status))
    assert written(repaired, "03:10").next_schedule_time == "2026-11-27T04:00:00Z"
    assert written(repaired, "03:10").condition(ConditionType.STALLED) is None


def test_a_status_of_a_newer_version_is_left_as_it_is() -> None:
    """Lost otherwise: after a rollback of the operator, what the schedule knows of its times."""
    assert decide(replace(schedule(), unreadable="status.missed: not known to this version"), "02:00") == Write()


@pytest.mark.parametrize(
    ("refusal", "condition"),
    [
        (
            Refusal.forbidden("nightly-202611270200", "exceeded quota: few"),
            (ConditionType.RECONCILING, Reason.QUOTA_EXCEEDED),
        ),
        (Refusal.forbidden("nightly-202611270200", "no right"), (ConditionType.RECONCILING, Reason.RUN_REJECTED)),
        (Refusal.invalid("nightly-202611270200", "no"), (ConditionType.STALLED, Reason.RUN_REJECTED)),
        (Refusal.name_conflict("nightly-202611270200"), (ConditionType.STALLED, Reason.NAME_CONFLICT)),
    ],
)
def test_a_refused_run_is_said_and_tried_again_until_its_deadline(
    refusal: Refusal, condition: tuple[ConditionType, Reason]
) -> None:
    of = seen(startingDeadlineSeconds=600)
    decision = decide(of, "02:00", refusal=refusal)
    assert isinstance(decision, Write)
    assert decision.status
    assert decision.decide_again_at
    assert decision.decide_again_at > at("02:00")
    found = decision.status.condition(condition[0])
    assert found
    assert found.reason == condition[1]
    of = replace(of, status=decision.status)
    assert created(decide(of, "02:09")) == ["nightly-202611270200"]
    late = written(of, "02:10:01")
    assert (late.missed, late.condition(condition[0])) == (1, None)


# clocks and offsets


def test_each_schedule_has_its_own_stable_offset() -> None:
    """500 siblings at 02:00 would be one burst (argo-workflows#16603)."""
    many = [replace(schedule(spreadSeconds=3600), name=f"s{number}") for number in range(500)]
    offsets = [each.offset for each in many]
    assert offsets == [replace(each, uid="another", generation=9).offset for each in many]
    assert all(timedelta(0) <= each < timedelta(hours=1) for each in offsets)
    tenths = {int(each.total_seconds() // 360) for each in offsets}
    assert tenths == set(range(10))
    assert schedule().offset == timedelta(0)


def test_a_run_starts_at_its_offset_and_is_named_by_its_time() -> None:
    of = seen(spreadSeconds=3600)
    assert of.offset > timedelta(0)
    start = at("02:00") + of.offset
    before = reconcile(Observed(schedule=of, zones=ZONES), start - timedelta(seconds=1))
    assert before == Write(decide_again_at=start)
    assert created(reconcile(Observed(schedule=of, zones=ZONES), start)) == ["nightly-202611270200"]


def test_with_an_offset_too_only_times_that_are_still_to_come_count_after_an_edit() -> None:
    """The offset of 02:00 is still to come; the time itself had passed before the edit."""
    of = seen(spreadSeconds=3600)
    assert timedelta(minutes=10) < of.offset
    before = edited(of, spreadSeconds=3600, suspend=True)
    before = replace(before, status=written(before, "01:50"))
    resumed = replace(edited(before, spreadSeconds=3600), generation=3)
    resumed = replace(resumed, status=written(resumed, "02:01"))
    assert resumed.status.next_schedule_time == "2026-11-27T03:00:00Z"
    decision = reconcile(Observed(schedule=resumed, zones=ZONES), at("02:00") + of.offset)
    assert decision == Write(decide_again_at=at("03:00") + of.offset)


def test_a_schedule_from_the_future_is_not_silent() -> None:
    """It was created while the clock was an hour ahead."""
    assert written(schedule(created="03:30"), "01:40").next_schedule_time == "2026-11-27T02:00:00Z"


@pytest.mark.parametrize("back", [1, 59, 3600])
def test_a_clock_that_goes_back_starts_no_time_twice(back: int) -> None:
    of = seen()
    of = replace(of, status=written(of, "02:00", run("02", Phase.RUNNING)))
    now = at("02:00") - timedelta(seconds=back)
    for runs in ((run("02"),), ()):
        decision = reconcile(Observed(schedule=of, runs=runs, zones=ZONES), now)
        assert isinstance(decision, Write)


def test_a_clock_that_was_far_ahead_does_not_silence_a_schedule() -> None:
    """It missed a year of times by a wrong clock: the next one is the next full hour again."""
    of = seen(startingDeadlineSeconds=10)
    wrong = reconcile(Observed(schedule=of, zones=ZONES), datetime(2027, 11, 27, 2, 30, tzinfo=at("00:00").tzinfo))
    assert isinstance(wrong, Write)
    assert wrong.status
    assert wrong.status.next_schedule_time == "2027-11-27T03:00:00Z"
    assert written(replace(of, status=wrong.status), "01:50").next_schedule_time == "2026-11-27T02:00:00Z"


# the status


def test_what_the_status_says_of_the_last_run() -> None:
    of = replace(seen(), status=seen().status)
    status = written(of, "01:50", run("00", Phase.COMPLETED, findings=7, new=2, resolved=1), run("01", Phase.RUNNING))
    assert status.last_run
    assert (status.last_run.name, status.last_run.findings, status.last_run.new, status.last_run.resolved) == (
        *("nightly-202611270000", 7, 2),
        1,
    )
    assert status.last_successful_time == "2026-11-27T00:01:00Z"
    succeeded = status.condition(ConditionType.SUCCEEDED)
    assert succeeded
    assert succeeded.status == "True"
    failed = written(replace(of, status=status), "02:05", run("00"), run("01"), run("02", Phase.FAILED))
    assert failed.last_run
    assert failed.last_run.phase is Phase.FAILED
    assert failed.last_successful_time == "2026-11-27T01:01:00Z"
    deleted = decide(replace(of, status=failed), "02:06", run("00"))
    assert deleted == Write(decide_again_at=at("03:00"))  # whoever deletes a run does not change what was last


def test_the_status_says_why_the_last_run_failed() -> None:
    """Lost otherwise: a schedule that never succeeds, and the reason is in one of its runs."""
    status = written(seen(), "02:30", run("02", Phase.FAILED, reason="TargetDenied"))
    assert status.last_run
    assert status.last_run.reason == "TargetDenied"
    succeeded = status.condition("Succeeded")
    assert succeeded
    assert succeeded.message == "run nightly-202611270200: Failed (TargetDenied)"


def test_the_next_start_is_told_in_the_time_of_the_zone() -> None:
    """Lost otherwise: whether the offset is right, by who reads "01:00Z" and has written "02:00"."""
    ready = seen(timeZone="Europe/Berlin").status.condition("Ready")
    assert ready
    assert ready.message == "the next run starts at 2026-11-27T02:00:00Z (Fri 03:00 in Europe/Berlin)"


def test_at_rest_nothing_is_written() -> None:
    assert decide(seen(), "01:45") == Write(decide_again_at=at("02:00"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nightly-202611270200", at("02:00")),
        ("nightly-202613270200", None),
        ("nightly-tabcdefabcde", None),
        ("other-202611270200", None),
        ("nightly-extra-202611270200", None),
        ("nightly", None),
    ],
)
def test_the_time_of_a_name(name: str, expected: datetime | None) -> None:
    assert time_of("nightly", name) == expected
    assert expected is None or name_at("nightly", expected) == name


# history


def test_history_is_bounded() -> None:
    hours = [f"{hour:02}" for hour in range(12)]
    of = seen("11:30", created="11:20", successfulRunsHistoryLimit=2, failedRunsHistoryLimit=1)
    runs = [run(hour, Phase.FAILED if int(hour) % 3 == 0 else Phase.COMPLETED) for hour in hours[:-1]]
    decision = decide(of, "11:40", *runs)
    assert isinstance(decision, Act)
    gone = [action.run.name[-4:-2] for action in decision.actions if isinstance(action, DeleteRun)]
    assert gone == ["00", "01", "02", "03", "04", "05", "06", "07"]


@pytest.mark.parametrize(
    ("successful", "failed", "runs", "gone"),
    [
        (0, 9, [run("00"), run("01")], ["00"]),
        (0, 9, [run("00"), run("01", Phase.FAILED)], []),
        (1, 9, [run("00", exporting_since=at("00:01")), run("01")], []),
        (1, 9, [run("00", exporting_since=at("00:01") - timedelta(hours=6)), run("01")], ["00"]),
        (9, 0, [run("00", Phase.FAILED, exporting_since=at("00:01")), run("01")], []),
        (1, 9, [run("00"), run("01"), run("02", Phase.RUNNING)], ["00"]),
        (1, 9, [run("00"), run("01", Phase.RUNNING), run("02")], []),
        (0, 9, [run("00", deleting=True), run("01")], []),
        (0, 9, [run("00", Phase.SUSPENDED), run("01")], []),
        (0, 9, [run("00", ended=False), run("01")], []),
        (9, 0, [run("00", Phase.FAILED)], []),
        (9, 0, [run("00", Phase.FAILED), run("01", Phase.RUNNING)], []),
        (9, 0, [run("00", Phase.FAILED), run("01", Phase.CANCELLED)], ["00"]),
        (9, 0, [run("00", Phase.FAILED), run("01")], ["00"]),
    ],
)
def test_history_keeps_what_is_needed(successful: int, failed: int, runs: list[Run], gone: list[str]) -> None:
    """A run that has not ended or is exported, one that another is compared with, and the last end, which others don't know yet."""
    limits = {"successfulRunsHistoryLimit": successful, "failedRunsHistoryLimit": failed}
    of = seen("01:30", **limits, concurrencyPolicy="Allow")
    decision = decide(of, "01:40", *runs)
    found = (
        [each.run.name[-4:-2] for each in decision.actions if isinstance(each, DeleteRun)]
        if isinstance(decision, Act)
        else []
    )
    assert found == gone


# the run


def test_a_run_is_a_plan_of_the_schedule() -> None:
    template = {
        "metadata": {"labels": {"team": "shop"}, "annotations": {"note": "a"}},
        "spec": {"endpoints": ["https://a.example"], "templates": ["http/cves/"], "sharding": {"parallelism": 2}},
    }
    decision = decide(seen(template=template), "02:00")
    assert isinstance(decision, Act)
    (action,) = decision.actions
    assert isinstance(action, CreateRun)
    assert action.manifest == {
        "apiVersion": "scanplan.dev/v1alpha1",
        "kind": "ScanPlan",
        "metadata": {
            "name": "nightly-202611270200",
            "namespace": "team",
            "labels": {"team": "shop", "scanplan.dev/schedule": "nightly"},
            "annotations": {"note": "a", "scanplan.dev/scheduled-at": "2026-11-27T02:00:00Z"},
            "ownerReferences": [
                {
                    "apiVersion": "scanplan.dev/v1alpha1",
                    "kind": "ScanSchedule",
                    "name": "nightly",
                    "uid": "schedule-1",
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": {
            "endpoints": ["https://a.example"],
            "templates": ["http/cves/"],
            "sharding": {"parallelism": 2},
            "runId": "nightly",
            "rerun": "202611270200",
        },
    }
