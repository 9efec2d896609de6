"""What the operator knows of the cluster: plans and Jobs, fed by watches and by the answers to its own writes.

A cache, which the lists after a restart fill again; what no list brings back is in `own_acts` alone. An object is replaced by a
newer resource version only (comparable since KEP-5504), so that a watch that lags can't undo what an answer has shown.
"""

from __future__ import annotations

import bisect
import sys
from collections import defaultdict
from collections.abc import Container, Mapping
from dataclasses import replace
from datetime import UTC
from typing import Any

from scanplan.controller.cache.deletions import Deletions
from scanplan.controller.cache.ended import EndedScans
from scanplan.controller.cache.exceptions import KnownExceptions
from scanplan.controller.cache.own_acts import OwnActs
from scanplan.controller.cache.plans import Plans
from scanplan.controller.cache.projects import Projects
from scanplan.controller.cache.runs import Runs
from scanplan.controller.engine.scope import Scope
from scanplan.controller.engine.workqueue import ObjectName
from scanplan.core.manifests import jobs
from scanplan.core.observed.jobs import JobView, job_view
from scanplan.core.planning.task import Plan
from scanplan.core.reconcile.admission import Waiting


class Store:
    """Plans by name, Jobs by namespace and name, and the waiting plans of each namespace in their order."""

    def __init__(self, ended: EndedScans | None = None, scope: Scope | None = None) -> None:
        """Knows nothing yet.

        Args:
            ended: is told of each plan; None: nobody asks for scans that have ended.
            scope: the namespaces that are stored; None: all.
        """
        self.scope = scope or Scope()
        self.deletions = Deletions(self.scope)
        self.plans = Plans()
        self.runs = Runs()
        """The plans that are runs of a schedule."""
        self.projects = Projects()
        """Their open findings."""
        self.exceptions = KnownExceptions(self.deletions)
        self._ended = ended
        self.own_acts = OwnActs()
        self._names: dict[str, ObjectName] = {}
        self._jobs: defaultdict[str, dict[str, JobView]] = defaultdict(dict)
        self._owned: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        """By namespace and owner: an owner in another namespace is none, whatever a reference says."""
        self._doubted: defaultdict[str, dict[str, int]] = defaultdict(dict)
        """By namespace, the names of Jobs that `doubt` is about, each with the number of its doubt."""
        self._doubts = 0
        self._active: defaultdict[str, set[str]] = defaultdict(set)
        self._waiting: defaultdict[str, list[Waiting]] = defaultdict(list)
        self._waiting_of: dict[ObjectName, Waiting] = {}

    # plans

    def put_plan(self, body: dict[str, Any]) -> Plan | None:
        """Take in a ScanPlan object as the API returns it; returns it as the core reads it, or None where it is no news."""
        metadata = body["metadata"]
        # Each JSON document has a string of its own; a hundred thousand plans have few namespaces.
        name, uid = ObjectName(sys.intern(metadata["namespace"]), metadata["name"]), metadata["uid"]
        known_uid, known_version = self.plans.version(name) or ("", "0")
        if int(known_version) >= int(metadata["resourceVersion"]) or self.deletions.cover(uid, name.namespace):
            return None
        if known_uid not in {"", uid}:
            self.drop_plan(name, known_uid)
        self._names[uid] = name
        plan = self.plans.put(name, body)
        self.runs.put(plan)
        self.projects.put(name, plan)
        self.exceptions.put_plan(name, plan.status)
        if self._ended:
            self._ended.put(body)
        return plan

    def drop_plan(self, name: ObjectName, uid: str) -> None:
        """Forget a deleted plan; a newer one of the same name stays."""
        self.deletions.add(uid, name.namespace)
        known_uid, _ = self.plans.version(name) or ("", "")
        if known_uid != uid:
            return
        self.plans.drop(name)
        self.runs.drop(name)
        self.projects.drop(name)
        self.exceptions.drop_plan(name)
        if self._ended:
            self._ended.drop(name)
        self._names.pop(uid, None)
        self.own_acts.forget_plan(name)
        self.set_waiting(name, None)

    @property
    def uids(self) -> Mapping[str, ObjectName]:
        """The names of the known plans by UID. The view changes with the store."""
        return self._names

    def owners_of(self, job: JobView) -> list[ObjectName]:
        """The known plans that own a Job."""
        names = [self._names[uid] for uid in sorted(job.owners) if uid in self._names]
        return [name for name in names if name.namespace == job.namespace]

    # Jobs

    def put_job(self, body: dict[str, Any]) -> JobView:
        """Take in a Job object; returns the newest known state."""
        metadata = body["metadata"]
        old = self._jobs[metadata["namespace"]].get(metadata["name"])
        if old and old.resource_version >= int(metadata["resourceVersion"]):
            return old
        job = job_view(body)
        if altered := self.own_acts.altered.get(job.uid):
            job = replace(job, altered=altered)
        if self.deletions.cover(job.uid, job.namespace):
            return old or job
        if old and old.uid != job.uid:
            self.doubt(job.namespace, job.name)
        self._unlink(old)
        self._jobs[job.namespace][job.name] = job
        if job.managed:
            for uid in job.owners:
                self._owned[job.namespace, uid].add(job.name)
            if job.holds_slot:
                self._active[job.namespace].add(job.name)
        return job

    def set_altered(self, job: JobView, paths: tuple[str, ...]) -> None:
        """Admission changed these fields of a Job, or of what its pods need."""
        altered = self.own_acts.altered[job.uid] = (*self.own_acts.altered.get(job.uid, ()), *paths)
        known = self._jobs[job.namespace].get(job.name)
        if known and known.uid == job.uid:
            self._jobs[job.namespace][job.name] = replace(known, altered=altered)

    def drop_job(self, namespace: str, name: str, uid: str) -> JobView | None:
        """Forget a deleted Job; a newer one of the same name stays. Returns what was known of it."""
        self.deletions.add(uid, namespace)
        self.doubt(namespace, jobs.task_of(name))  # a collector's pods are of the same task
        job = self._jobs[namespace].get(name)
        if job is None or job.uid != uid:
            return None
        self._unlink(job)
        self.own_acts.forget_job(uid)
        del self._jobs[namespace][name]
        return job

    def jobs(self, namespace: str) -> Mapping[str, JobView]:
        """The known Jobs of a namespace by name. The view changes with the store: don't keep it."""
        return self._jobs[namespace]

    def merges(self, namespace: str, job_name: str) -> bool:
        """Whether a collector of the Job's task is at work, or is being made right now."""
        collector = jobs.collector_name(job_name)
        known = self._jobs[namespace].get(collector)
        return collector in self.own_acts.starting[namespace] or (known is not None and not known.finished)

    def all_jobs(self, namespace: str | None) -> list[JobView]:
        """The known Jobs of a namespace, or (None) of all."""
        found = self._jobs.values() if namespace is None else [self._jobs[namespace]]
        return [job for jobs in found for job in jobs.values()]

    def owned(self, plan: Plan) -> tuple[JobView, ...]:
        """The known Jobs that a plan owns, by name."""
        jobs = self._jobs[plan.namespace]
        return tuple(jobs[name] for name in sorted(self._owned.get((plan.namespace, plan.uid), ())))

    # doubts

    def doubt(self, namespace: str, job_name: str) -> None:
        """A Job of this name has gone, or may have been there: pods of it may live, its plan's result may be unknown here."""
        if not self.scope.stores(namespace):
            return
        self._doubts += 1
        self._doubted[namespace][job_name] = self._doubts

    def doubted(self, namespace: str) -> Container[str]:
        """Names of Jobs that can't be made without a look at what there is. The view changes with the store."""
        return self._doubted[namespace]

    @property
    def doubts(self) -> int:
        """The number of the newest doubt."""
        return self._doubts

    def settle_doubts(self, namespace: str | None, until: int, living: Container[tuple[str, str]]) -> None:
        """Clear the doubts that are older than a complete list of Jobs, plans and, after these, pods.

        Args:
            namespace: that was listed; None: all were.
            until: `doubts` before the lists were asked for.
            living: namespace and name of the tasks that have pods alive; these stay doubted.
        """
        for of in list(self._doubted) if namespace is None else [namespace]:
            left = {name: doubt for name, doubt in self._doubted[of].items() if doubt > until or (of, name) in living}
            self._doubted[of] = left

    def _unlink(self, job: JobView | None) -> None:
        if job is None:
            return
        self._active[job.namespace].discard(job.name)
        for owner in ((job.namespace, uid) for uid in job.owners):
            if owner in self._owned:
                self._owned[owner].discard(job.name)
                if not self._owned[owner]:
                    del self._owned[owner]

    # slots

    def set_starting(self, namespace: str, job_name: str, by: ObjectName | None) -> None:
        """A Job is being created or resumed for a plan: it holds a slot already, though nobody has seen it at work.

        None: no longer.
        """
        if by:
            self.own_acts.starting[namespace][job_name] = by
        else:
            self.own_acts.starting[namespace].pop(job_name, None)

    def starter(self, namespace: str, job_name: str) -> ObjectName | None:
        """The plan that a Job is being created or resumed for."""
        return self.own_acts.starting[namespace].get(job_name)

    def set_waiting(self, name: ObjectName, waiting: Waiting | None) -> bool:
        """A plan waits for a slot, or no longer does; returns whether it has given up a place that it had."""
        queue = self._waiting[name.namespace]
        old = self._waiting_of.pop(name, None)
        if old is not None:
            del queue[bisect.bisect_left(queue, old)]
        if waiting is not None:
            bisect.insort(queue, waiting)
            self._waiting_of[name] = waiting
        return old is not None and old != waiting

    def free_slots(self, plan: Plan, limit: int) -> int:
        """Free slots of the plan's namespace, less the waiting plans that go first."""
        queue = self._waiting[plan.namespace]
        ahead = bisect.bisect_left(queue, waiting_entry(plan)) if queue else 0
        return self._free(plan.namespace, limit) - ahead

    def next_waiting(self, namespace: str, limit: int) -> list[ObjectName]:
        """The waiting plans that may start now."""
        count = max(0, self._free(namespace, limit))
        return [ObjectName(namespace, entry.name) for entry in self._waiting[namespace][:count]]

    def _free(self, namespace: str, limit: int) -> int:
        active, starting = self._active[namespace], self.own_acts.starting[namespace]
        return limit - len(active) - sum(name not in active for name in starting)  # few start at once, many are active


def waiting_entry(plan: Plan) -> Waiting:
    """A plan's place in the order of admission: priority, then age, then name."""
    return Waiting(-plan.spec.priority, plan.created.astimezone(UTC), plan.name)
