"""Lets namespaces join the operator's scope, and leave it: as their label selector finds them, or as a list of them is allowed.

When a namespace gets the label, it joins. Its Jobs, then its plans, then its pods are listed (`Watches.join`). Only then does work
on it begin. When it loses the label, all that is known of it is forgotten. Another operator may work on it then, so nothing is
written there.

A namespace of a fixed list that refused to be listed at the start joins in the same way, when it may be listed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

from scanplan.controller.engine.reflector import Reflector
from scanplan.controller.engine.scope import Scope
from scanplan.controller.exceptions import ExceptionController
from scanplan.controller.scanplan import Controller
from scanplan.controller.watches import Watches
from scanplan.kube.resources import NAMESPACES

log = logging.getLogger("scanplan.namespaces")

EXCEPTIONS_SECONDS = 10.0
"""Plans of a joining namespace wait at most this long for the list of its ScanExceptions, and start without it then."""
AT_ONCE = 8
"""How many joining namespaces are listed at the same time."""


@dataclass(frozen=True)
class Kinds:
    """What lists and watches the objects of a namespace, by kind."""

    plans: Watches
    """The plans, and their Jobs and pods."""
    exceptions: ExceptionController
    others: Sequence[Reflector]
    """Kinds that act on what is known of plans. They are listed after the plans."""


class NamespaceSelector:
    """Keeps the scope equal to what the label selector finds: `run` watches, `follow` applies."""

    def __init__(self, controller: Controller) -> None:
        """Does nothing until `run`, and watches nothing where the scope has no selector."""
        self._controller = controller
        self._scope = controller.scope
        self._found: set[str] = set()
        self._changed = asyncio.Event()
        self._joining: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._reflector = Reflector(
            "Namespaces",
            partial(controller.api.watch, NAMESPACES, selector=self._scope.selector),
            self._namespace_event,
            Scope(),  # of all namespaces: they are objects of the cluster
        )

    async def run(self) -> None:
        """Watch namespaces until cancelled."""
        if self._scope.selector:
            await self._reflector.run()
        else:
            await asyncio.Event().wait()

    async def listed(self) -> None:
        """Wait for the first list. Its namespaces need not join: the lists at the start include them."""
        if self._scope.selector:
            await self._reflector.listed()
            for namespace in sorted(self._found):
                self._scope.add(namespace, ready=True)

    async def follow(self, kinds: Kinds) -> None:
        """Let namespaces join and leave until cancelled. Begin it when everything is listed, but those that were left out."""
        async with asyncio.TaskGroup() as joins:
            for namespace in self._scope.waiting:
                # Not in turn: it may be refused for ever, and would hold up the others.
                join = self._join(namespace, kinds, contextlib.nullcontext())
                self._joining[namespace] = joins.create_task(join)
            while True:
                await self._changed.wait()
                self._changed.clear()
                for namespace in sorted(self._scope.selected - self._found):
                    self._leave(namespace, kinds)
                for namespace in sorted(self._found - self._scope.selected):
                    self._scope.add(namespace, ready=False)
                    self._joining[namespace] = joins.create_task(self._join(namespace, kinds, self._turns))

    def _namespace_event(self, kind: str | None, body: dict[str, Any]) -> None:
        name = body["metadata"]["name"]
        if kind == "DELETED":  # or its labels no longer match
            self._found.discard(name)
        else:
            self._found.add(name)
        self._changed.set()

    async def _join(self, namespace: str, kinds: Kinds, turn: AbstractAsyncContextManager[None]) -> None:
        log.info("namespace %s joins when it is listed", namespace)
        async with asyncio.TaskGroup() as lists:
            exceptions = lists.create_task(kinds.exceptions.reflector.join(namespace))
            async with turn:
                await kinds.plans.join(namespace)
            await asyncio.wait([exceptions], timeout=EXCEPTIONS_SECONDS)
            self._scope.add(namespace, ready=True)
            self._controller.begin(namespace)
            kinds.exceptions.begin(namespace)
            for each in kinds.others:
                lists.create_task(each.join(namespace))
            log.info("namespace %s has joined", namespace)
        del self._joining[namespace]

    def _leave(self, namespace: str, kinds: Kinds) -> None:
        log.info("namespace %s has left", namespace)
        if join := self._joining.pop(namespace, None):
            join.cancel()
        self._scope.remove(namespace)
        # Other kinds first. Otherwise each plan that is forgotten would queue its schedule.
        for reflector in (kinds.exceptions.reflector, *kinds.others):
            reflector.leave(namespace)
        kinds.plans.leave(namespace)
