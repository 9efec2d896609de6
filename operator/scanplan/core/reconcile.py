"""The reconcile: everything observed about one plan, and the time, in; what to do about it out.

Level-triggered and pure: any events in any order, once or often, lead to the same state. `Decision.actions` come first: the shell
carries them out, observes again and asks again; only a decision without actions has a status to write, so that a plan's
whole change is one status write. The POST of the task's Job name is the only lock there is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from scanplan.api.conditions import Reason
from scanplan.api.errors import InputUnavailable, InvalidPlan
from scanplan.api.scanplan import Phase, ScanPlanSpec
from scanplan.api.task import MergedResult, Outcome, ShardReport
from scanplan.core import document, events, failure
from scanplan.core import inputs as sources
from scanplan.core import job as jobs
from scanplan.core import status as statuses
from scanplan.core.decision import (
    RETRY_SECONDS,
    Action,
    CreateJob,
    Decision,
    DeleteJob,
    Observed,
    PatchJob,
    Rejection,
    SetAdmission,
    StoreDocument,
)
from scanplan.core.pod import GRACE_SECONDS
from scanplan.core.sharing import Elsewhere
from scanplan.core.task import Pinned, Plan, Task, claim_of, input_digest, resolve
from scanplan.core.views import JobView, PodView

START_SECONDS = 5.0
"""A new Job that has no pod after this gets a status of its own; sooner, the first status is Running."""
ELSEWHERE_SECONDS = 15.0
"""How often a cluster looks whether another one has ended the task that both were asked for."""
BLOCKED_SECONDS = 30.0
"""A Job whose pods are active but not ready for this long has its pods looked at."""
PROGRESS_SECONDS = 10.0
"""Shortest time between two status writes that only report progress."""
DEAD_NODE_SECONDS = 120.0
"""How long beyond their grace pods may take to end, before a failed or cancelled plan ends without them."""
NOT_COLLECTED = "what its pods had published could not be merged, and is in the shards' folders on the claim"


@dataclass(slots=True)
class _Reconciler:
    """One run of the reconcile; its fields are what several steps need."""

    observed: Observed
    now: datetime
    plan: Plan = field(init=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        self.plan = self.observed.plan
        self.digest = input_digest(self.plan.spec)

    def run(self) -> Decision:
        if self.plan.deleting:
            return Decision()
        if self.plan.problem:
            if statuses.has_ended(self.plan):
                return Decision()
            return self._invalid(InvalidPlan(Reason.INVALID_SPEC, self.plan.problem))
        pinned_name = self._pinned_name()
        task: Task | None = None
        if pinned_name is None:
            if self.observed.inputs is None:
                return self._read()
            try:
                task = self._resolve()
            except InvalidPlan as error:
                return self._invalid(error, self._superseded(""))
            pinned_name = task.job_name
        superseded = self._superseded(pinned_name)
        if superseded:
            return Decision(actions=superseded)
        job = self.observed.jobs.get(pinned_name)
        if self._settled(task):
            # Its Job's name may by now belong to a Job of other plans, whose settings are none of this plan's business.
            own = job is not None and self.plan.uid in job.owners
            return self._write(statuses.of_settled(self.plan), self._live(job) if job and own else ())
        if job is None:
            return self._without_job(pinned_name, task)
        return self._with_job(job, task)

    def _pinned_name(self) -> str | None:
        """The Job name of the task that these inputs are pinned to: by the status, or by a Job made before a status was."""
        if self._pinned_by_status():
            return str(self.plan.status["taskId"])
        for job in self.observed.owned:
            if job.pin_of(self.plan.uid) == self.digest and not job.collector:
                return job.name
        return None

    def _pinned_by_status(self) -> bool:
        return "taskKey" in self.plan.status and self.plan.status.get("inputDigest") == self.digest

    def _settled(self, task: Task | None) -> bool:
        """The plan has had its one result: for these inputs, or for others that turned out to be the same task."""
        same = self._pinned_by_status() or (task is not None and self.plan.status.get("taskKey") == task.key)
        return same and statuses.has_ended(self.plan)

    def _superseded(self, name: str) -> tuple[Action, ...]:
        """Let go of Jobs of earlier inputs: deleted, unless another plan owns them too."""
        current = {name, jobs.collector_name(name)}
        return tuple(self._let_go(job) for job in self.observed.owned if job.name not in current and not job.deleting)

    def _let_go(self, job: JobView) -> Action:
        if job.owners - {self.plan.uid}:
            return PatchJob(job, jobs.release_patch(self.plan, job.uid, str(job.resource_version)))
        return DeleteJob(job)

    # without a Job

    def _without_job(self, name: str, task: Task | None) -> Decision:
        spec, rejection = self.plan.spec, self.observed.rejection
        started = self._pinned_by_status() and "jobRef" in self.plan.status
        if spec.cancel and not started:
            return self._cancelled(name, task.key if task else self.plan.status["taskKey"], " before it started")
        if not spec.cancel:
            if spec.suspend:
                return self._suspended()
            if isinstance(rejection, Elsewhere):
                return self._elsewhere(rejection, name, task)
            if rejection:
                return self._rejected(rejection)
            if self.observed.free_slots <= 0 and not spec.queue_name:
                return self._queued()
        # Even a plan that never had a Job may find pods: those of a deleted plan, with the same key, are still ending.
        sure = not (started or spec.cancel or name in self.observed.doubted)
        if self.observed.pods is None and not sure:
            return Decision(list_pods=name)
        if any(pod.alive and not (pod.collector and spec.cancel) for pod in self.observed.pods or ()):
            message = "waiting for pods of the deleted Job to end"
            return self._wait(Phase.PENDING, Reason.WAITING_FOR_PODS, message, START_SECONDS)
        if spec.cancel:
            return self._collect_cancelled(name)
        if task is None and self.observed.inputs is None:
            return self._read()
        try:
            task = task or self._resolve()
        except InvalidPlan as error:
            return self._invalid(error)
        return Decision(actions=(CreateJob(jobs.build(task, self.plan, self.observed.policy), task, sure),))

    def _rejected(self, rejection: Rejection) -> Decision:
        if rejection.stalled:
            status = statuses.of_invalid(self.plan, rejection.reason, rejection.message, self.now)
            return self._write(status, requeue_after=rejection.retry_after)
        return self._wait(Phase.PENDING, rejection.reason, rejection.message, rejection.retry_after)

    def _elsewhere(self, other: Elsewhere, name: str, task: Task | None) -> Decision:
        if other.result:
            key = task.key if task else self.plan.status["taskKey"]
            return self._write(statuses.of_elsewhere(self.plan, name, key, other, self.now))
        message = f"cluster {other.cluster} runs the same task; its result will be this plan's"
        return self._wait(Phase.PENDING, Reason.RUNNING_ELSEWHERE, message, ELSEWHERE_SECONDS)

    def _read(self) -> Decision:
        """Decide again with what the plan names."""
        claim = claim_of(self.plan.spec, self.observed.policy, self._pins())
        return Decision(read=sources.needed(self.plan.spec, claim))

    def _resolve(self, first_seen: datetime | None = None, pinned: Pinned | None = None, scans: bool = True) -> Task:
        """The task; the same as before, where there was one before.

        Raises:
            InvalidPlan: the plan can't run, or what it names has been edited since it started.
        """
        seen = (first_seen or self.now).replace(microsecond=0)
        task = resolve(self.plan, self.observed.policy, seen, self.observed.inputs or {}, pinned or self._pins(), scans)
        if self._pinned_by_status() and task.key != self.plan.status["taskKey"]:
            raise InvalidPlan(
                Reason.INPUTS_CHANGED,
                "a ConfigMap or Secret that this plan names was edited after it started, so the scan can't be made again as it "
                "was; set rerun to scan what is there now",
            )
        return task

    def _invalid(self, error: InvalidPlan, actions: tuple[Action, ...] = ()) -> Decision:
        status = statuses.of_invalid(self.plan, error.reason, error.message, self.now)
        waits = RETRY_SECONDS if isinstance(error, InputUnavailable) else None
        return self._write(status, actions, requeue_after=waits)

    def _pins(self) -> Pinned | None:
        """What the status pinned for these inputs."""
        status = self.plan.status
        if not self._pinned_by_status() or not status.get("scanner", {}).get("image"):
            return None
        return Pinned(key=status["taskKey"], image=status["scanner"]["image"], claim=status["artifacts"]["claimName"])

    def _collect_cancelled(self, name: str) -> Decision:
        """A cancelled plan keeps what its pods have published: a collector merges it, then the plan is done."""
        key = self.plan.status["taskKey"]
        collector = self.observed.jobs.get(jobs.collector_name(name))
        if collector is None or not collector.finished:
            return self._collect(None, collector) or self._cancelled(name, key, f"; {NOT_COLLECTED}")
        return self._cancelled(name, key, "", _collected(self.observed.pods or ()))

    def _cancelled(self, name: str, key: str, detail: str, merged: MergedResult | None = None) -> Decision:
        return self._write(statuses.of_cancelled(self.plan, name, key, merged, detail, self.now))

    # with a Job

    def _with_job(self, job: JobView, task: Task | None) -> Decision:
        plan = self.plan
        owned = plan.uid in job.owners
        key = task.key if task else plan.status["taskKey"] if self._pinned_by_status() else job.key
        if not job.managed or key is None or job.key != key:
            return self._rejected(Rejection.name_conflict(job.name))
        beside = None if owned else self._beside(job, key)
        if beside:
            return beside
        if job.deleting:
            if plan.spec.cancel and self._overdue(job.deleting_since):
                return self._cancelled(job.name, key, "; its last pods are on a node that doesn't answer")
            message = "cancelling" if plan.spec.cancel else "waiting for the pods of the deleted Job to end"
            # A plan that doesn't own the Job hears nothing of its end, and a dead node says nothing at all: look again.
            return self._wait(Phase.PENDING, Reason.WAITING_FOR_PODS, message, START_SECONDS)
        if not owned or job.pin_of(plan.uid) != self.digest:
            return Decision(actions=(PatchJob(job, jobs.adoption_patch(plan, job.uid, str(job.resource_version))),))
        target = job.failure_target
        if job.finished or (target and self._overdue(target.since)):
            return self._finished(job)
        if plan.spec.cancel:
            if not (self._pinned_by_status() and "jobRef" in plan.status):
                # Once the Job is gone, only the status knows that there was one, whose pods may have found something.
                status = statuses.of_running(plan, job, Phase.RUNNING, Reason.RUNNING, "cancelling", self.now)
                return self._write(status, requeue_after=0.0)
            return Decision(actions=(self._let_go(job),))
        if self._lacks_document(job):
            return self._store_document(job)
        live = self._live(job)
        if live:
            return Decision(actions=live)
        decision = self._running(job)
        if target and not decision.list_pods:
            decision = replace(decision, requeue_after=min(decision.requeue_after or START_SECONDS, START_SECONDS))
        return decision

    def _beside(self, job: JobView, key: str) -> Decision | None:
        """What a plan does about a Job that it doesn't own; None where it should."""
        if self.plan.spec.cancel:
            detail = "; other plans go on with the same scan" if job.live else ""
            return self._cancelled(job.name, key, detail)
        if self.plan.spec.suspend:
            return self._suspended()
        if job.owners and not any(uid in self.observed.plans for uid in job.owners):
            # The garbage collector is about to delete it: taken over, it would live or not as the two happen to meet.
            message = "waiting for the Job of a deleted plan to go"
            return self._wait(Phase.PENDING, Reason.WAITING_FOR_PODS, message, START_SECONDS)
        return None

    def _overdue(self, since: datetime | None) -> bool:
        """Pods that were told to end have had all the time for it: their node doesn't answer."""
        return since is not None and self.now - since > timedelta(seconds=GRACE_SECONDS + DEAD_NODE_SECONDS)

    def _lacks_document(self, job: JobView) -> bool:
        """Its task document is in ConfigMaps that may not be there yet: a crash can come right after the Job's POST."""
        known = job.uid in self.observed.documented or job.uid == self.plan.status.get("jobRef", {}).get("uid")
        # The Job's pods take no other document than its creator's, to the last byte: while that plan is there, it is its business.
        others = any(partner.uid == job.creator for partner in self.observed.partners)
        return bool(job.document_parts) and job.live and not known and not others

    def _store_document(self, job: JobView) -> Decision:
        if self.observed.inputs is None:
            return self._read()
        try:
            pinned = Pinned(key=job.key or "", image=job.image, claim=job.claim)
            task = self._resolve(job.first_seen, pinned, scans=not job.collector)
        except InvalidPlan as error:
            return self._invalid(error)
        if task.key != job.key:
            return Decision(actions=(DeleteJob(job),))
        return Decision(actions=(StoreDocument(job, document.config_maps(task, job)),))

    def _live(self, job: JobView) -> tuple[Action, ...]:
        """What has to change on the Job for the spec's live fields; with several owners, by all their wishes."""
        owners = (self.plan, *self.observed.partners)
        wanted: dict[str, Any] = {}
        ttl = max(owner.spec.ttl_seconds_after_finished for owner in owners)
        if job.ttl_seconds != ttl:
            wanted["ttlSecondsAfterFinished"] = ttl
        if not job.finished:
            deadline = max(_deadline(owner.spec, job) for owner in owners)
            if job.deadline_seconds != deadline:
                wanted["activeDeadlineSeconds"] = deadline
        admission: tuple[Action, ...] = ()
        if not job.finished and job.queue_name:
            admission = self._admission(job, all(owner.spec.suspend for owner in owners))
        elif not job.finished:
            parallel = max(jobs.parallelism(owner.spec, job.completions) for owner in owners)
            if job.parallelism != parallel:
                wanted["parallelism"] = parallel
            suspend = all(owner.spec.suspend for owner in owners)
            if job.suspended != suspend and (suspend or self.observed.free_slots > 0):
                wanted["suspend"] = suspend
        patch = (PatchJob(job, {"metadata": {"uid": job.uid}, "spec": wanted}),) if wanted else ()
        return (*patch, *admission)

    def _admission(self, job: JobView, suspend: bool) -> tuple[Action, ...]:
        """Suspend and resume a Job of Kueue's; one that waits for its first admission is left alone."""
        told = self.observed.admissions.get(job.uid)
        if suspend and not job.suspended and told is not False:
            return (SetAdmission(job, active=False),)
        stopped = self.plan.status.get("phase") == Phase.SUSPENDED or told is False
        if not suspend and job.suspended and stopped and told is not True:
            return (SetAdmission(job, active=True),)
        return ()

    def _running(self, job: JobView) -> Decision:
        plan = self.plan
        if job.suspended:
            if not plan.spec.suspend:
                return self._queued(job)
            stopping = job.active + job.terminating
            message = f"stopping {stopping} pods" if stopping else "suspended; set suspend to false to go on"
            phase = Phase.RUNNING if stopping else Phase.SUSPENDED
            status = statuses.of_running(plan, job, phase, Reason.SUSPENDED, message, self.now)
            return self._progress(status, job) if stopping else self._write(status)
        blocked = self._blocked(job) if job.active and not job.ready else None
        if blocked:
            return blocked
        if job.failed_pods:
            if not self._changed(job):
                return Decision(requeue_after=None if job.ready else BLOCKED_SECONDS)
            if self.observed.pods is None:
                return Decision(list_pods=job.name)
            return self._retrying(job, self.observed.pods)
        if not job.active and not job.succeeded:
            return self._without_pods(job)
        return self._scanning(job)

    def _scanning(self, job: JobView) -> Decision:
        failed = f", {job.failed_indexes} of them failed" if job.failed_indexes else ""
        done = job.succeeded + job.failed_indexes
        message = f"{done} of {job.completions} shards finished{failed}" if job.completions > 1 else "scanning"
        return self._progress(
            statuses.of_running(self.plan, job, Phase.RUNNING, Reason.RUNNING, message, self.now), job
        )

    def _without_pods(self, job: JobView) -> Decision:
        """A Job without pods: just made, or between a pod's end and its being counted. Only a lasting state is worth a write."""
        if self._pinned_by_status() and self.plan.status.get("phase") in {Phase.RUNNING, Phase.RETRYING}:
            edited = self.plan.status.get("observedGeneration") != self.plan.generation
            return self._scanning(job) if edited else Decision()
        age = (self.now - job.created).total_seconds()
        if age < START_SECONDS:
            return Decision(requeue_after=START_SECONDS - age)
        message = "the Job has no pod yet: see its events"
        return self._write(statuses.of_running(self.plan, job, Phase.PENDING, Reason.PENDING, message, self.now))

    def _blocked(self, job: JobView) -> Decision | None:
        """Pods that are active but not ready for a while: say what keeps them."""
        waited = (self.now - (job.start_time or job.created)).total_seconds()
        if waited < BLOCKED_SECONDS:
            return None
        if self.observed.pods is None:
            return Decision(list_pods=job.name)
        error = failure.blocked_by(self.observed.pods)
        if error is None:
            return None
        status = statuses.of_running(self.plan, job, Phase.PENDING, error.reason, error.message, self.now)
        return self._write(status, requeue_after=BLOCKED_SECONDS)

    def _changed(self, job: JobView) -> bool:
        """Whether the plan was edited, or pods have started or ended, since the status was written."""
        before = self.plan.status
        shards = before.get("shards", {})
        then = (
            before.get("observedGeneration"),
            before.get("phase") in {Phase.RUNNING, Phase.RETRYING},
            before.get("attempts"),
            shards.get("active"),
            shards.get("succeeded"),
            shards.get("failed"),
        )
        attempts = job.succeeded + job.failed_pods + job.active
        return then != (self.plan.generation, True, attempts, job.active, job.succeeded, job.failed_indexes)

    def _retrying(self, job: JobView, pods: tuple[PodView, ...]) -> Decision:
        own = [pod for pod in pods if pod.job_uid == job.uid]
        ended = {pod.index for pod in own if pod.phase == "Succeeded"} | job.failed_at
        failed = sorted(
            (pod for pod in own if pod.index not in ended and failure.of_pod(pod)), key=lambda pod: pod.created
        )
        if not failed:
            return self._scanning(job)
        error = failure.of_pod(failed[-1])
        assert error is not None  # noqa: S101 - `failed` has only pods with an error
        status = statuses.of_running(
            self.plan,
            job,
            Phase.RETRYING,
            Reason.RETRYING,
            f"trying again: {error.message}",
            self.now,
            last_error=error,
        )
        return self._write(status)

    def _progress(self, status: statuses.Status, job: JobView) -> Decision:
        """Write a state at once, but mere progress at most every `PROGRESS_SECONDS`."""
        requeue = BLOCKED_SECONDS if not job.ready else None
        if status["phase"] == self.plan.status.get("phase") and self._pinned_by_status() and self.observed.last_write:
            left = PROGRESS_SECONDS - (self.now - self.observed.last_write).total_seconds()
            if left > 0 and status["observedGeneration"] == self.plan.status.get("observedGeneration"):
                return Decision(requeue_after=left if status != self.plan.status else requeue)
        return self._write(status, requeue_after=requeue)

    # the end

    def _finished(self, job: JobView) -> Decision:
        if self.observed.pods is None:
            return Decision(list_pods=job.name)
        own = [pod for pod in self.observed.pods if pod.job_uid == job.uid]
        reports = statuses.last_reports(own)
        merged = _merged(reports) or _collected(self.observed.pods)
        error = None if job.complete else failure.of_job(job, own)
        collector = self.observed.jobs.get(jobs.collector_name(job.name))
        if merged is None and (collector is None or not collector.finished) and _may_have_published(job, own):
            decision = self._collect(job, collector)
            if decision:
                return decision
        if error is None and (merged is None or not merged.complete):
            error = failure.result_missing(job, collector)
        return self._write(statuses.of_finished(self.plan, job, reports, merged, error, self.now))

    def _collect(self, job: JobView | None, collector: JobView | None) -> Decision | None:
        """The next step of a collector Job's life; None where none can be made."""
        if collector is None:
            if isinstance(self.observed.rejection, Rejection):
                return self._rejected(self.observed.rejection)
            if self.observed.inputs is None:
                return self._read()
            try:
                task = self._resolve(scans=False)
            except InvalidPlan:
                return None
            return Decision(actions=(CreateJob(jobs.build_collector(task, self.plan, self.observed.policy)),))
        if self._lacks_document(collector):
            return self._store_document(collector)
        message = "merging what the pods have published"
        if job is None:
            return self._wait(Phase.RUNNING, Reason.COLLECTING, message, START_SECONDS)
        # Another plan with the same task may own the collector, and hear of its end alone: look again.
        status = statuses.of_running(self.plan, job, Phase.RUNNING, Reason.COLLECTING, message, self.now)
        return self._write(status, requeue_after=START_SECONDS)

    # ways to decide

    def _queued(self, job: JobView | None = None) -> Decision:
        if job and job.queue_name:
            message = f"waiting for Kueue to admit it to LocalQueue {job.queue_name}"
            status = statuses.of_running(self.plan, job, Phase.QUEUED, Reason.QUEUED, message, self.now)
            return self._write(status)
        limit = self.observed.policy.worker_concurrency
        message = f"waiting for one of the namespace's {limit} slots (WORKER_CONCURRENCY)"
        if job:
            status = statuses.of_running(self.plan, job, Phase.QUEUED, Reason.QUEUED, message, self.now)
        else:
            status = statuses.of_waiting(self.plan, Phase.QUEUED, Reason.QUEUED, message, self.now)
        return Decision(status=self._unless_same(status), queued=True)

    def _suspended(self) -> Decision:
        """A suspended plan without a Job of its own does nothing, whether or not there is one that it could take over."""
        return self._wait(Phase.SUSPENDED, Reason.SUSPENDED, "suspended; set suspend to false to start")

    def _wait(self, phase: Phase, reason: Reason, message: str, requeue_after: float | None = None) -> Decision:
        return self._write(
            statuses.of_waiting(self.plan, phase, reason, message, self.now), requeue_after=requeue_after
        )

    def _write(
        self, status: statuses.Status, actions: tuple[Action, ...] = (), requeue_after: float | None = None
    ) -> Decision:
        if actions:
            return Decision(actions=actions)
        changed = self._unless_same(status)
        event = events.of_change(self.plan.status, changed) if changed else None
        return Decision(status=changed, requeue_after=requeue_after, event=event)

    def _unless_same(self, status: statuses.Status) -> statuses.Status | None:
        return None if status == self.plan.status else status


