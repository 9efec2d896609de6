"""The product's behaviour, a situation a test: this is observed, so that is done.

Read top to bottom it is the life of a plan: before its Job, the four answers to "already exists", at work, the end, edits, and
plans that share a task.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from scanplan.api import labels
from scanplan.api.documents.report import MergedResult, ShardReport, TaskError
from scanplan.api.documents.words import ErrorClass, Outcome
from scanplan.api.exit_codes import ExitCode
from scanplan.api.times import format_time
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scanplan import Phase, ScanPlanSpec
from scanplan.core.manifests import jobs
from scanplan.core.observed.jobs import MAX_OWNERS, JobCondition, JobView
from scanplan.core.observed.pods import PodView
from scanplan.core.observed.sharing import OtherCluster
from scanplan.core.observed.workloads import WorkloadView
from scanplan.core.planning.sources import PLAN_BYTES, Input, Kind, Reference
from scanplan.core.planning.targets.guard import Guard
from scanplan.core.planning.task import Plan, input_digest
from scanplan.core.reconcile import reconcile, running
from scanplan.core.reconcile.context import START_SECONDS
from scanplan.core.reconcile.decision import (
    CONFLICT_SECONDS,
    INPUT_MAX_SECONDS,
    QUOTA_MAX_SECONDS,
    RETRY_SECONDS,
    Act,
    Action,
    CreateJob,
    Decision,
    DeleteJob,
    NeedInputs,
    NeedPods,
    Observed,
    PatchJob,
    Rejection,
    SetAdmission,
    StoreDocument,
    Write,
)
from tests.unit.core.objects import (
    INPUTS,
    NOW,
    POLICY,
    ago,
    broken,
    complete,
    completed_status,
    condition,
    failed,
    job,
    merged,
    plan,
    pod,
    report,
    running_status,
    succeeded,
    task,
)

DONE = (succeeded(0), succeeded(1, merged()))


def decide(of: Plan, *known: JobView, **observed: Any) -> Decision:
    """The decision about a plan that sees these Jobs; owned are those that name it."""
    return reconcile.reconcile(
        Observed(
            plan=of,
            policy=observed.pop("policy", POLICY),
            jobs={each.name: each for each in known},
            owned=tuple(each for each in known if of.uid in each.owners),
            doubted=observed.pop("doubted", {task().job_name}),
            plans=observed.pop("plans", {of.uid, *(uid for each in known for uid in each.owners)}),
            inputs=observed.pop("inputs", INPUTS),
            **observed,
        ),
        NOW,
    )


def written(decision: Decision) -> dict[str, Any]:
    """The status that a decision without actions writes."""
    status = rest(decision).status
    assert status is not None
    return status.document()


def rest(decision: Decision) -> Write:
    """A decision that acts no more."""
    assert isinstance(decision, Write)
    return decision


def actions_of(decision: Decision) -> tuple[Action, ...]:
    """What is done first; nothing where the decision is to write."""
    if isinstance(decision, Act):
        return decision.actions
    rest(decision)
    return ()


def patch_of(decision: Decision) -> dict[str, Any]:
    """The patch that a decision makes first."""
    action = actions_of(decision)[0]
    assert isinstance(action, PatchJob)
    return action.patch


def made(decision: Decision) -> dict[str, Any]:
    """The Job that a decision makes."""
    (action,) = actions_of(decision)
    assert isinstance(action, CreateJob)
    return action.manifest


def deleted(decision: Decision) -> list[str]:
    """The UIDs of Jobs that a decision deletes."""
    return [action.job.uid for action in actions_of(decision) if isinstance(action, DeleteJob)]


class TestBeforeTheJob:
    def test_what_the_plan_names_is_read_first(self) -> None:
        assert isinstance(decide(plan(), inputs=None), NeedInputs)

    def test_then_pods_of_the_task_are_looked_for(self) -> None:
        """A plan that is deleted and made again must not start beside the pods of its former self."""
        assert decide(plan()) == NeedPods(task().job_name)

    def test_then_the_job_is_made(self) -> None:
        manifest = made(decide(plan(), pods=()))
        assert manifest["metadata"]["name"] == task().job_name
        assert manifest["metadata"]["ownerReferences"] == [jobs.owner_reference(plan())]

    def test_with_the_lease_nothing_is_looked_for_where_nothing_can_be(self) -> None:
        """One write and no read stand between a plan and its Job."""
        (action,) = actions_of(decide(plan(), doubted=()))
        assert isinstance(action, CreateJob)
        assert action.skip_get

    def test_a_plan_whose_job_has_gone_is_looked_at_all_the_same(self) -> None:
        """A status of its end may have been written, and its answer lost."""
        assert decide(plan(running_status()), doubted=()) == NeedPods(task().job_name)
        (action,) = actions_of(decide(plan(running_status()), doubted=(), pods=()))
        assert isinstance(action, CreateJob)
        assert not action.skip_get

    @pytest.mark.parametrize("phase", ["Pending", "Running", "Unknown"])
    def test_not_while_a_pod_with_the_key_is_alive(self, phase: str) -> None:
        decision = decide(plan(), pods=(pod(0, phase, job_uid="former"),))
        assert condition(written(decision), "Ready") == ("False", "WaitingForPods")
        assert rest(decision).requeue_after == START_SECONDS

    def test_ended_pods_are_in_nobodys_way(self) -> None:
        assert made(decide(plan(), pods=(succeeded(0), broken(1))))

    def test_without_a_slot_it_is_queued_and_has_no_job(self) -> None:
        decision = decide(plan(), free_slots=0)
        assert rest(decision).queued
        assert written(decision)["phase"] == "Queued"
        assert "WORKER_CONCURRENCY" in written(decision)["conditions"][0]["message"]

    def test_kueues_plans_need_none_of_our_slots(self) -> None:
        manifest = made(decide(plan(queueName="main"), pods=(), free_slots=0))
        assert manifest["spec"]["suspend"] is True
        assert manifest["metadata"]["labels"][labels.KUEUE_QUEUE] == "main"

    def test_suspended_from_the_start_it_does_nothing(self) -> None:
        decision = decide(plan(suspend=True))
        assert written(decision)["phase"] == "Suspended"
        assert not rest(decision).queued

    def test_a_plan_on_its_way_out_is_left_alone(self) -> None:
        assert decide(replace(plan(), deleting=True)) == Write()

    @pytest.mark.parametrize(
        ("spec", "reason"),
        [({"endpoints": ["10.0.0.0/8"]}, "InvalidEndpoint"), ({"endpoints": ["localhost"]}, "TargetDenied")],
    )
    def test_a_plan_that_cannot_run_is_stalled_and_says_why(self, spec: dict[str, Any], reason: str) -> None:
        status = written(decide(plan(**spec)))
        assert status["phase"] == "Failed"
        assert condition(status, "Stalled") == ("True", reason)
        assert status["error"]["class"] == "Fatal"
        assert "taskKey" not in status, "nothing has started: the next look may be another"

    def test_a_plan_that_todays_rules_refuse_is_stalled_too(self) -> None:
        status = written(decide(replace(plan(), problem="spec.priority: Input should be less than or equal to 10")))
        assert condition(status, "Stalled") == ("True", "InvalidSpec")
        ended = replace(plan(completed_status()), problem="spec.priority: …")
        assert decide(ended) == Write(), "its result stays what it was"
        edited = replace(ended, generation=2)
        status = written(decide(edited))
        assert condition(status, "Stalled") == ("True", "InvalidSpec"), "an edit is never passed over in silence"
        assert decide(replace(plan(status, generation=2), problem="spec.priority: …")) == Write()

    def test_the_job_of_a_plan_that_cannot_be_read_any_more_scans_no_longer(self) -> None:
        """Lost otherwise: control of a scan, whose plan says that it has failed, and which nobody can suspend or bound."""
        stand_in = ScanPlanSpec.model_construct(endpoints=[], templates=[])
        refused = replace(plan(running_status()), spec=stand_in, problem="spec.priority: …")
        edited = replace(refused, generation=2)
        assert actions_of(decide(edited, job())) == (DeleteJob(job()),)
        gone = written(decide(edited, job(deleting=True)))
        assert condition(gone, "Stalled") == ("True", "InvalidSpec")
        shared = job(owners=frozenset({refused.uid, "plan-2"}))
        (released,) = actions_of(decide(edited, shared))
        assert isinstance(released, PatchJob), "the other plan's scan goes on"
        assert not actions_of(decide(refused, job())), "nobody has edited it: an upgrade of the operator stops no scan"

    @pytest.mark.parametrize(
        "kept",
        [{"complete": JobCondition("CompletionsReached", "", NOW)}, {"collector": True}, {"exporter": True}],
        ids=["finished", "collector", "exporter"],
    )
    def test_what_works_on_a_result_of_a_plan_that_cannot_be_read_stays(self, kept: dict[str, Any]) -> None:
        """Lost otherwise: a result, which is scanned again once the spec is corrected."""
        edited = replace(plan(running_status(), generation=2), problem="spec.priority: …")
        assert not actions_of(decide(edited, job(**kept)))

    @pytest.mark.parametrize("status", [None, completed_status()], ids=["unknown", "completed"])
    def test_a_status_of_a_newer_version_is_left_as_it_is(self, status: Any) -> None:
        """Lost otherwise: results of scans, for good, after a rollback of the operator."""
        assert decide(replace(plan(status), unreadable="status.phase: …", problem="spec.priority: …")) == Write()

    def test_while_a_collector_merges_no_scan_is_made_again(self) -> None:
        """Lost otherwise: a Job deleted by hand is made again, and writes into the folder that its collector merges."""
        collector = job(name=jobs.collector_name(task().job_name), uid="job-2", collector=True)
        decision = decide(plan(running_status()), collector, pods=())
        assert rest(decision).requeue_after == START_SECONDS
        assert condition(written(decision), "Ready") == ("False", "WaitingForPods")


class TestRefusals:
    """What the API server may answer to the POST."""

    def test_a_quota_is_waited_for(self) -> None:
        rejection = Rejection.forbidden("exceeded quota: scans, requested: count/jobs.batch=1, used: 4, limited: 4")
        decision = decide(plan(), rejection=rejection)
        assert condition(written(decision), "Reconciling") == ("True", "QuotaExceeded")
        assert "exceeded quota: scans" in written(decision)["conditions"][0]["message"]
        assert (rest(decision).requeue_after, rest(decision).requeue_max) == (RETRY_SECONDS, QUOTA_MAX_SECONDS)

    def test_other_rights_may_be_granted_later(self) -> None:
        decision = decide(plan(), rejection=Rejection.forbidden("violates PodSecurity"))
        assert condition(written(decision), "Ready") == ("False", "JobRejected")
        assert rest(decision).requeue_after == RETRY_SECONDS

    def test_what_kubernetes_calls_invalid_stays_so(self) -> None:
        decision = decide(
            plan(), rejection=Rejection.invalid("spec.template.spec.tolerations[0].operator: Invalid value")
        )
        assert condition(written(decision), "Stalled") == ("True", "JobRejected")
        assert rest(decision).requeue_after is None

    def test_after_the_wait_it_is_tried_again(self) -> None:
        refused = written(decide(plan(), rejection=Rejection.forbidden("exceeded quota")))
        assert made(decide(plan(refused), pods=()))


class TestAnotherClusterHasTheTask:
    """Where the owner lets clusters share tasks."""

    RUNNING = OtherCluster("east", "east-claim", None)
    ENDED = OtherCluster("east", "east-claim", merged())

    def test_while_it_runs_there_the_plan_waits(self) -> None:
        decision = decide(plan(), rejection=self.RUNNING)
        assert condition(written(decision), "Reconciling") == ("True", "RunningElsewhere")
        assert rest(decision).requeue_after

    def test_its_result_is_the_plans_and_says_where_it_is(self) -> None:
        status = written(decide(plan(), rejection=self.ENDED))
        assert (status["phase"], condition(status, "Ready")) == ("Completed", ("True", "ResultReused"))
        assert (status["artifacts"]["cluster"], status["artifacts"]["claimName"]) == ("east", "east-claim")
        assert decide(plan(status)) == Write(), "it has ended, and makes no Job"

    def test_a_plan_that_waits_can_be_cancelled(self) -> None:
        waiting = written(decide(plan(), rejection=self.RUNNING))
        assert written(decide(plan(waiting, cancel=True)))["phase"] == "Cancelled"


class TestTheNameIsTaken:
    """The four answers to AlreadyExists."""

    def test_ours_and_at_work_is_adopted(self) -> None:
        second = plan(uid="plan-2", name="beta")
        patch = patch_of(decide(second, job()))
        assert patch["metadata"]["ownerReferences"] == [jobs.owner_reference(second)]
        assert patch["metadata"]["annotations"] == {"pin.scanplan.dev/plan-2": input_digest(second.spec)}
        assert (patch["metadata"]["uid"], patch["metadata"]["resourceVersion"]) == ("job-1", "100")

    def test_ours_and_finished_gives_its_result_and_says_so(self) -> None:
        second = plan(uid="plan-2", name="beta")
        adopted = complete(owners=frozenset({"plan-1", "plan-2"}), pins=(("plan-2", input_digest(second.spec)),))
        status = written(decide(second, adopted, pods=DONE))
        assert status["phase"] == "Completed"
        assert condition(status, "Succeeded") == ("True", "ResultReused")
        assert status["findings"]["total"] == 3

    def test_ours_and_terminating_is_waited_for(self) -> None:
        decision = decide(plan(uid="plan-2"), job(deleting=True))
        assert condition(written(decision), "Ready") == ("False", "WaitingForPods")
        assert rest(decision).requeue_after, "nobody tells a plan that doesn't own it that it is gone"

    def test_ours_of_a_deleted_plan_is_the_garbage_collectors(self) -> None:
        """Whether the collector or the new plan came first must not decide whose Job it is."""
        decision = decide(plan(uid="plan-2"), job(), plans={"plan-2"})
        assert condition(written(decision), "Ready") == ("False", "WaitingForPods")
        assert rest(decision).requeue_after

    def test_ours_that_nobody_owns_is_adopted(self) -> None:
        """`kubectl delete --cascade=orphan` has left it, on purpose."""
        assert patch_of(decide(plan(uid="plan-2"), job(owners=frozenset()), plans={"plan-2"}))

    @pytest.mark.parametrize("foreign", [{"managed": False}, {"key": "scan:other:key:0:0:0"}, {"key": None}])
    def test_not_ours_is_left_alone(self, foreign: dict[str, Any]) -> None:
        decision = decide(plan(uid="plan-2"), job(**foreign))
        status = written(decision)
        assert condition(status, "Stalled") == ("True", "NameConflict")
        assert task().job_name in status["error"]["message"]
        assert rest(decision).requeue_after == CONFLICT_SECONDS

    def test_one_that_too_many_plans_share_is_left_alone(self) -> None:
        """Lost otherwise: an endless try to own a Job whose references nobody reads any more."""
        owners = frozenset(f"plan-{number}" for number in range(100, 100 + MAX_OWNERS))
        decision = decide(plan(uid="plan-2"), job(owners=owners), plans=owners)
        assert condition(written(decision), "Stalled") == ("True", "JobRejected")
        assert f"{MAX_OWNERS} plans share Job" in written(decision)["error"]["message"]
        assert rest(decision).requeue_after == CONFLICT_SECONDS

    def test_not_ours_without_any_of_our_labels_shows_at_the_post(self) -> None:
        decision = decide(plan(), rejection=Rejection.name_conflict(task().job_name))
        assert condition(written(decision), "Stalled") == ("True", "NameConflict")


class TestInputs:
    LIST = Reference(Kind.CONFIG_MAP, "list")
    SPEC: ClassVar[dict[str, Any]] = {
        "endpoints": [],
        "endpointsFrom": [{"configMapKeyRef": {"name": "list", "key": "k"}}],
    }

    def test_what_is_missing_is_looked_for_at_growing_intervals_and_written_once(self) -> None:
        """Lost otherwise: the API server and the operator, to plans that ask for what never comes."""
        inputs = {**INPUTS, self.LIST: Input(problem="there is none in namespace team")}
        decision = decide(plan(**self.SPEC), inputs=inputs)
        assert condition(written(decision), "Stalled") == ("True", "InputUnavailable")
        assert (rest(decision).requeue_after, rest(decision).requeue_max) == (RETRY_SECONDS, INPUT_MAX_SECONDS)
        again = decide(plan(written(decision), **self.SPEC), inputs=inputs)
        assert rest(again).status is None
        assert rest(again).requeue_max == INPUT_MAX_SECONDS

    def test_too_much_waits_for_an_edit(self) -> None:
        decision = decide(plan(**self.SPEC), inputs={**INPUTS, self.LIST: Input(size=PLAN_BYTES + 1)})
        assert condition(written(decision), "Stalled") == ("True", "InputsTooLarge")
        assert rest(decision).requeue_after is None


class TestAtWork:
    def test_a_new_job_is_given_a_moment_to_have_pods(self) -> None:
        decision = decide(plan(), job(active=0, ready=0, start_time=ago(1), created=ago(30)))
        assert rest(decision).status is None
        assert rest(decision).requeue_after == pytest.approx(4)

    def test_a_job_controller_with_much_to_do_is_given_a_minute(self) -> None:
        """Lost otherwise: a write for each plan while hundreds wait, with a message that sends people to look for a quota."""
        early = decide(plan(), job(active=0, ready=0, start_time=None, created=ago(20)))
        assert rest(early).status is None
        assert rest(early).requeue_after == pytest.approx(40)
        status = written(decide(plan(), job(active=0, ready=0, start_time=None, created=ago(61))))
        assert status["phase"] == "Pending"
        assert "Job controller has not begun" in status["conditions"][0]["message"]

    def test_one_without_pods_for_longer_is_told(self) -> None:
        status = written(decide(plan(), job(active=0, ready=0, created=ago(6))))
        assert status["phase"] == "Pending"
        assert "no pod yet" in status["conditions"][0]["message"]

    def test_running(self) -> None:
        status = written(decide(plan(), job(succeeded=1, active=1, ready=1)))
        assert (status["phase"], status["progress"], status["attempts"]) == ("Running", "1/2", 2)
        assert status["shards"] == {"total": 2, "active": 1, "succeeded": 1, "failed": 0}
        assert status["jobRef"] == {"name": task().job_name, "uid": "job-1"}
        assert status["taskKey"] == task().key

    def test_an_unchanged_state_is_not_written_again(self) -> None:
        assert rest(decide(plan(running_status()), job())).status is None

    def test_progress_is_written_at_most_every_ten_seconds(self) -> None:
        further = job(succeeded=1, active=1, ready=1)
        early = decide(plan(running_status()), further, last_write=ago(4))
        assert (rest(early).status, rest(early).requeue_after) == (None, 6)
        assert written(decide(plan(running_status()), further, last_write=ago(10)))["progress"] == "1/2"

    def test_the_end_of_the_last_shard_is_written_with_the_result(self) -> None:
        """Lost otherwise: two writes within a second, of which people see the second."""
        over = job(succeeded=2, active=0, ready=0)
        assert decide(plan(running_status()), over, last_write=ago(60)) == Write()
        edited = plan(running_status(), generation=2, priority=9)
        assert written(decide(edited, over, last_write=ago(60)))["progress"] == "2/2"

    def test_another_phase_or_generation_is_written_at_once(self) -> None:
        edited = plan(running_status(), generation=2, priority=9)
        assert written(decide(edited, job(), last_write=ago(0)))["observedGeneration"] == 2

    def test_a_failed_pod_is_looked_at(self) -> None:
        """At its end, not only when its successor starts after the back-off."""
        stumbled = job(active=1, ready=1, failed_pods=1)
        assert decide(plan(running_status()), stumbled) == NeedPods(task().job_name)

    def test_retrying_says_what_went_wrong(self) -> None:
        status = written(decide(plan(running_status()), job(failed_pods=1), pods=(broken(0), pod(1))))
        assert status["phase"] == "Retrying"
        assert status["conditions"][0]["message"] == "trying again: NetworkUnavailable in shard 0"
        assert status["error"] == {
            "class": "Temporary",
            "reason": "NetworkUnavailable",
            "message": "NetworkUnavailable in shard 0",
        }

    def test_a_shard_that_got_over_it_is_no_longer_retried(self) -> None:
        status = written(
            decide(plan(running_status()), job(failed_pods=1, succeeded=1), pods=(broken(0), succeeded(0), pod(1)))
        )
        assert status["phase"] == "Running"

    def test_a_shard_that_failed_for_good_is_not_tried_again(self) -> None:
        given_up = job(failed_pods=1, failed_at=frozenset({0}), active=1, ready=1)
        status = written(decide(plan(running_status()), given_up, pods=(broken(0), pod(1))))
        assert status["phase"] == "Running"
        assert status["conditions"][0]["message"] == "1 of 2 shards finished, 1 of them failed"

    def test_an_interrupted_pod_is_no_retry(self) -> None:
        evicted = pod(0, "Failed", exit_code=ExitCode.INTERRUPTED, disrupted=True)
        assert written(decide(plan(running_status()), job(failed_pods=1), pods=(evicted, pod(1))))["phase"] == "Running"

    def test_an_edit_while_retrying_is_observed(self) -> None:
        stumbled = job(failed_pods=1)
        retrying = written(decide(plan(running_status()), stumbled, pods=(broken(0), pod(1))))
        edited = plan(retrying, generation=2, priority=9)
        assert written(decide(edited, stumbled, pods=(broken(0), pod(1))))["observedGeneration"] == 2
        assert rest(decide(plan(retrying), stumbled)).status is None

    @pytest.mark.parametrize("already", [{}, {"succeeded": 1}, {"failed_pods": 1}])
    def test_pods_that_do_not_start_are_looked_at_after_a_while(self, already: dict[str, Any]) -> None:
        stuck = replace(job(ready=0, active=1), **already)
        assert isinstance(decide(plan(running_status()), stuck), NeedPods)
        waiting = pod(1, "Pending", waiting_reason="ErrImagePull", waiting_message="manifest unknown")
        decision = decide(plan(running_status()), stuck, pods=(waiting,))
        assert condition(written(decision), "Ready") == ("False", "ImagePullFailed")
        assert "manifest unknown" in written(decision)["conditions"][0]["message"]
        assert rest(decision).requeue_after == running.BLOCKED_SECONDS

    def test_the_document_is_stored_before_anything_else(self) -> None:
        (action,) = actions_of(decide(plan(), job(document_parts=1)))
        assert isinstance(action, StoreDocument)
        assert not actions_of(decide(plan(), job(document_parts=1), documented=frozenset({"job-1"})))

    def test_by_the_plan_that_made_the_job(self) -> None:
        """Another plan's document has another name and other limits in it, and the pods would refuse it."""
        second = plan(uid="plan-2", name="beta", timeoutSeconds=99)
        both = job(
            document_parts=1, owners=frozenset({"plan-1", "plan-2"}), pins=(("plan-2", input_digest(second.spec)),)
        )
        actions = actions_of(decide(second, both, partners=(plan(),)))
        assert not any(isinstance(action, StoreDocument) for action in actions)

    def test_a_job_that_users_delete_is_made_again(self) -> None:
        assert made(decide(plan(running_status()), pods=()))["metadata"]["name"] == task().job_name


