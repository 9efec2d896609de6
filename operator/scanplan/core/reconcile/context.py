"""One plan's context: what was observed, the time, and what every step of the reconcile asks of them or decides by them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from scanplan.api.errors import InputUnavailable, InvalidPlan
from scanplan.api.times import lenient_time
from scanplan.api.v1alpha1.conditions import ConditionType, Reason
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.core.manifests import document, jobs
from scanplan.core.manifests.pod import GRACE_SECONDS
from scanplan.core.observed.jobs import JobView
from scanplan.core.planning import sources
from scanplan.core.planning.task import Plan, Resolution, Task, claim_of, resolve
from scanplan.core.reconcile.decision import (
    INPUT_MAX_SECONDS,
    QUOTA_MAX_SECONDS,
    RETRY_SECONDS,
    Act,
    Action,
    Decision,
    DeleteJob,
    NeedInputs,
    Observed,
    PatchJob,
    Rejection,
    StoreDocument,
    Write,
)
from scanplan.core.reconcile.holding import Hold, hold_of
from scanplan.core.status import events, statuses

START_SECONDS = 5.0
"""If a new Job has no pod after this time, the plan's status says so. Otherwise its first status with the Job is Running. What ends
without an event is looked at again after the same time."""
PASSING = {Reason.API_REQUEST_FAILED, Reason.NO_FIXED_POINT, Reason.INTERNAL_ERROR}
"""Reasons of failures of the operator itself. They hold no longer once a decision is reached."""
DEAD_NODE_SECONDS = 120.0
"""After their grace period pods may take this long to end. Then a failed or cancelled plan ends without them."""


@dataclass(slots=True)
class Context:
    """One run of the reconcile over one plan."""

    observed: Observed
    now: datetime

    @property
    def plan(self) -> Plan:
        """The plan that this is about."""
        return self.observed.plan

    @property
    def pinned(self) -> bool:
        """Whether the status names a task, and the plan was not edited since in a way that asks for another one."""
        return self.plan.status.task_key is not None and self.plan.status.input_digest == self.plan.input_digest

    @property
    def had_pods(self) -> bool:
        """Whether the task may have had pods, which may have published something."""
        return self.pinned and bool(self.plan.status.start_time or self.plan.status.attempts)

    @property
    def job_was_altered(self) -> bool:
        """Admission changes this plan's Job so that it can't be run; the Job is not made again until the plan is edited."""
        ready = self.plan.status.condition(ConditionType.READY)
        return (
            self.plan.status.phase is Phase.FAILED
            and self.plan.status.observed_generation == self.plan.generation
            and ready is not None
            and ready.reason == Reason.JOB_ALTERED
        )

    @property
    def replaced_by_later_run(self) -> bool:
        """A scheduled run that failed before it began, while a later run exists: the later one scans instead."""
        status = self.plan.status
        failed = status.phase is Phase.FAILED and status.observed_generation == self.plan.generation
        return self.observed.has_later_run and failed and not self.pinned

    @property
    def outdated(self) -> bool:
        """The status is of an earlier generation, or of a failure of the operator that has passed."""
        status = self.plan.status
        ready = status.condition(ConditionType.READY)
        return status.observed_generation != self.plan.generation or (ready is not None and ready.reason in PASSING)

    def earlier_resolution(self, job: JobView | None = None) -> Resolution | None:
        """What the inputs were resolved to before: what the Job has, or else what the status says.

        None: there is no Job, and the status is of other inputs.
        """
        if job:
            return Resolution(key=job.key or "", image=job.image, claim=job.claim)
        status = self.plan.status
        if not self.pinned or not (status.task_key and status.scanner and status.scanner.image and status.artifacts):
            return None
        return Resolution(key=status.task_key, image=status.scanner.image, claim=status.artifacts.claim_name)

    def first_seen(self, job: JobView | None) -> datetime:
        """When the task was first seen, in whole seconds."""
        seen = job.first_seen if job else None
        started = lenient_time(self.plan.status.start_time) if self.pinned else None
        return (seen or started or self.now).replace(microsecond=0)

    @property
    def owners(self) -> tuple[Plan, ...]:
        """The plans that share the task's Job: this one and its partners."""
        return (self.plan, *self.observed.partners)

    def resolve(self, job: JobView | None = None) -> Task:
        """The task; the same as before, where there was one before.

        Raises:
            InvalidPlan: the plan can't run, or what it names has been edited since it started.
        """
        seen, inputs = self.first_seen(job), self.observed.inputs or {}
        task = resolve(self.plan, self.observed.policy, seen, inputs, self.earlier_resolution(job))
        if self.pinned and task.key != self.plan.status.task_key:
            raise InvalidPlan(
                Reason.INPUTS_CHANGED,
                "what this plan names has changed after it started (a ConfigMap, a Secret, what it discovers, or the "
                "operator's defaults), so the scan can't be made again as it was; give spec.rerun a new value to scan what "
                "is there now",
            )
        return task

    def overdue(self, since: datetime | None) -> bool:
        """Pods that were told to end have had all the time for it: their node doesn't answer."""
        return since is not None and self.now - since > timedelta(seconds=GRACE_SECONDS + DEAD_NODE_SECONDS)

    def release(self, job: JobView, unchanged: bool = False) -> Action:
        """Delete a Job, or leave it to the other plans that own it."""
        if job.owners - {self.plan.uid}:
            return PatchJob(job, jobs.release_patch(self.plan, job.uid, str(job.resource_version)))
        return DeleteJob(job, unchanged)

    def lacks_document(self, job: JobView) -> bool:
        """Its task document may be missing: the operator may have crashed right after it made the Job."""
        started = self.plan.status.job_ref
        known = job.uid in self.observed.documented or (started is not None and job.uid == started.uid)
        # The Job's pods take no other document than its creator's, to the last byte. While that plan exists, this is left to it.
        others = any(partner.uid == job.creator for partner in self.observed.partners)
        return bool(job.document_parts) and job.in_progress and not known and not others

    def store_document(self, job: JobView) -> Decision:
        """Store what `lacks_document` misses. A Job whose document would be another one is deleted, and made again."""
        if isinstance(self.observed.rejection, Rejection):
            return self.rejected(self.observed.rejection)
        inputs = self.observed.inputs
        # By now the plan may default to another claim than the Job has.
        if inputs is None or sources.Reference(sources.Kind.CLAIM, job.claim) not in inputs:
            return self._needs(job.claim)
        try:
            task = self.resolve(job)
        except InvalidPlan as error:
            return self.invalid(error)
        if (task.key, task.document.confidential) != (job.key, job.document_confidential):
            return Act((DeleteJob(job),))
        # The pods take the document as it was when the Job was made, to the last byte.
        task = replace(task, document=msgspec.structs.replace(task.document, discovery=job.discovery))
        return Act((StoreDocument(job, document.objects(task, job)),))

    def need_inputs(self) -> Decision:
        """Ask for the objects that the plan names; then the decision is made again."""
        return self._needs(claim_of(self.plan.spec, self.observed.policy, self.earlier_resolution()))

    def _needs(self, claim: str) -> Decision:
        try:
            return NeedInputs(sources.needed(self.plan.spec, self.plan.namespace, claim, self.observed.policy))
        except InvalidPlan as error:
            return self.invalid(error)

    def wait(
        self,
        phase: Phase,
        reason: Reason,
        message: str,
        requeue_after: float | None = None,
        requeue_max: float | None = None,
    ) -> Decision:
        """Write a status without the state of a Job, and decide again after a time."""
        status = statuses.of_waiting(self.plan, phase, reason, message, self.now)
        return self.write(status, requeue_after=requeue_after, requeue_max=requeue_max)

    def write(
        self,
        status: ScanPlanStatus,
        actions: tuple[Action, ...] = (),
        requeue_after: float | None = None,
        requeue_max: float | None = None,
    ) -> Decision:
        """Write a status where it differs, with its event. If there are actions, they come first, and then the decision again."""
        if actions:
            return Act(actions)
        changed = self.unless_same(status)
        lifecycle = self.observed.policy.lifecycle_events
        event = events.of_change(self.plan.status, changed, lifecycle) if changed else None
        return Write(status=changed, requeue_after=requeue_after, requeue_max=requeue_max, event=event)

    def unless_same(self, status: ScanPlanStatus) -> ScanPlanStatus | None:
        """A status that is worth a write."""
        return None if status == self.plan.status else status

    def invalid(self, error: InvalidPlan, actions: tuple[Action, ...] = ()) -> Decision:
        """The plan can't run. If what it names may yet come to exist, it is tried again later."""
        status = statuses.of_invalid(self.plan, error.reason, error.message, self.now)
        if not isinstance(error, InputUnavailable):
            return self.write(status, actions)
        return self.write(status, actions, requeue_after=RETRY_SECONDS, requeue_max=INPUT_MAX_SECONDS)

    def rejected(self, rejection: Rejection) -> Decision:
        """The API server refused what the plan needs: its Job, a collector, or a document."""
        if rejection.stalled:
            status = statuses.of_invalid(self.plan, rejection.reason, rejection.message, self.now)
            return self.write(status, requeue_after=rejection.retry_after)
        most = QUOTA_MAX_SECONDS if rejection.retry_after else None
        return self.wait(Phase.PENDING, rejection.reason, rejection.message, rejection.retry_after, most)

    @property
    def hold(self) -> Hold | None:
        """What keeps the plan from being scanned now."""
        return self.hold_of(self.plan)

    def hold_of(self, plan: Plan) -> Hold | None:
        """What keeps this plan or a partner of it from being scanned now."""
        return hold_of(plan.spec, self.observed.zones, self.now)

    def held(self, hold: Hold) -> Decision:
        """Say why a held plan does not start, whether or not there is a Job that it could take over."""
        if hold.reason is Reason.INVALID_SPEC:
            return self.invalid(InvalidPlan(hold.reason, hold.message("start")))
        return self.wait(Phase.SUSPENDED, hold.reason, hold.message("start"))
