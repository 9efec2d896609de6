"""A plan outside of its windows: suspended, resumed and told of, with all else that may keep a plan or end it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from scanplan.api.v1alpha1.conditions import Reason
from scanplan.controller.reads.zones import ZONES
from scanplan.core.observed.jobs import JobCondition, JobView
from scanplan.core.planning.task import Plan
from scanplan.core.reconcile import reconcile
from scanplan.core.reconcile.decision import (
    Act,
    Action,
    CreateJob,
    Decision,
    DeleteJob,
    NeedInputs,
    Observed,
    PatchJob,
    SetAdmission,
    Write,
)
from tests.unit.core.objects import (
    INPUTS,
    NOW,
    POLICY,
    ago,
    complete,
    completed_status,
    job,
    plan,
    running_status,
    task,
)

NIGHT = [{"from": "22:00", "to": "04:00", "timeZone": "Europe/Berlin"}]
MORNING = [{"from": "06:00", "to": "08:00", "timeZone": "Europe/Berlin"}]
UNREADABLE = [{"from": "22:00", "to": "04:00", "timeZone": "Europe/Atlantis"}]
TONIGHT, AT_EIGHT = datetime(2026, 11, 24, 21, 0, tzinfo=UTC), datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
WAITS = "outside of its windows: it will {} at 2026-11-24T21:00:00Z (Tue 22:00 in Europe/Berlin)"


def decide(of: Plan, *known: JobView, now: datetime = NOW, **observed: Any) -> Decision:
    return reconcile.reconcile(
        Observed(
            plan=of,
            policy=POLICY,
            jobs={each.name: each for each in known},
            owned=tuple(each for each in known if of.uid in each.owners),
            doubted=observed.pop("doubted", {task().job_name}),
            plans={of.uid, *(uid for each in known for uid in each.owners)},
            inputs=observed.pop("inputs", INPUTS),
            zones=ZONES,
            **observed,
        ),
        now,
    )


def written(decision: Decision) -> dict[str, Any]:
    assert isinstance(decision, Write)
    assert decision.status
    return decision.status.document()


def acts(decision: Decision) -> tuple[Action, ...]:
    assert isinstance(decision, Act)
    return decision.actions


def condition(status: dict[str, Any], kind: str) -> tuple[str, str, str]:
    """Status, reason and message of one condition."""
    (found,) = (each for each in status["conditions"] if each["type"] == kind)
    return found["status"], found["reason"], found["message"]


def stopped(of: Plan, **changes: Any) -> JobView:
    """Its Job, suspended a minute ago, with no pod left."""
    since = JobCondition("JobSuspended", "", ago(60))
    changes = {"active": 0, "ready": 0, "start_time": None, "is_suspended": since, "suspended": True, **changes}
    return job(of, **changes)


def test_a_plan_that_is_created_outside_waits_for_its_window() -> None:
    decision = decide(plan(windows=NIGHT))
    status = written(decision)
    assert status["phase"] == "Suspended"
    assert condition(status, "Ready") == ("False", Reason.OUTSIDE_WINDOW, WAITS.format("start"))
    assert condition(status, "Reconciling") == ("True", Reason.OUTSIDE_WINDOW, WAITS.format("start"))
    assert isinstance(decision, Write)
    assert decision.decide_again_at == TONIGHT


def test_a_plan_in_its_window_starts() -> None:
    decision = decide(plan(windows=MORNING), doubted=())
    assert isinstance(decision, Act)
    assert isinstance(decision.actions[0], CreateJob)


def test_at_rest_outside_nothing_is_written() -> None:
    """One look at the next edge: no plan is polled."""
    waiting = plan(windows=NIGHT)
    waiting = plan(windows=NIGHT, status=written(decide(waiting)))
    assert decide(waiting) == Write(decide_again_at=TONIGHT)


def test_a_scan_at_work_is_suspended_when_its_window_closes() -> None:
    of = plan(running_status(), windows=NIGHT)
    decision = decide(of, job(of))
    assert isinstance(decision, Act)
    (action,) = decision.actions
    assert isinstance(action, PatchJob)
    assert action.patch["spec"] == {"suspend": True}


def test_the_end_of_a_window_is_one_write_of_the_status() -> None:
    """While its pods stop, nothing is written; when they have stopped, the status says until when."""
    of = plan(running_status(), windows=NIGHT)
    asked = replace(job(of).asked, suspend=True)
    assert decide(of, stopped(of, recorded=asked, active=2, is_suspended=None)) == Write(
        requeue_after=30.0, decide_again_at=TONIGHT
    )
    now = JobCondition("JobSuspended", "", ago(2))
    assert decide(of, stopped(of, recorded=asked, terminating=2, is_suspended=now)) == Write(
        requeue_after=28.0, decide_again_at=TONIGHT
    )
    status = written(decide(of, stopped(of, recorded=asked)))
    assert status["phase"] == "Suspended"
    assert condition(status, "Ready") == ("False", Reason.OUTSIDE_WINDOW, WAITS.format("go on"))


def test_pods_that_do_not_stop_are_told_of() -> None:
    """Their node may be dead: the scan goes on outside of its windows, and somebody has to know."""
    of = plan(running_status(), windows=NIGHT)
    asked = replace(job(of).asked, suspend=True)
    status = written(decide(of, stopped(of, recorded=asked, terminating=1)))
    assert condition(status, "Ready") == ("False", Reason.OUTSIDE_WINDOW, "stopping 1 pods")


def test_a_suspended_scan_goes_on_when_a_window_opens() -> None:
    of = plan(running_status(), windows=MORNING)
    asked = replace(job(of).asked, suspend=True)
    decision = decide(of, stopped(of, recorded=asked))
    assert isinstance(decision, Act)
    (action,) = decision.actions
    assert isinstance(action, PatchJob)
    assert action.patch["spec"] == {"suspend": False}


def test_the_beginning_of_a_window_is_one_write_of_the_status() -> None:
    """Its pods come within seconds: until then the status says what it said."""
    of = plan({**running_status(), "phase": "Suspended"}, windows=MORNING)
    resumed = stopped(of, suspended=False, recorded=replace(job(of).asked, suspend=False), created=ago(7200))
    assert decide(of, resumed) == Write(requeue_after=5.0, decide_again_at=AT_EIGHT)
    resumed = replace(resumed, start_time=ago(2), is_suspended=None)
    assert decide(of, resumed) == Write(requeue_after=3.0, decide_again_at=AT_EIGHT)
    assert written(decide(of, replace(resumed, active=2, ready=2)))["phase"] == "Running"


@pytest.mark.parametrize(
    ("held", "free"), [({"windows": NIGHT}, {"windows": MORNING}), ({"windows": NIGHT}, {}), ({"suspend": True}, {})]
)
def test_a_job_that_went_while_its_plan_was_held_has_the_whole_deadline_again(
    held: dict[str, Any], free: dict[str, Any]
) -> None:
    """Lost otherwise: the scan. It ended at once, as if it had run all the time since the night before."""
    begun = ago(86_400)
    status = running_status(at=job(created=begun, start_time=begun))
    status = written(decide(plan(status, deadlineSeconds=3_600, **held), doubted=()))
    assert status["phase"] == "Suspended"
    of = plan(status, deadlineSeconds=3_600, **free)
    (action,) = acts(decide(of, pods=()))
    assert isinstance(action, CreateJob)
    assert action.manifest["spec"]["activeDeadlineSeconds"] == 3_600
    again = job(of, uid="job-2", created=ago(10), first_seen=begun, start_time=ago(9))
    decision = decide(of, again)
    assert not isinstance(decision, Act)
    assert not isinstance(decide(plan(written(decision), deadlineSeconds=3_600, **free), again), Act)


def test_a_running_scan_is_looked_at_when_its_window_closes() -> None:
    of = plan(running_status(), windows=MORNING)
    decision = decide(of, job(of), last_write=NOW)
    assert isinstance(decision, Write)
    assert decision.decide_again_at == AT_EIGHT


def test_the_authors_suspension_is_said_before_the_window() -> None:
    """The next window would not start it."""
    decision = decide(plan(windows=NIGHT, suspend=True))
    assert condition(written(decision), "Ready")[1] == Reason.SUSPENDED
    assert isinstance(decision, Write)
    assert decision.decide_again_at is None


def test_an_authors_suspension_holds_in_a_window() -> None:
    of = plan(running_status(), windows=MORNING, suspend=True)
    asked = replace(job(of).asked, suspend=True)
    assert condition(written(decide(of, stopped(of, recorded=asked))), "Ready")[1] == Reason.SUSPENDED


def test_a_plan_is_cancelled_outside_of_its_windows() -> None:
    assert written(decide(plan(windows=NIGHT, cancel=True)))["phase"] == "Cancelled"
    of = plan(running_status(), windows=NIGHT, cancel=True)
    asked = replace(job(of).asked, suspend=True)
    decision = decide(of, stopped(of, recorded=asked))
    assert isinstance(decision, Act)
    assert isinstance(decision.actions[0], DeleteJob)


def test_a_plan_that_has_ended_is_left_alone() -> None:
    of = plan(completed_status(), windows=NIGHT)
    assert decide(of, complete(of=of)) == Write()


def test_a_result_is_taken_in_outside_of_the_windows() -> None:
    """The Job ended in the window's last second."""
    of = plan(running_status(), windows=NIGHT)
    decision = decide(of, complete(of=of), pods=())
    assert not isinstance(decision, Write) or written(decision)["phase"] != "Suspended"


