"""Takes in plans and Jobs as watches and answers report them.

It keeps them in the store, queues the plans that a change concerns, and tells the observers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.controller.cache.store import Store, waiting_entry
from scanplan.controller.engine.workqueue import ObjectName, WorkQueue
from scanplan.controller.observer import Observer
from scanplan.core.observed.jobs import JobView


class Intake:
    """Takes in plans and Jobs as the API server returns them."""

    def __init__(
        self, store: Store, queue: WorkQueue, slots: int, now: Callable[[], datetime], observers: Sequence[Observer]
    ) -> None:
        """
        Args:
            slots: Jobs that may be active in one namespace.
            now: the present time.
            observers: are told of each change of a plan, in this order; the owner of the list may add to it.
        """
        self._store = store
        self._queue = queue
        self._slots = slots
        self._now = now
        self._observers = observers

    def know_plan(self, body: dict[str, Any]) -> None:
        """Take in a plan of a watch's first list, with its place among those that wait; nothing is done about it yet."""
        plan = self._store.put_plan(body)
        if plan and plan.status.phase is Phase.QUEUED and not plan.spec.queue_name:
            self._store.set_waiting(ObjectName(plan.namespace, plan.name), waiting_entry(plan))

    def plan_event(self, kind: str | None, body: dict[str, Any]) -> None:
        """A plan was listed (None), added, modified or deleted; what a watch tells of this process's own writes is no news."""
        name = ObjectName(body["metadata"]["namespace"], body["metadata"]["name"])
        if kind == "DELETED":
            self.drop_plan(name, body["metadata"]["uid"])
            self.wake_waiting(name.namespace)
        elif self.put_plan(body) or kind is None:
            self._queue.add(name)

    def put_plan(self, body: dict[str, Any]) -> bool:
        """Take in a plan, and tell the observers; whether it is news."""
        name = ObjectName(body["metadata"]["namespace"], body["metadata"]["name"])
        if self._store.plans.version(name) == (body["metadata"]["uid"], body["metadata"]["resourceVersion"]):
            return False
        before = self._store.plans.get(name)
        after = self._store.put_plan(body)
        if after:
            for observer in self._observers:
                observer.plan_changed(before, after, self._now())
        return after is not None

    def drop_plan(self, name: ObjectName, uid: str) -> None:
        """Forget a deleted plan, and tell the observers."""
        before = self._store.plans.get(name)
        self._store.drop_plan(name, uid)
        if before and before.uid == uid:
            for observer in self._observers:
                observer.plan_changed(before, None, self._now())

    def job_event(self, kind: str | None, body: dict[str, Any], by: ObjectName | None = None) -> JobView | None:
        """A Job with our label was listed, added, modified or deleted; returns what is known of it now.

        Args:
            by: the plan whose own request has shown it, and which need not be told. All others must be, since the watch brings
                nothing new when it brings the same.
        """
        metadata = body["metadata"]
        # A watch may be faster than the answer to a request, after which the plan is decided upon again anyhow.
        by = by or self._store.starter(metadata["namespace"], metadata["name"])
        before = self._store.jobs(metadata["namespace"]).get(metadata["name"])
        if kind == "DELETED":
            self._store.drop_job(metadata["namespace"], metadata["name"], metadata["uid"])
            after = None
        else:
            after = self._store.put_job(body)
        if after is not None and after == before:
            return after  # nothing that a decision looks at: the Job controller's own notes, or what is known already
        for job in (before, after):
            for name in self._store.owners_of(job) if job else ():
                if name != by:
                    self._queue.add(name)
        self.wake_waiting(metadata["namespace"])
        return after

    def wake_waiting(self, namespace: str) -> None:
        for name in self._store.next_waiting(namespace, self._slots):
            self._queue.add(name)