def reconcile(observed: Observed, now: datetime) -> Decision:
    """Decide about one plan.

    Args:
        observed: a snapshot; nothing in it is changed.
        now: the present time, timezone-aware.
    """
    return _Reconciler(observed, now).run()


def _deadline(spec: ScanPlanSpec, job: JobView) -> int:
    """A plan's wish for a running Job's deadline. A derived one is never cut: it would end pods that run by earlier settings."""
    derived = jobs.deadline_seconds(spec, job.completions)
    return derived if spec.deadline_seconds is not None else max(derived, job.deadline_seconds or 0)


def _merged(reports: list[ShardReport]) -> MergedResult | None:
    """The merge of the shard that found itself last; two may have, with the same result."""
    results = [report.merged for report in reports if report.merged]
    return max(results, key=lambda result: (result.complete, result.shards), default=None)


def _collected(pods: tuple[PodView, ...]) -> MergedResult | None:
    """The collector's merge."""
    results = [pod.report.merged for pod in pods if pod.collector and pod.report and pod.report.merged]
    return results[-1] if results else None


def _may_have_published(job: JobView, pods: list[PodView]) -> bool:
    """False only where every pod that there was is still there, and has said that it published nothing.

    Deleted pods (FailJob, suspension) are gone when a Job has ended: then it counts more of them than there are, or a runner has
    found more attempts on the claim than there are pods of its shard.
    """
    if not pods or len(pods) < job.succeeded + job.failed_pods:
        return True
    seen = Counter(pod.index for pod in pods)
    return any(
        pod.report is None or pod.report.outcome is not Outcome.FAILED or pod.report.attempt > seen[pod.index]
        for pod in pods
    )
