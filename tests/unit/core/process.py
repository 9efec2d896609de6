"""An operator process of the model: the real controller, store and reconcile, driven request by request."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
from kubernetes.aio.client import ApiException

from scanplan.controller import resync
from scanplan.controller.cache.store import Store
from scanplan.controller.engine.workqueue import ObjectName, WorkQueue
from scanplan.controller.scanplan import Controller
from scanplan.core.planning.policy import Policy
from tests.unit.core import model

POLICY = Policy(scanner_image="scanner:1", worker_concurrency=1)
"""One slot, so that plans have to wait for each other."""


class ModelQueue(WorkQueue):
    """The work queue, with its delays on the model's clock."""

    def __init__(self, cluster: model.Cluster) -> None:
        super().__init__()
        self.cluster = cluster
        self.due: dict[ObjectName, Any] = {}

    def add_after(self, name: ObjectName, seconds: float) -> None:
        assert seconds >= 0
        when = self.cluster.now.timestamp() + seconds
        self.due[name] = min(when, self.due.get(name, when))

    def add(self, name: ObjectName) -> None:
        self.due.pop(name, None)
        super().add(name)

    def ring(self) -> None:
        """Have everything that is due by now worked on."""
        for name in [name for name, when in self.due.items() if when <= self.cluster.now.timestamp()]:
            self.add(name)

    def take(self) -> ObjectName | None:
        """The next name, without waiting."""
        if not len(self):
            return None
        with pytest.raises(StopIteration) as taken:
            self.get().send(None)
        name: ObjectName = taken.value.value
        return name


class Operator:
    """One process: it dies without a word, and knows nothing when it comes back."""

    def __init__(self, cluster: model.Cluster, alone: bool = False) -> None:
        """`alone`: it has the lease."""
        self.cluster = cluster
        self.alone = alone
        self.events: list[tuple[str, str, model.Object]] = []
        cluster.watches.append(self.events)
        self.start()

    def start(self) -> None:
        self.api = model.ModelApi(self.cluster, self.alone)
        self.queue = ModelQueue(self.cluster)
        self.controller = Controller(self.api, Store(), self.queue, POLICY, now=lambda: self.cluster.now)
        if self.alone:
            self.controller.actions.alone = lambda: True
        self.work: list[tuple[ObjectName | None, Coroutine[Any, Any, None]]] = []
        self.events.clear()
        for job in self.cluster.list_jobs():
            self.controller.intake.job_event(None, job)
        for plan in self.cluster.list_plans():
            self.controller.intake.plan_event(None, plan)
        self.api.finish(resync.look_for_leftovers(self.controller, None, self.controller.store.doubts))

    def crash(self) -> None:
        for _, coroutine in self.work:
            coroutine.close()
        self.start()

    def deliver(self, position: int, again: bool = False) -> None:
        kind, change, body = self.events[position]
        if not again:
            del self.events[position]
        if kind == "plan":
            self.controller.intake.plan_event(change, body)
        else:
            self.controller.intake.job_event(change, body)

    def begin(self) -> bool:
        """Start to work on the next plan."""
        name = self.queue.take()
        if name:
            self.work.append((name, self.controller.reconcile(name)))
        return name is not None

    def compare(self) -> None:
        """Start to compare with full lists."""
        self.work.append((None, resync.compare(self.controller, None)))

    def step(self, position: int, fault: Exception | None = None) -> None:
        """Let one request go on to its effect or to its answer, or fail there."""
        name, coroutine = self.work[position]
        self.api.work = coroutine
        try:
            if fault and coroutine.cr_frame and coroutine.cr_frame.f_lasti >= 0 and coroutine.cr_await:  # type: ignore[attr-defined]
                coroutine.throw(fault)
            else:
                coroutine.send(None)
            return
        except StopIteration:
            if name:
                self.queue.forget(name)
        except (ApiException, TimeoutError):
            if name:
                self.queue.add_failed(name)
        del self.work[position]
        if name:
            self.queue.done(name)

    def settle(self) -> None:
        """Hear of everything, and do all that is to be done now."""
        while self.events or self.work or self.begin():
            while self.events:
                self.deliver(0)
            if self.work:
                self.step(0)
