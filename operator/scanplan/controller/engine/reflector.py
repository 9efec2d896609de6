"""Lists and watches the objects of one kind, with one watch for each namespace or one for the whole cluster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import aclosing, contextmanager

from scanplan.controller.engine.parts import until_one_ends
from scanplan.controller.engine.scope import Scope
from scanplan.kube.failures import is_forbidden, reason_of
from scanplan.kube.objects import Object
from scanplan.kube.watching import Changed, Failed, Listed, Resumed, Watch

log = logging.getLogger("scanplan.watches")


@contextmanager
def guarded(plural: str, body: Object) -> Iterator[None]:
    """Log an error instead of raising it: a bug that one object triggers must not keep the others from being processed."""
    try:
        yield
    except Exception:
        metadata = body.get("metadata", {})
        log.exception("%s could not be processed: %s/%s", plural, metadata.get("namespace"), metadata.get("name"))


class Reflector:
    """Passes every object of one kind, and each change of an object, to a function, like the Reflector of client-go."""

    def __init__(
        self,
        plural: str,
        watch: Callable[[str | None], Watch],
        on_event: Callable[[str | None, Object], object],
        scope: Scope,
    ) -> None:
        """Opens no watch before `run`.

        Args:
            plural: the kind as the log names it, such as "Jobs".
            watch: makes a watch. Its argument is a namespace, or None for the whole cluster.
            on_event: called with the type of an event (ADDED, MODIFIED, DELETED, or None if a list had the object), and the object.
            scope: the watched namespaces.
        """
        self.relisted = asyncio.Event()
        """Set when a watch had to list again: changes in between may have been missed. The reader clears it."""
        self._plural = plural
        self._watch = watch
        self._on_event = on_event
        self._watches = {namespace: watch(namespace) for namespace in scope.watched}
        self._listed = {namespace: asyncio.Event() for namespace in self._watches}
        self._tried = {namespace: asyncio.Event() for namespace in self._watches}
        self._forbidden: set[str | None] = set()
        """Namespaces whose list is refused now."""
        self._news = asyncio.Event()
        """Wakes those who wait, each time a list has worked or failed. It is cleared at once, so it never stays set."""
        self._failing: set[str | None] = set()
        """Namespaces whose watch, or list, fails now. One line in the log stands for all of them."""

    async def run(self) -> None:
        """Watch until cancelled."""
        await until_one_ends(*map(self._watch_namespace, self._watches))

    async def listed(self) -> Collection[str | None]:
        """Wait until each namespace is listed or its list refused, and at least one is listed; returns those that refuse."""
        while True:
            missing = {namespace for namespace, event in self._listed.items() if not event.is_set()}
            if missing <= self._forbidden and len(missing) < len(self._listed):
                return missing
            await self._news.wait()

    async def tried(self) -> None:
        """Wait until each namespace is listed or its list has failed. For kinds that the controller does not need at its start."""
        for event in self._tried.values():
            await event.wait()

    async def join(self, namespace: str) -> None:
        """List a namespace that comes into the scope, and pass on its objects, which its watch has skipped."""
        lasting = self._lasting(namespace)
        async with aclosing(self._watch(namespace).events()) as events:
            async for event in events:
                match event:
                    case Changed(None, body):
                        lasting.know(body)  # so that it reports the object's deletion
                        self._pass_on(None, body)
                    case Failed(error, _):
                        self._fail(namespace, error)
                    case Listed():
                        self._failing.discard(namespace)
                        return

    def leave(self, namespace: str) -> None:
        """Report every object of a namespace that has left the scope as deleted."""
        self._failing.discard(namespace)
        for body in self._lasting(namespace).forget(namespace):
            self._pass_on("DELETED", body)

    def _lasting(self, namespace: str) -> Watch:
        """The watch that reports a namespace's changes: its own, or that of the whole cluster."""
        return self._watches[namespace if namespace in self._watches else None]

    async def _watch_namespace(self, namespace: str | None) -> None:
        async for event in self._watches[namespace].events():
            match event:
                case Changed(event_type, body):
                    self._pass_on(event_type, body)
                case Listed(first):
                    (self._listed[namespace] if first else self.relisted).set()
                    self._tried[namespace].set()
                    self._failing.discard(namespace)
                    self._tell()
                case Failed(error, _):
                    self._fail(namespace, error)
                    self._tried[namespace].set()
                    (self._forbidden.add if is_forbidden(error) else self._forbidden.discard)(namespace)
                    self._tell()
                case Resumed():
                    self._failing.discard(namespace)

    def _fail(self, namespace: str | None, error: Exception) -> None:
        if not self._failing:
            log.warning("%s can't be watched, trying again: %s", self._plural, reason_of(error))
        self._failing.add(namespace)

    def _tell(self) -> None:
        self._news.set()
        self._news.clear()

    def _pass_on(self, event_type: str | None, body: Object) -> None:
        with guarded(self._plural, body):
            self._on_event(event_type, body)