def test_windows_are_no_part_of_the_key() -> None:
    """An edit of them acts on the running scan; it asks for no other one, and for nothing of the next."""
    bare, windowed = plan(), plan(windows=NIGHT)
    assert (bare.input_digest, bare.next_run_digest) == (windowed.input_digest, windowed.next_run_digest)


@pytest.mark.parametrize(
    ("own", "others", "suspended"),
    [
        (NIGHT, NIGHT, True),
        (NIGHT, [], False),
        (NIGHT, MORNING, False),
        (NIGHT, UNREADABLE, True),
    ],
)
def test_a_shared_scan_runs_while_one_of_its_plans_may(own: Any, others: Any, suspended: bool) -> None:
    of, partner = plan(running_status(), windows=own), plan(uid="plan-2", name="beta", windows=others)
    shared = job(of, owners=frozenset({"plan-1", "plan-2"}))
    decision = decide(of, shared, partners=(partner,), last_write=NOW)
    assert isinstance(decision, Act) == suspended
    if not suspended:
        assert decide(of, shared, partners=(partner,)) == Write(decide_again_at=TONIGHT)


def test_a_plan_does_not_take_over_a_scan_outside_of_its_windows() -> None:
    of = plan(uid="plan-2", name="beta", windows=NIGHT)
    decision = decide(of, job(), doubted=())
    assert condition(written(decision), "Ready")[1] == Reason.OUTSIDE_WINDOW


