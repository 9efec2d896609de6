"""Carries out what was decided: makes, patches and deletes Jobs, stores task documents, and answers Kueue.

Each answer is taken in at once, so that the next decision knows it.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kubernetes.aio.client import ApiException
from kubernetes.aio.client.exceptions import ConflictException

from scanplan.controller.cache.store import Store
from scanplan.controller.engine.workqueue import ObjectName
from scanplan.controller.failing import NoFixedPoint
from scanplan.controller.intake import Intake
from scanplan.controller.reads.sharing import Sharing
from scanplan.core.manifests import jobs
from scanplan.core.observed import alterations
from scanplan.core.observed.jobs import JobView, job_view
from scanplan.core.observed.pods import PodView
from scanplan.core.observed.sharing import OtherCluster
from scanplan.core.observed.workloads import WorkloadView
from scanplan.core.planning.sources import Inputs
from scanplan.core.planning.task import Plan, Task
from scanplan.core.reconcile.decision import (
    Action,
    CreateJob,
    DeleteJob,
    PatchJob,
    Rejection,
    SetAdmission,
    StoreDocument,
)
from scanplan.kube.api import Api
from scanplan.kube.failures import UNREACHABLE, message_of
from scanplan.kube.resources import PLANS

log = logging.getLogger("scanplan.controller")


@dataclass(slots=True)
class Answers:
    """What was asked for one generation of a plan; none of it holds for another, which may be about another task."""

    uid: str = ""
    generation: int = 0
    steps: int = 0
    """Decisions so far."""
    inputs: Inputs | None = None
    pods: tuple[PodView, ...] | None = None
    pods_of: str = ""
    """The task that `pods` are of."""
    job_then: tuple[str, bool] | None = None
    """UID of its Job, and whether it had ended, when they were asked for."""
    rejection: Rejection | OtherCluster | None = None
    no_workload: bool = False
    workload: WorkloadView | None = None
    patched: dict[str, int] = field(default_factory=dict)
    """The version of the Job that each patch has led to, by what the patch changes."""


class Actions:
    """Carries out the actions of decisions, one after the other."""

    def __init__(self, api: Api, store: Store, intake: Intake, sharing: Sharing) -> None:
        self.alone: Callable[[], bool] | None = None
        """Whether this process still has the lease, so that no other operator can be at work; None: there may be others."""
        self._api = api
        self._store = store
        self._intake = intake
        self._sharing = sharing

    async def carry_out(self, plan: Plan, action: Action, answers: Answers) -> Rejection | OtherCluster | None:
        by = ObjectName(plan.namespace, plan.name)
        match action:
            case CreateJob(manifest, task, skip_get):
                return await self._create(plan, manifest, task, skip_get)
            case PatchJob(job, patch):
                await self._patch(job, patch, answers, by)
            case DeleteJob(job, unchanged):
                await self._delete(plan, job, unchanged, by)
            case SetAdmission(job, active):
                if await self._api.set_admission(job.namespace, job.uid, active):
                    self._store.own_acts.admissions[job.uid] = active
                else:
                    answers.no_workload = True
            case StoreDocument(job, objects):
                return await self._store_document(job, objects, by)
        return None

    async def _delete(self, plan: Plan, job: JobView, unchanged: bool, by: ObjectName) -> None:
        """Delete a Job, unless the plan has changed: the Job may be what another operator has made for the changed plan."""
        if not await self._is_fresh(plan):
            return
        try:
            version = job.resource_version if unchanged else None
            await self._api.delete_job(job.namespace, job.name, job.uid, version)
        except ApiException as error:
            if error.status not in {404, 409}:
                raise
        await self._look_up(job.namespace, job.name, by)

    async def _patch(self, job: JobView, patch: dict[str, Any], answers: Answers, by: ObjectName) -> None:
        """Patch a Job, unless the same patch has just led to the very version of it that asks for the patch again."""
        change = _changed_by(patch)
        if answers.patched.get(change) == job.resource_version:
            raise NoFixedPoint("the API server accepts a patch of the Job, and the Job doesn't have it")
        resumes = patch.get("spec", {}).get("suspend") is False
        self._store.set_starting(job.namespace, job.name, by if resumes else None)
        try:
            answer = await self._api.patch_job(job.namespace, job.name, patch)
            self._intake.job_event(None, answer, by)
            answers.patched[change] = int(answer["metadata"]["resourceVersion"])
        except ApiException as error:
            if error.status not in {404, 409}:
                raise
            await self._look_up(job.namespace, job.name, by)
        finally:
            self._store.set_starting(job.namespace, job.name, None)
            if resumes:
                self._intake.wake_waiting(job.namespace)

    async def _store_document(
        self, job: JobView, objects: tuple[jobs.Manifest, ...], by: ObjectName
    ) -> Rejection | None:
        try:
            for manifest in objects:
                with contextlib.suppress(ConflictException):
                    answer = await self._api.create_part(job.namespace, manifest)
                    paths = alterations.of(manifest, answer)
                    prefix = f"{manifest['kind']} {manifest['metadata']['name']}: "
                    if refused := alterations.essential_of_document(paths):
                        await self._api.delete_job(job.namespace, job.name, job.uid)
                        await self._look_up(job.namespace, job.name, by)
                        return Rejection.altered(job.name, tuple(f"{prefix}{path}" for path in refused))
                    self._store.set_altered(job, tuple(f"{prefix}{path}" for path in paths))
        except ApiException as error:
            if error.status not in {400, 403, 422}:
                raise
            return Rejection.no_document(message_of(error))
        self._store.own_acts.documented.add(job.uid)
        return None

    async def _create(
        self, plan: Plan, manifest: dict[str, Any], task: Task | None, skip_get: bool
    ) -> Rejection | OtherCluster | None:
        """POST is the lock: whoever finds the name taken takes over what is there."""
        namespace, name = plan.namespace, manifest["metadata"]["name"]
        by = ObjectName(namespace, plan.name)
        # Before anything is waited for: the slot was free when this was decided, and other plans are decided about meanwhile.
        self._store.set_starting(namespace, name, by)
        try:
            if task and (other := await self._sharing.take(namespace, task.key, task.claim)):
                return other
            if not (skip_get or await self._is_fresh(plan)):
                return None
            if self.alone and not self.alone():
                raise TimeoutError("the lease may have run out, and another operator be at work")
            if self._store.merges(namespace, name):
                raise TimeoutError("the findings of an earlier scan of this task are still being merged")
            answer = await self._api.create_job(namespace, manifest)
            log.info("%s/%s: created Job %s", namespace, plan.name, name)
            return await self._take_in(manifest, answer, by)
        except ApiException as error:
            if error.status in {403, 409}:
                # A quota's 403 hides that the name is taken: look before concluding.
                found = await self._look_up(namespace, name, by)
                if found:
                    return None if found.managed else Rejection.name_conflict(name)
            if error.status == 403:
                return Rejection.forbidden(message_of(error))
            if error.status in {400, 422}:
                return Rejection.invalid(message_of(error))
            if error.status == 409:
                return None
            self._store.doubt(namespace, name)
            raise
        except UNREACHABLE:
            self._store.doubt(namespace, name)  # it may have been made, and gone before anybody saw it
            raise
        finally:
            self._store.set_starting(namespace, name, None)
            self._intake.wake_waiting(namespace)

    async def _take_in(self, sent: dict[str, Any], answer: dict[str, Any], by: ObjectName) -> Rejection | None:
        """Accept the Job that the API server has made of ours; delete one that would lose or repeat a scan."""
        paths = alterations.of(sent, answer)
        refused = alterations.essential(paths, answer)
        if refused:
            metadata = answer["metadata"]
            await self._api.delete_job(metadata["namespace"], metadata["name"], metadata["uid"])
            return Rejection.altered(metadata["name"], refused)
        job = self._intake.job_event(None, answer, by)
        if job and paths:
            self._store.set_altered(job, paths)
        return None

    async def _is_fresh(self, plan: Plan) -> bool:
        """Whether the plan is still as it was decided about.

        Watches of different kinds don't wait for each other. So this process may know a Job, or its end, before it knows the
        plan that the Job was made for. Another operator may have edited, cancelled or ended that plan's scan in between.
        """
        try:
            self._intake.put_plan(await self._api.get(PLANS, plan.namespace, plan.name))
        except ApiException as error:
            if error.status != 404:
                raise
            self._intake.drop_plan(ObjectName(plan.namespace, plan.name), plan.uid)
        return self._store.plans.version(ObjectName(plan.namespace, plan.name)) == (plan.uid, plan.resource_version)

    async def _look_up(self, namespace: str, name: str, by: ObjectName) -> JobView | None:
        """The Job as it is now; ours go into the store, foreign ones don't, since no watch would keep them fresh."""
        known = self._store.jobs(namespace).get(name)  # before asking: a Job made meanwhile is none that is gone
        try:
            body = await self._api.get_job(namespace, name)
        except ApiException as error:
            if error.status != 404:
                raise
            if known:
                gone = {"namespace": namespace, "name": name, "uid": known.uid}
                self._intake.job_event("DELETED", {"metadata": gone}, by)
            return None
        job = job_view(body)
        return self._intake.job_event(None, body, by) if job.managed else job


def _changed_by(patch: dict[str, Any]) -> str:
    """What a patch changes, whatever the version of the Job: asked for again of the same version, it would have no effect again."""
    fields = {name: value for name, value in patch["metadata"].items() if name != "resourceVersion"}
    return json.dumps([fields, patch.get("spec")], sort_keys=True)