class TestSuspend:
    def test_the_job_is_suspended(self) -> None:
        assert patch_of(decide(plan(running_status(), suspend=True), job()))["spec"] == {"suspend": True}

    def test_its_pods_are_told_while_they_stop(self) -> None:
        suspended = plan(running_status(), suspend=True)
        stopping = written(decide(suspended, job(suspended=True, active=0, ready=0, terminating=2)))
        assert (stopping["phase"], stopping["conditions"][0]["message"]) == ("Running", "stopping 2 pods")
        assert written(decide(suspended, job(suspended=True, active=0, ready=0)))["phase"] == "Suspended"

    def test_it_goes_on_when_there_is_a_slot(self) -> None:
        asleep = job(suspended=True, active=0, ready=0)
        assert patch_of(decide(plan(running_status()), asleep, free_slots=1))["spec"] == {"suspend": False}
        decision = decide(plan(running_status()), asleep, free_slots=0)
        assert rest(decision).queued
        assert written(decision)["phase"] == "Queued"

    def test_kueues_job_is_suspended_through_its_workload(self) -> None:
        queued = job(queue_name="main")
        record, action = actions_of(decide(plan(suspend=True, queueName="main"), queued))
        assert isinstance(record, PatchJob)
        assert "spec" not in record.patch
        assert action == SetAdmission(queued, active=False)

    def test_a_job_that_waits_for_kueue_is_left_to_it(self) -> None:
        waits = job(queue_name="main", suspended=True, active=0, ready=0)
        decision = decide(plan(queueName="main"), waits, workload=WorkloadView())
        assert written(decision)["phase"] == "Queued"
        assert not rest(decision).queued, "it waits for none of our slots"


