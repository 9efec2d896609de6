"""The loop around the decision about notifiers: observe one, decide, send or write.

Each notifier has a task of its own for the message under way. So a receiver that hangs holds up neither scans nor other receivers.
What has come of it is kept until it is on the status, so a write that fails sends nothing twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from kubernetes.aio.client import ApiException

from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scannotifier import Outgoing, ScanNotifierStatus
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.controller.cache.ended import EndedScans
from scanplan.controller.cache.notifiers import Notifiers
from scanplan.controller.engine import worker
from scanplan.controller.engine.reflector import Reflector
from scanplan.controller.engine.workqueue import ObjectName, WorkQueue
from scanplan.controller.failing import NoFixedPoint
from scanplan.controller.observer import Observer
from scanplan.controller.reads.inputs import InputReader
from scanplan.controller.scanplan import MAX_STEPS, Controller
from scanplan.controller.writes.writing import Changed, Gone, Written, write_status
from scanplan.core.egress.policy import ReceiverPolicy
from scanplan.core.notify.decision import (
    Check,
    Checked,
    Notifier,
    NotSent,
    Observed,
    Outcome,
    Send,
    Sent,
    Trouble,
    Wait,
    Write,
)
from scanplan.core.notify.receivers import NoReceiver, Receiver, receiver_of, references
from scanplan.core.notify.reconcile import reconcile
from scanplan.core.planning.task import Plan
from scanplan.kube.failures import FAILURES, UNREACHABLE
from scanplan.kube.resources import NOTIFIERS
from scanplan.senders.sending import Sender

log = logging.getLogger("scanplan.notifiers")

WORKERS = 4
"""Notifiers that are decided about at the same time. Sending does not count: it waits for others."""
SENDING = 100
"""Messages that are under way at the same time."""
SOON_SECONDS = 1.0
"""After the end of a scan: scans of many plans end at once."""
LONGEST_SECONDS = 3_600.0
"""Until the next look: clocks are changed, and timers run on."""


class NotifierController(Observer):
    """Reconciles notifiers until cancelled."""

    def __init__(
        self,
        plans: Controller,
        ended: EndedScans,
        notifiers: Notifiers,
        hosts: tuple[str, ...],
        page_url: str,
        observers: Sequence[Observer] = (),
    ) -> None:
        """Builds a controller that does nothing until `run`.

        Args:
            plans: of the ScanPlans that are told of.
            ended: the scans that have ended lately.
            notifiers: the known notifiers.
            hosts: globs of hosts that notifiers may name.
            page_url: where the API and its page are served; empty: messages have no links.
            observers: are told of each attempt to send.
        """
        self._plans = plans
        self._api = plans.api
        self._now: Callable[[], datetime] = plans.now
        self._ended = ended
        self._notifiers = notifiers
        self._hosts = hosts
        self._policy = ReceiverPolicy(hosts, plans.policy.guard)
        self._page_url = page_url
        self._observers = observers
        self._inputs = InputReader(plans.api)
        self._queue = WorkQueue()
        self._sender = Sender()
        self._room = asyncio.Semaphore(SENDING)
        self._outcomes: dict[ObjectName, tuple[str, list[Outcome]]] = {}
        """By name: the notifier's UID, and what is not yet on its status."""
        self._sending: dict[ObjectName, asyncio.Task[None]] = {}

        watch = partial(self._api.watch, NOTIFIERS, within=plans.scope.is_ready)
        self.reflector = Reflector("ScanNotifiers", watch, self.notifier_event, plans.scope)

    async def run(self) -> None:
        """Watch and work; ends only when cancelled. Begin it when all plans are listed."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.reflector.run())
            for _ in range(WORKERS):
                group.create_task(worker.run(self._queue, lambda name: self.reconcile(name, group), log))

    @property
    def policy(self) -> ReceiverPolicy:
        """What may be sent to now: the guard learns the API server's addresses after the start, and whenever they change."""
        guard = self._plans.policy.guard
        if self._policy.guard is not guard:
            self._policy = ReceiverPolicy(self._hosts, guard)
        return self._policy

    # what it hears

    def notifier_event(self, kind: str | None, body: dict[str, Any]) -> None:
        """A notifier was listed (None), added, modified or deleted."""
        name = ObjectName(body["metadata"]["namespace"], body["metadata"]["name"])
        if kind == "DELETED":
            self._notifiers.drop(name, body["metadata"]["uid"])
            self._queue.add(name)
        elif self._notifiers.put(body) or kind is None:
            self._queue.add(name)

    def reconcile_all(self) -> None:
        """Queue all notifiers, in case the wall clock was set."""
        for name in self._notifiers:
            self._queue.add(name)

    def plan_changed(self, before: Plan | None, after: Plan | None, now: datetime) -> None:  # noqa: ARG002 - as all observers
        """A scan may have ended."""
        if after:
            self._look(after.namespace, after.status)

    def status_written(self, plan: Plan, status: ScanPlanStatus) -> None:
        """A scan may have ended."""
        self._look(plan.namespace, status)

    def _look(self, namespace: str, status: ScanPlanStatus) -> None:
        if status.phase and status.phase.is_terminal:
            for name in self._notifiers.of(namespace):
                self._queue.add_after(name, SOON_SECONDS)

    # the loop

    async def reconcile(self, name: ObjectName, group: asyncio.TaskGroup) -> None:
        """Bring one notifier to where nothing is to be done now, or a message is under way."""
        for _ in range(MAX_STEPS):
            notifier = self._notifiers.get(name)
            if notifier is None:
                self._outcomes.pop(name, None)
                return
            outcomes = self._unwritten(name, notifier.uid)
            seen = tuple(outcomes)
            observed = Observed(
                notifier=notifier, scans=self._ended.of(name.namespace), outcomes=seen, page_url=self._page_url
            )
            now = self._now()
            match reconcile(observed, now):
                case Write(status):
                    if not await self._write(notifier, status):
                        return
                    del outcomes[: len(seen)]
                case Check():
                    receiver = await self._receiver(notifier)
                    trouble = receiver if isinstance(receiver, Trouble) else None
                    outcomes.append(Checked(notifier.generation, trouble, self._now()))
                case Send(outgoing):
                    if name not in self._sending:
                        self._sending[name] = group.create_task(self._send(notifier, outgoing))
                    return
                case Wait(until):
                    if until:
                        self._queue.add_after(name, min(LONGEST_SECONDS, max(0.0, (until - now).total_seconds())))
                    return
        raise NoFixedPoint(f"no fixed point after {MAX_STEPS} decisions")

    def _unwritten(self, name: ObjectName, uid: str) -> list[Outcome]:
        known, outcomes = self._outcomes.get(name, ("", []))
        if known != uid:
            outcomes = []
            self._outcomes[name] = (uid, outcomes)
        return outcomes

    async def _send(self, notifier: Notifier, outgoing: Outgoing) -> None:
        """One attempt. It ends in an outcome, whatever goes wrong."""
        name = ObjectName(notifier.namespace, notifier.name)
        try:
            async with self._room:
                if not await self._may_send(notifier) or self._notifiers.get(name) is None:
                    return
                trouble = await self._attempt(notifier, outgoing)
            outcome = NotSent(outgoing.id, trouble, self._now()) if trouble else Sent(outgoing.id, self._now())
            self._unwritten(name, notifier.uid).append(outcome)
            result = trouble.reason if trouble else Reason.DELIVERED
            log.info("notifier %s: message %s: %s", name, outgoing.id, result.value)
            for observer in self._observers:
                observer.message_tried(result)
        finally:
            self._sending.pop(name, None)
            self._queue.add(name)

    async def _attempt(self, notifier: Notifier, outgoing: Outgoing) -> Trouble | None:
        try:
            receiver = await self._receiver_or_trouble(notifier)
            if isinstance(receiver, Trouble):
                return receiver
            send = self._sender.send
            return await send(notifier.spec, receiver, outgoing.notice, outgoing.id, notifier.name, self.policy)
        except Exception as error:  # its words may come from a Secret
            kind = type(error).__name__
            log.error("notifier %s/%s: sending failed with %s", notifier.namespace, notifier.name, kind)
            return Trouble(Reason.RECEIVER_UNREACHABLE, f"the operator failed with {kind}: its log says more")

    async def _may_send(self, notifier: Notifier) -> bool:
        """Whether no other operator can have sent it: by the lease or, without one, by a fresh look at the notifier."""
        alone = self._plans.actions.alone
        if alone:
            if not alone():
                await asyncio.sleep(SOON_SECONDS)
            return alone()
        try:
            body = await self._api.get(NOTIFIERS, notifier.namespace, notifier.name)
        except FAILURES as error:
            if getattr(error, "status", None) == 404:
                self._notifiers.drop(ObjectName(notifier.namespace, notifier.name), notifier.uid)
            else:
                await asyncio.sleep(SOON_SECONDS)
            return False
        self._notifiers.put(body)
        return bool(body["metadata"]["resourceVersion"] == notifier.resource_version)

    async def _receiver_or_trouble(self, notifier: Notifier) -> Receiver | Trouble:
        """As `_receiver`; that the API server can't be asked is a trouble of this attempt."""
        try:
            return await self._receiver(notifier)
        except ApiException as error:
            message = f"the API server answered {error.status} to the request for a Secret"
        except UNREACHABLE:
            message = "the API server did not answer the request for a Secret"
        return Trouble(Reason.SECRET_UNAVAILABLE, message)

    async def _receiver(self, notifier: Notifier) -> Receiver | Trouble:
        secrets = await self._inputs.read(notifier.namespace, references(notifier.spec))
        try:
            return receiver_of(notifier.spec, secrets, self.policy)
        except NoReceiver as error:
            return error.trouble

    async def _write(self, notifier: Notifier, status: ScanNotifierStatus) -> bool:
        """Whether it was written."""
        name = ObjectName(notifier.namespace, notifier.name)
        match await write_status(self._api, NOTIFIERS, notifier, status):
            case Gone():
                self._notifiers.drop(name, notifier.uid)
            case Changed(body):
                self._notifiers.put(body)
                self._queue.add(name)
            case Written(body):
                self._notifiers.put(body)
                return True
        return False
