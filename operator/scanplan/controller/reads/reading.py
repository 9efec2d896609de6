"""Read plans and what they name, within a budget of bytes in memory.

Small plans come from the cache for nothing. A long one is not kept there (`scanplan.controller.cache.plans`), and is read again
for each reconcile; so are inputs. Both are let go of when the reconcile is over.
"""

from __future__ import annotations

from kubernetes.aio.client import ApiException

from scanplan.controller.cache.plans import plan_of
from scanplan.controller.cache.store import Store
from scanplan.controller.engine.budget import Budget
from scanplan.controller.engine.workqueue import ObjectName, WorkQueue
from scanplan.controller.reads.inputs import OBJECT_BYTES, InputReader
from scanplan.core.discovery.selection import Selection
from scanplan.core.manifests import jobs
from scanplan.core.observed.jobs import JobView
from scanplan.core.observed.pods import PodView, pod_view
from scanplan.core.observed.workloads import WorkloadView, workload_view
from scanplan.core.planning.sources import PLAN_BYTES, Inputs, Reference
from scanplan.core.planning.task import Plan
from scanplan.kube.api import Api
from scanplan.kube.resources import PLANS

BUDGET_BYTES = PLAN_BYTES + OBJECT_BYTES
"""Of inputs and long specs that are in memory at the same time; resolving them takes up to ten times as much."""
FEW_PODS = 100
"""More are listed in pages, which the API server's cache doesn't do."""
DECODED = 8
"""A long spec counts so many times: small nested objects take much more memory than their JSON."""


class Reading:
    """What reconciles hold in memory besides the cache. Its methods raise `Postponed` where there is no room."""

    def __init__(self, api: Api, store: Store, queue: WorkQueue) -> None:
        self.budget = Budget(BUDGET_BYTES, queue.add)
        self._api = api
        self._store = store
        self._inputs = InputReader(api)

    async def plan(self, name: ObjectName, before: Plan | None) -> Plan | None:
        """A plan as it is known now: `before`, where that is the same. None: there is no such plan."""
        version = self._store.plans.version(name)
        if version is None:
            return None
        uid, known = version
        if before and before.uid == uid and int(before.resource_version) >= int(known):
            return before
        length = self._store.plans.left_out(name)
        if not length:
            return self._store.plans[name]
        self.budget.take(name, length * DECODED)
        try:
            return plan_of(await self._api.get(PLANS, name.namespace, name.name))
        except ApiException as error:
            if error.status != 404:
                raise
            return None  # its watch will say so

    async def inputs(self, plan: Plan, references: tuple[Reference | Selection, ...]) -> Inputs:
        """What a plan names, as far as it takes to know whether it can run."""
        name = ObjectName(plan.namespace, plan.name)
        most = self._inputs.most(references)
        if not most:
            return await self._inputs.read(plan.namespace, references)
        spec = self._store.plans.left_out(name) * DECODED
        self.budget.take(name, spec + most)
        found = await self._inputs.read(plan.namespace, references)
        size = spec + sum(each.size for each in found.values())
        self.budget.take(name, size)
        self.budget.shrink(name, size)
        return found

    async def pods(self, namespace: str, task: str) -> tuple[PodView, ...]:
        """A task's pods; where its Jobs have ended from the cache, if that has all that they count."""
        known = self._store.jobs(namespace)
        ended = [known[name] for name in (task, jobs.collector_name(task)) if name in known]
        # Without the task's Job the question is whether one may be made, which an old list can't answer.
        if task in known and all(job.finished and job.completions <= FEW_PODS for job in ended):
            pods = await self._pods(namespace, task, cached=True)
            if all(job.counts_only(pods) for job in ended):
                return pods
        return await self._pods(namespace, task, cached=False)

    async def _pods(self, namespace: str, task: str, cached: bool) -> tuple[PodView, ...]:
        return tuple([pod_view(pod) async for pod in self._api.each_pod(namespace, task, cached)])

    async def workload(self, job: JobView) -> WorkloadView:
        """The Workload that stands for a Job; without the right to read it, one that says nothing."""
        try:
            return workload_view(await self._api.workload_of(job.namespace, job.uid))
        except ApiException as error:
            if error.status != 403:
                raise
            return WorkloadView()

    def release(self, name: ObjectName) -> None:
        """A reconcile is over: nothing of it is in memory any more."""
        self.budget.give_back(name)