class TestTheEnd:
    def test_pods_are_asked_for_their_reports(self) -> None:
        assert decide(plan(), complete()) == NeedPods(task().job_name)

    def test_completed(self) -> None:
        status = written(decide(plan(running_status()), complete(), pods=DONE))
        assert status["phase"] == "Completed"
        assert condition(status, "Succeeded") == ("True", "Completed")
        assert condition(status, "FindingsPresent") == ("True", "Findings")
        assert status["findings"] == {
            "total": 3,
            "critical": 1,
            "high": 2,
            "medium": 0,
            "low": 0,
            "info": 0,
            "unknown": 0,
        }
        assert status["artifacts"]["complete"] is True
        assert status["durationMs"] == 50_000
        assert (status["startTime"], status["completionTime"]) == ("2026-11-24T05:59:00Z", "2026-11-24T05:59:50Z")

    def test_no_success_without_a_complete_result(self) -> None:
        """The Job says Complete; but where are the findings?"""
        collector = complete(name=jobs.collector_name(task().job_name), collector=True)
        for said in ((succeeded(0), succeeded(1)), (succeeded(0), succeeded(1, merged(complete=False)))):
            status = written(decide(plan(), complete(), collector, pods=said))
            assert (status["phase"], status["error"]["reason"]) == ("Failed", "ResultMissing")

    def test_replayed_from_the_claim(self) -> None:
        published = format_time(ago(900))
        again = [
            succeeded(index, report=report(index, replayed=True, published_at=published, merged=merged()))
            for index in (0, 1)
        ]
        status = written(decide(plan(), complete(), pods=tuple(again)))
        assert condition(status, "Succeeded") == ("True", "ResultReused")

    def test_a_shard_that_failed_does_not_sink_the_others(self) -> None:
        status = written(
            decide(plan(), failed(), pods=(succeeded(0), broken(1, report=_failed_with(merged(complete=False)))))
        )
        assert (status["phase"], status["error"]["reason"]) == ("Failed", "NetworkUnavailable")
        assert status["artifacts"]["complete"] is False
        assert status["findings"]["total"] == 3
        assert merged().path in status["conditions"][0]["message"]
        assert status["shards"]["failed"] == 1

    @pytest.mark.parametrize(
        "reason", ["PodFailurePolicy", "BackoffLimitExceeded", "FailedIndexes", "MaxFailedIndexesExceeded", "x"]
    )
    def test_a_failed_job_ends_its_plan_whatever_the_reason(self, reason: str) -> None:
        fatal = broken(0, Reason.NO_TEMPLATES_LOADED, ErrorClass.FATAL)
        status = written(decide(plan(), failed(reason, succeeded=0, failed_pods=1), pods=(fatal,)))
        assert (status["phase"], status["error"]["class"]) == ("Failed", "Fatal")

    def test_it_has_one_result_and_then_nothing_more(self) -> None:
        done = plan(completed_status())
        for known in ((complete(),), ()):
            assert decide(done, *known) == Write()

    def test_a_deadline(self) -> None:
        status = written(
            decide(plan(), failed("DeadlineExceeded", succeeded=0, failed_pods=2), pods=(broken(0), broken(1)))
        )
        assert status["error"]["reason"] == "DeadlineExceeded"