@pytest.mark.parametrize("windows", [NIGHT, MORNING])
def test_with_kueue_the_workload_is_told(windows: Any) -> None:
    """`suspend` is Kueue's: a Job that Kueue resumes must not scan outside of the windows."""
    of = plan(running_status(), windows=windows, queueName="team")
    queued = job(of, queue_name="team")
    if windows is MORNING:
        queued = stopped(of, queue_name="team", recorded=replace(queued.asked, deactivated=True))
    decision = decide(of, queued)
    assert isinstance(decision, Act)
    told = [action.active for action in decision.actions if isinstance(action, SetAdmission)]
    assert told == [windows is MORNING]


def test_a_window_in_no_zone_is_stalled_and_nothing_is_scanned() -> None:
    decision = decide(plan(windows=UNREADABLE))
    status = written(decision)
    message = "windows[0].timeZone 'Europe/Atlantis' is no time zone of the IANA database"
    assert condition(status, "Stalled") == ("True", Reason.INVALID_SPEC, message)
    of = plan(running_status(), windows=UNREADABLE)
    assert isinstance(decide(of, job(of)), Act)
    asked = replace(job(of).asked, suspend=True)
    assert condition(written(decide(of, stopped(of, recorded=asked))), "Stalled")[2] == message


def test_what_a_plan_discovers_is_read_again_when_its_window_opens() -> None:
    """Nothing is pinned while it waits: it scans what is there when it starts."""
    status = written(decide(plan(windows=NIGHT)))
    assert "taskKey" not in status
    assert isinstance(decide(plan(status, windows=MORNING), inputs=None), NeedInputs)
