"""Keeps the operator's scope in step with the namespaces that a label selector finds.

A namespace that comes joins: its Jobs, plans and pods are listed, in this order and before anything is done about them, as at a
start. One that leaves is forgotten as if all in it were deleted; another operator may work on it, so nothing is written there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from scanplan.controller.engine.reflector import Reflector
from scanplan.controller.engine.scope import Scope
from scanplan.controller.exceptions import ExceptionController
from scanplan.controller.scanplan import Controller
from scanplan.controller.watches import Watches
from scanplan.kube.resources import NAMESPACES

log = logging.getLogger("scanplan.namespaces")

EXCEPTIONS_SECONDS = 10.0
"""The plans of a namespace that joins wait so long for its exceptions. They don't wait for the right to list them."""


class NamespaceSelector:
    """What the operator's label selector finds, and the way of namespaces into the scope and out of it."""

    def __init__(self, controller: Controller) -> None:
        """Does nothing until `run`, and nothing at all where the scope has no selector."""
        self._controller = controller
        self._scope: Scope = controller.scope
        self._found: set[str] = set()
        self._news = asyncio.Event()
        self._reflector = Reflector(
            "Namespaces",
            lambda _: controller.api.watch(NAMESPACES, None, self._scope.selector),
            self._namespace_event,
            Scope(),
        )
        self._joining: dict[str, list[asyncio.Task[None]]] = {}
        """Lists that are under way for namespaces that have joined."""

    async def run(self) -> None:
        """Watch namespaces until cancelled."""
        if self._scope.selector:
            await self._reflector.run()
        else:
            await asyncio.Event().wait()

    async def listed(self) -> None:
        """Wait for the first list. Its namespaces need not join: what is in them is listed before any work begins."""
        if self._scope.selector:
            await self._reflector.listed()
            for namespace in self._found:
                self._scope.take_in(namespace, joined=True)

    async def follow(self, watches: Watches, exceptions: ExceptionController, others: Sequence[Reflector]) -> None:
        """Let namespaces join and leave, until cancelled; to be begun when everything is listed.

        Args:
            watches: of the plans and their Jobs.
            exceptions: are known before the plans of a namespace are looked at, if that is soon.
            others: of further kinds, whose objects are looked at afterwards.
        """
        while True:
            await self._news.wait()
            self._news.clear()
            for namespace in sorted(set(filter(None, self._scope.listed)) - self._found):
                self._leave(namespace, watches, [exceptions.reflector, *others])
            for namespace in sorted(self._found.difference(filter(None, self._scope.listed))):
                await self._join(namespace, watches, exceptions, others)

    def _namespace_event(self, kind: str | None, body: dict[str, Any]) -> None:
        name = body["metadata"]["name"]
        if kind == "DELETED":  # or its labels no longer match
            self._found.discard(name)
        else:
            self._found.add(name)
        self._news.set()

    async def _join(
        self, namespace: str, watches: Watches, exceptions: ExceptionController, others: Sequence[Reflector]
    ) -> None:
        log.info("namespace %s has joined", namespace)
        self._controller.store.deletions.forget(namespace)
        self._scope.take_in(namespace, joined=False)
        known = asyncio.create_task(exceptions.reflector.join(namespace))
        await watches.join(namespace)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(known), EXCEPTIONS_SECONDS)
        self._scope.take_in(namespace, joined=True)
        self._controller.begin(namespace)
        exceptions.begin(namespace)
        later = (asyncio.create_task(each.join(namespace)) for each in others)
        under_way = {**self._joining, namespace: [known, *later]}
        self._joining = {name: tasks for name, tasks in under_way.items() if not all(task.done() for task in tasks)}

    def _leave(self, namespace: str, watches: Watches, others: Sequence[Reflector]) -> None:
        log.info("namespace %s has left", namespace)
        for task in self._joining.pop(namespace, ()):
            task.cancel()
        # Other kinds first: what is forgotten of plans then makes nobody look at them.
        for reflector in others:
            reflector.leave(namespace)
        watches.leave(namespace)
        self._scope.leave(namespace)