def _killed(index: int, steps: int, **changes: Any) -> PodView:
    """A pod that was killed after it had saved so many steps."""
    said = report(index, outcome=Outcome.PARTIAL, steps=steps) if steps else None
    return pod(index, "Failed", **{"exit_code": 137, "reason": "OOMKilled", "report": said, **changes})


class TestKilledAfterProgress:
    """A kill counts against the Job's retries; what was saved before it must not be lost with the scan."""

    CASES: ClassVar[dict[str, tuple[JobView, tuple[PodView, ...], bool]]] = {
        "steps were saved": (failed(), (succeeded(0), _killed(1, 1)), True),
        "by one of several": (failed(), (succeeded(0), _killed(1, 3), _killed(1, 0)), True),
        "killed by SIGKILL": (failed(), (succeeded(0), _killed(1, 1, reason="Error")), True),
        "nothing was saved": (failed(), (succeeded(0), _killed(1, 0)), False),
        "not in each shard": (failed(failed_at=frozenset({0, 1})), (_killed(0, 1), _killed(1, 0)), False),
        "its retries are used up": (failed(), (succeeded(0), _killed(1, 1), broken(1, exit_code=69)), False),
        "it was no kill": (failed(), (succeeded(0), _killed(1, 1, exit_code=75, reason="Error")), False),
        "the deadline has passed": (failed("DeadlineExceeded"), (succeeded(0), _killed(1, 1)), False),
        "a fatal error": (failed("PodFailurePolicy"), (succeeded(0), _killed(1, 1)), False),
        "at work for its deadline": (failed(deadline_seconds=60), (succeeded(0), _killed(1, 1)), False),
        "paused for a night": (
            failed(created=ago(90_000), first_seen=ago(90_000)),
            (succeeded(0), _killed(1, 1)),
            True,
        ),
    }

    @pytest.mark.parametrize("case", CASES)
    def test_the_scan_goes_on_with_all_retries(self, case: str) -> None:
        ended, pods, expected = self.CASES[case]
        decision = decide(plan(running_status()), ended, pods=pods)
        actions = decision.actions if isinstance(decision, Act) else ()
        assert any(isinstance(each, DeleteJob) for each in actions) == expected

    def test_not_where_the_plan_is_cancelled(self) -> None:
        decision = decide(plan(running_status(), cancel=True), failed(), pods=(succeeded(0), _killed(1, 1)))
        assert not any(isinstance(each, DeleteJob) for each in getattr(decision, "actions", ()))

    def test_the_next_job_takes_over_what_was_published_since_the_start(self) -> None:
        """By its own time shards that took longer than the window would be scanned again."""
        before = running_status()
        manifest = made(decide(plan(before), pods=()))
        assert manifest["metadata"]["annotations"][labels.FIRST_SEEN] == before["startTime"]

    def test_so_does_the_job_after_the_next(self) -> None:
        begun = ago(50_000)
        first = running_status(at=job(start_time=begun))
        second = written(decide(plan(first), job(uid="job-2", start_time=ago(600), failed_pods=1), pods=(broken(0),)))
        manifest = made(decide(plan(second), pods=()))
        assert manifest["metadata"]["annotations"][labels.FIRST_SEEN] == format_time(begun)

    @pytest.mark.parametrize(
        ("spec", "left", "expected"),
        [({}, 3_900, True), ({}, 3_700, False), ({"deadlineSeconds": 3_900}, 3_100, True)],
        ids=["derived", "derived, over", "the plan's own, shortened by the first Job's time"],
    )
    def test_the_deadline_counts_over_all_jobs(self, spec: dict[str, Any], left: int, expected: bool) -> None:
        begun = ago(3_800)
        status = running_status(at=job(start_time=begun))
        second = failed(created=ago(3_000), start_time=ago(3_000), deadline_seconds=left)
        decision = decide(plan(status, **spec), second, pods=(succeeded(0), _killed(1, 1)))
        assert (deleted(decision) == ["job-1"]) == expected

    def test_the_plans_deadline_holds_for_all_jobs_together(self) -> None:
        spent = 600
        status = running_status(at=job(start_time=ago(60 + spent)))
        second = job(created=ago(60), first_seen=ago(90_000), deadline_seconds=5_000)
        decision = decide(plan(status, deadlineSeconds=5_000), second)
        assert patch_of(decision)["spec"]["activeDeadlineSeconds"] == 5_000 - spent
        shortened = replace(second, deadline_seconds=5_000 - spent)
        assert not actions_of(decide(plan(status, deadlineSeconds=5_000), shortened))

    def test_and_for_all_plans_of_a_job_alike(self) -> None:
        """Lost otherwise: peace. Two plans would set the Job's deadline by turns."""
        begun, both = ago(660), frozenset({"plan-1", "plan-2"})
        specs = ({"deadlineSeconds": 5_000}, {"deadlineSeconds": 4_000})
        alpha, beta = (
            plan(running_status(at=job(start_time=begun)), uid=uid, name=uid, **spec)
            for uid, spec in zip(("plan-1", "plan-2"), specs, strict=True)
        )
        pins = tuple((each.uid, input_digest(each.spec)) for each in (alpha, beta))
        second = job(created=ago(60), owners=both, pins=pins, deadline_seconds=5_000)
        queued = replace(beta, status=beta.status.model_copy(update={"running_since": None}))
        for of, partner in ((alpha, beta), (beta, alpha), (alpha, queued), (queued, alpha)):
            assert patch_of(decide(of, second, partners=(partner,)))["spec"] == {"activeDeadlineSeconds": 5_000 - 600}


def _failed_with(result: MergedResult) -> ShardReport:
    """The report of the last shard, which failed and merged what the others had published."""
    error = TaskError(error_class=ErrorClass.TEMPORARY, reason=Reason.NETWORK_UNAVAILABLE, message="no network")
    return report(1, outcome=Outcome.FAILED, error=error, merged=result)


class TestDeadNodes:
    """The kubelet doesn't answer: its pods are Terminating for ever, and with them the Job."""

    def doomed(self, seconds: float) -> JobView:
        target = JobCondition("DeadlineExceeded", "", ago(seconds))
        return job(active=0, ready=0, terminating=1, failure_target=target)

    def test_a_job_that_cannot_fail_is_looked_at_again(self) -> None:
        assert rest(decide(plan(running_status()), self.doomed(30))).requeue_after

    def test_and_ends_its_plan_after_a_grace(self) -> None:
        collector = complete(name=jobs.collector_name(task().job_name), collector=True)
        stuck = pod(0, deleting=True)
        status = written(decide(plan(running_status()), self.doomed(300), collector, pods=(stuck,)))
        assert (status["phase"], status["error"]["reason"]) == ("Failed", "DeadlineExceeded")

    def test_a_cancelled_plan_ends_too(self) -> None:
        stuck = job(deleting=True, deleting_since=ago(300))
        status = written(decide(plan(running_status(), cancel=True), stuck))
        assert status["phase"] == "Cancelled"
        assert "so their node may be down" in status["conditions"][0]["message"]


class TestCollecting:
    """Where no pod could merge, a small Job does; nothing that was found is lost."""

    @pytest.mark.parametrize(
        ("ended", "pods"),
        [
            (complete(), (succeeded(0), pod(1, "Succeeded", exit_code=0))),
            (failed(), (succeeded(0), pod(1, "Failed", exit_code=137, reason="OOMKilled"))),
            (failed("DeadlineExceeded", succeeded=0), ()),
        ],
    )
    def test_a_collector_is_made(self, ended: JobView, pods: tuple[PodView, ...]) -> None:
        manifest = made(decide(plan(), ended, pods=pods))
        assert manifest["metadata"]["name"] == f"{task().job_name}-collect"
        assert manifest["spec"]["template"]["spec"]["containers"][0]["args"] == ["collect"]

    def test_it_is_waited_for(self) -> None:
        collector = job(name=jobs.collector_name(task().job_name), collector=True, completions=1)
        decision = decide(plan(), failed(), collector, pods=(succeeded(0), pod(1, "Failed", exit_code=137)))
        assert condition(written(decision), "Reconciling") == ("True", "Collecting")
        assert rest(decision).requeue_after, "another plan may own it"

    @pytest.mark.parametrize(
        ("counts", "said"),
        [
            ({"active": 0, "ready": 0}, "no pod yet"),
            ({"active": 0, "ready": 0, "created": ago(1)}, "merging"),
            ({"active": 0, "ready": 0, "failed_pods": 1}, "merging"),
        ],
    )
    def test_one_that_gets_no_pod_says_so(self, counts: dict[str, Any], said: str) -> None:
        """Lost otherwise: an hour in which a namespace's LimitRange refuses the pod, and the status says that it merges."""
        collector = job(name=jobs.collector_name(task().job_name), collector=True, completions=1, **counts)
        status = written(decide(plan(), failed(), collector, pods=(succeeded(0), pod(1, "Failed", exit_code=137))))
        assert said in status["conditions"][0]["message"]

    def test_its_result_is_taken(self) -> None:
        collector = complete(name=jobs.collector_name(task().job_name), uid="collector", collector=True)
        found = succeeded(0, merged(complete=False), collector=True, job_uid="collector")
        killed = pod(1, "Failed", exit_code=137, reason="OOMKilled")
        status = written(decide(plan(), failed(), collector, pods=(succeeded(0), killed, found)))
        assert (status["phase"], status["error"]["reason"]) == ("Failed", "OutOfMemory")
        assert status["findings"]["total"] == 3
        assert status["artifacts"]["complete"] is False

    EARLIER: ClassVar[JobView] = complete(
        name=jobs.collector_name(task().job_name), uid="earlier", collector=True, created=ago(900), owners=frozenset()
    )
    """Has merged what a cancelled plan with the same key had found."""
    MERGED_EARLIER: ClassVar[PodView] = succeeded(0, merged(complete=False), collector=True, job_uid="earlier")

    @pytest.mark.parametrize(
        ("known", "spec"),
        [(job(), {}), (job(), {"cancel": True}), (failed(), {}), (complete(), {})],
        ids=["at work", "cancelled", "failed", "complete"],
    )
    def test_one_of_an_earlier_scan_is_deleted_before_anything_else(self, known: JobView, spec: dict[str, Any]) -> None:
        """Lost otherwise: what this scan has found. Its name is the same, and with it the earlier result would be taken."""
        assert deleted(decide(plan(running_status(), **spec), known, self.EARLIER)) == ["earlier"]

    def test_one_that_was_made_after_the_job_is_its_own(self) -> None:
        own = replace(self.EARLIER, created=failed().created)
        assert deleted(decide(plan(running_status()), failed(), own, pods=(self.MERGED_EARLIER,))) == []

    @pytest.mark.parametrize(
        ("known", "spec"), [((failed(),), {}), ((), {"cancel": True})], ids=["failed", "cancelled"]
    )
    def test_while_an_earlier_one_is_being_deleted_its_result_is_not_taken(
        self, known: tuple[JobView, ...], spec: dict[str, Any]
    ) -> None:
        going = replace(self.EARLIER, deleting=True)
        decision = decide(plan(running_status(), **spec), *known, going, pods=(self.MERGED_EARLIER,))
        assert condition(written(decision), "Reconciling") == ("True", "Collecting")
        assert going.name in written(decision)["conditions"][0]["message"]
        assert rest(decision).requeue_after, "nobody tells a plan that doesn't own it that it is gone"

    def test_once_it_is_gone_one_is_made(self) -> None:
        """Its pods may be listed for a moment longer."""
        assert made(decide(plan(running_status()), failed(), pods=(self.MERGED_EARLIER,)))

    def test_it_keeps_no_scan_from_going_on_after_kills(self) -> None:
        going = replace(self.EARLIER, deleting=True)
        assert deleted(decide(plan(running_status()), failed(), going, pods=(succeeded(0), _killed(1, 1)))) == ["job-1"]

    def test_none_is_made_where_every_pod_says_that_there_is_nothing(self) -> None:
        fatal = broken(0, Reason.NO_TEMPLATES_LOADED, ErrorClass.FATAL)
        decision = decide(plan(), failed("PodFailurePolicy", succeeded=0, failed_pods=1), pods=(fatal,))
        assert written(decision)["phase"] == "Failed"

    def test_a_policy_that_was_tightened_meanwhile_forbids_none(self) -> None:
        strict = replace(POLICY, guard=Guard(["a.example"]), allowed_service_accounts=())
        of = plan(podTemplate={"serviceAccountName": "default"})
        ended = failed(of=of, succeeded=0)
        assert made(decide(of, ended, pods=(), policy=strict))["metadata"]["name"].endswith("-collect")

    def test_a_quota_that_keeps_it_away_is_waited_for(self) -> None:
        rejection = Rejection.forbidden("exceeded quota")
        decision = decide(plan(), failed(succeeded=0), pods=(), rejection=rejection)
        assert condition(written(decision), "Ready") == ("False", "QuotaExceeded")


class TestCancel:
    def test_before_the_start_it_is_over_for_good(self) -> None:
        status = written(decide(plan(cancel=True)))
        assert (status["phase"], condition(status, "Ready")) == ("Cancelled", ("True", "Cancelled"))
        assert decide(plan(status, cancel=True)) == Write(), "at rest nothing is written"
        assert decide(plan(status)) == Write(), "cancel is no pause: rerun starts again"

    def test_its_job_is_deleted(self) -> None:
        assert deleted(decide(plan(running_status(), cancel=True), job())) == ["job-1"]

    def test_its_pods_end_first(self) -> None:
        assert written(decide(plan(running_status(), cancel=True), job(deleting=True)))["phase"] == "Pending"

    def test_then_what_they_published_is_collected(self) -> None:
        manifest = made(decide(plan(running_status(), cancel=True), pods=()))
        assert manifest["metadata"]["name"].endswith("-collect")

    def test_also_what_they_published_before_a_pause(self) -> None:
        """Lost otherwise: the findings of the first night, for a scan that is cancelled in the second. They are not merged if they
        were published more than an hour before the scan began."""
        begun = ago(90_000)
        asleep = {**running_status(at=job(start_time=begun)), "phase": "Suspended"}
        resumed = written(decide(plan(asleep), job(created=begun, start_time=ago(600))))
        manifest = made(decide(plan(resumed, cancel=True), pods=()))
        assert manifest["metadata"]["annotations"][labels.FIRST_SEEN] == format_time(begun)

    def test_and_kept(self) -> None:
        collector = complete(name=jobs.collector_name(task().job_name), uid="collector", collector=True)
        found = succeeded(0, merged(complete=False), collector=True, job_uid="collector")
        status = written(decide(plan(running_status(), cancel=True), collector, pods=(found,)))
        assert (status["phase"], status["findings"]["total"]) == ("Cancelled", 3)
        assert condition(status, "Succeeded") == ("False", "Cancelled")
        assert merged().path in status["conditions"][0]["message"]

    def test_or_said_where_it_is_if_the_merge_failed(self) -> None:
        """Lost otherwise: findings, since nobody knows of their files."""
        collector = failed(name=jobs.collector_name(task().job_name), collector=True)
        status = written(decide(plan(running_status(), cancel=True), collector, pods=()))
        assert status["phase"] == "Cancelled"
        assert "could not be merged; it is in the shards' folders" in status["conditions"][0]["message"]

    def test_too_late_it_changes_nothing(self) -> None:
        assert written(decide(plan(running_status(), cancel=True), complete(), pods=DONE))["phase"] == "Completed"
        assert actions_of(decide(plan(completed_status(), cancel=True))) == ()


class TestEdits:
    OTHER = ("https://c.example",)

    def test_other_content_lets_the_old_job_go(self) -> None:
        assert deleted(decide(plan(running_status(), generation=2, endpoints=list(self.OTHER)), job())) == ["job-1"]

    def test_and_starts_the_new_one(self) -> None:
        edited = plan(running_status(), generation=2, endpoints=list(self.OTHER))
        manifest = made(decide(edited, job(deleting=True), pods=()))
        assert manifest["metadata"]["name"] == task(edited).job_name

    def test_a_finished_plan_with_other_content_is_scanned_again(self) -> None:
        edited = plan(completed_status(), generation=2, endpoints=list(self.OTHER))
        assert made(decide(edited, pods=()))["metadata"]["name"] != task().job_name

    def test_rerun_scans_the_same_again(self) -> None:
        again = plan(completed_status(), generation=2, rerun="2026-11-24")
        assert made(decide(again, pods=()))["metadata"]["name"] != task().job_name

    def test_another_spelling_of_the_same_is_no_other_scan(self) -> None:
        """Even long after the Job is gone."""
        respelled = plan(completed_status(), generation=2, endpoints=["https://B.example/", "https://a.example:443"])
        status = written(decide(respelled))
        assert (status["observedGeneration"], status["phase"]) == (2, "Completed")
        assert decide(plan(status, generation=2, endpoints=respelled.spec.endpoints)) == Write()

    CORRECTED = ("https://B.example/", "https://a.example")

    def failed_plan(self, **changed: Any) -> Plan:
        status = written(decide(plan(), failed(), pods=(succeeded(0, merged(complete=False)), broken(1))))
        return plan(status, generation=2, **{"endpoints": list(self.CORRECTED), **changed})

    def test_a_failed_plan_that_was_corrected_is_tried_again(self) -> None:
        """Lost otherwise: the scan, since a corrected place of a file gives no other key."""
        edited = self.failed_plan()
        collector = complete(name=jobs.collector_name(task().job_name), uid="job-2", collector=True)
        assert deleted(decide(edited, failed(), collector)) == ["job-2", "job-1"]
        assert deleted(decide(edited, failed())) == ["job-1"]
        assert written(decide(edited, failed(deleting=True)))["phase"] == "Pending"
        made_again = made(decide(edited, pods=()))
        assert made_again["metadata"]["name"] == task().job_name
        assert made_again["metadata"]["annotations"]["pin.scanplan.dev/plan-1"] == input_digest(edited.spec)

    def test_and_begins_anew_also_where_its_first_job_is_long_gone(self) -> None:
        """Lost otherwise: its duration, which would be that of the days in between."""
        edited = self.failed_plan()
        own: dict[str, Any] = {"pins": (("plan-1", input_digest(edited.spec)),), "start_time": ago(5)}
        assert written(decide(edited, job(**own)))["startTime"] == format_time(ago(5))

    def test_and_once_for_each_edit(self) -> None:
        """Lost otherwise: the end, since a scan that fails would be made again for ever."""
        edited = self.failed_plan()
        own: dict[str, Any] = {"pins": (("plan-1", input_digest(edited.spec)),)}
        assert condition(written(decide(edited, job(**own))), "Reconciling")
        status = written(decide(edited, failed(**own), pods=(succeeded(0, merged(complete=False)), broken(1))))
        assert status["phase"] == "Failed"
        assert decide(plan(status, generation=2, endpoints=list(self.CORRECTED)), failed(**own)) == Write()

    @pytest.mark.parametrize(
        "change", [{"cancel": True}, {"endpoints": ["https://a.example", "https://b.example"], "priority": 9}], ids=str
    )
    def test_one_that_is_cancelled_or_edited_elsewhere_keeps_its_end(self, change: dict[str, Any]) -> None:
        assert written(decide(self.failed_plan(**change), failed()))["phase"] == "Failed"

    def test_where_others_have_the_job_it_keeps_their_result(self) -> None:
        """Lost otherwise: peace, for two plans that would take the Job from each other."""
        shared = failed(owners=frozenset({"plan-1", "plan-2"}))
        assert written(decide(self.failed_plan(), shared))["phase"] == "Failed"

    def test_another_spelling_at_work_pins_the_new_one_to_the_same_job(self) -> None:
        respelled = plan(running_status(), generation=2, endpoints=["https://B.example", "https://a.example"])
        patch = patch_of(decide(respelled, job()))
        assert patch["metadata"]["annotations"] == {"pin.scanplan.dev/plan-1": input_digest(respelled.spec)}

    @pytest.mark.parametrize(
        ("spec", "patch"),
        [
            ({"ttlSecondsAfterFinished": 600}, {"ttlSecondsAfterFinished": 600}),
            ({"deadlineSeconds": 99_999}, {"activeDeadlineSeconds": 99_999}),
            ({"sharding": {"maxEndpointsPerShard": 1, "parallelism": 1}}, {"parallelism": 1}),
            ({"suspend": True}, {"suspend": True}),
        ],
    )
    def test_live_fields_act_on_the_running_job(self, spec: dict[str, Any], patch: dict[str, Any]) -> None:
        edited = decide(plan(running_status(), generation=2, **spec), job())
        assert patch.items() <= patch_of(edited)["spec"].items()
        assert patch_of(edited)["metadata"]["uid"] == "job-1"
        asked = json.loads(patch_of(edited)["metadata"]["annotations"][labels.ASKED])
        assert patch.items() <= asked.items(), "what was asked is recorded with what is asked"

    @pytest.mark.parametrize(("shares", "parallelism"), [(None, 2), (2, 2), (1, None)])
    def test_no_more_shards_at_once_than_the_limit_of_requests_was_divided_by(
        self, shares: int | None, parallelism: int | None
    ) -> None:
        """The running pods have their share from the task document: one more of them would be too much for the targets."""
        eager = plan(running_status(), generation=2, sharding={"maxEndpointsPerShard": 1, "parallelism": 2})
        decision = decide(eager, job(parallelism=1, completions=2, rate_shares=shares))
        patch = patch_of(decision)["spec"] if actions_of(decision) else {}
        assert patch.get("parallelism") == parallelism

    def test_a_ttl_acts_on_the_finished_job(self) -> None:
        edited = plan(completed_status(), generation=2, ttlSecondsAfterFinished=600)
        assert patch_of(decide(edited, complete()))["spec"] == {"ttlSecondsAfterFinished": 600}

    @pytest.mark.parametrize(("edit", "again"), [({"ttlSecondsAfterFinished": 600}, 0.0), ({"priority": 9}, None)])
    def test_a_ttl_that_was_edited_as_the_job_finished_acts_after_the_result(
        self, edit: dict[str, Any], again: float | None
    ) -> None:
        """Lost otherwise: the edit, until something else happens to the plan. Before the result it could remove the Job's pods."""
        decision = decide(plan(running_status(), generation=2, **edit), complete(), pods=DONE)
        assert written(decision)["phase"] == "Completed"
        assert rest(decision).requeue_after == again

    @pytest.mark.parametrize(
        "spec",
        [
            {"timeoutSeconds": 60},
            {"retry": {"temporary": 0}},
            {"scanner": {"rateLimit": 1}},
            {"podTemplate": {"nodeSelector": {"disk": "ssd"}}},
        ],
    )
    def test_fields_for_the_next_run_are_told_and_change_nothing(self, spec: dict[str, Any]) -> None:
        """Above all no shorter deadline: it would end pods that run by the former settings."""
        status = written(decide(plan(running_status(), generation=2, **spec), job()))
        assert condition(status, "AppliesNextRun") == ("True", "SpecEdited")
        assert status["observedGeneration"] == 2

    def test_an_edit_after_the_end_is_observed_and_nothing_else(self) -> None:
        before = completed_status()
        status = written(decide(plan(before, generation=2, priority=9)))
        assert status["observedGeneration"] == 2
        assert {each["observedGeneration"] for each in status["conditions"]} == {2}
        volatile = {"observedGeneration", "conditions"}
        assert {k: v for k, v in status.items() if k not in volatile} == {
            k: v for k, v in before.items() if k not in volatile
        }

    def test_an_upgrade_re_keys_nothing_that_has_started(self) -> None:
        newer = replace(POLICY, scanner_image="scanner:2")
        assert made(decide(plan(running_status()), pods=(), policy=newer))["metadata"]["name"] == task().job_name
        assert decide(plan(completed_status()), policy=newer) == Write()

    def test_an_upgrade_between_the_post_and_the_status_neither(self) -> None:
        """The pin is on the Job before it is on the status."""
        assert not actions_of(decide(plan(), job(), policy=replace(POLICY, scanner_image="scanner:2")))


class TestSharedTasks:
    """Two plans, one task: `alpha` made the Job, `beta` took part."""

    BETA = plan(uid="plan-2", name="beta")

    def shared(self, **changes: Any) -> JobView:
        pins = tuple((uid, input_digest(self.BETA.spec)) for uid in ("plan-1", "plan-2"))
        return job(owners=frozenset({"plan-1", "plan-2"}), pins=pins, **changes)

    def test_the_other_plan_says_whose_settings_it_runs_with(self) -> None:
        other = plan(uid="plan-2", name="beta", timeoutSeconds=99)
        status = written(decide(other, replace(self.shared(), pins=(("plan-2", input_digest(other.spec)),))))
        assert condition(status, "AppliesNextRun") == ("True", "SpecEdited")

    @pytest.mark.parametrize(
        ("alpha", "beta", "suspend"), [(True, True, True), (True, False, None), (False, True, None)]
    )
    def test_suspended_only_when_all_ask(self, alpha: bool, beta: bool, suspend: bool | None) -> None:
        of = plan(running_status(), suspend=alpha)
        decision = decide(of, self.shared(), partners=(replace(self.BETA, spec=plan(suspend=beta).spec),))
        assert (patch_of(decision)["spec"].get("suspend") if actions_of(decision) else None) is suspend

    def test_ttl_and_deadline_are_the_owners_maximum(self) -> None:
        patient = replace(self.BETA, spec=plan(ttlSecondsAfterFinished=900_000, deadlineSeconds=900_000).spec)
        wanted = patch_of(decide(plan(running_status()), self.shared(), partners=(patient,)))["spec"]
        assert wanted == {"ttlSecondsAfterFinished": 900_000, "activeDeadlineSeconds": 900_000}

    def test_cancel_lets_go_of_ones_own_part(self) -> None:
        patch = patch_of(decide(plan(running_status(), cancel=True), self.shared()))
        assert patch["metadata"]["ownerReferences"] == [{"$patch": "delete", "uid": "plan-1"}]
        assert patch["metadata"]["annotations"] == {"pin.scanplan.dev/plan-1": None}

    def test_and_is_over_while_the_others_go_on(self) -> None:
        theirs = replace(self.shared(), owners=frozenset({"plan-2"}))
        status = written(decide(plan(running_status(), cancel=True), theirs))
        assert status["phase"] == "Cancelled"
        assert "other plans go on" in status["conditions"][0]["message"]
        assert decide(plan(status, cancel=True), theirs) == Write()

    def test_so_does_an_edit_to_other_content(self) -> None:
        edited = plan(running_status(), generation=2, endpoints=["https://c.example"])
        patch = patch_of(decide(edited, self.shared()))
        assert patch["metadata"]["ownerReferences"] == [{"$patch": "delete", "uid": "plan-1"}]

    def test_a_plan_that_has_ended_has_no_say_in_a_job_that_others_made_since(self) -> None:
        theirs = replace(self.shared(ttl_seconds=1, deadline_seconds=1), owners=frozenset({"plan-2"}))
        assert decide(plan(completed_status()), theirs) == Write()

    def test_a_suspended_plan_takes_no_part(self) -> None:
        assert written(decide(plan(uid="plan-3", suspend=True), job()))["phase"] == "Suspended"


def test_every_terminal_phase_is_at_rest() -> None:
    for status in (completed_status(), written(decide(plan(cancel=True)))):
        assert Phase(status["phase"]).is_terminal
        assert plan(status).status.ended
