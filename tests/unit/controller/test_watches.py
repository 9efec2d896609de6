"""The lists at the operator's start: of all namespaces that it may list, and of the others when it may."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from kubernetes.aio.client import ApiException

from scanplan.api.times import format_time
from scanplan.controller import watches
from scanplan.controller.cache.store import Store
from scanplan.controller.engine.reflector import Reflector
from scanplan.controller.engine.scope import Scope
from scanplan.controller.engine.workqueue import WorkQueue
from scanplan.controller.exceptions import ExceptionController
from scanplan.controller.namespaces import Kinds, NamespaceSelector
from scanplan.controller.scanplan import Controller
from scanplan.controller.watches import Watches
from scanplan.kube.api import Api
from scanplan.kube.resources import EXCEPTIONS, JOBS
from scanplan.kube.watching import Event, Failed, Listed
from tests.kubectl import eventually
from tests.unit.core.objects import NOW, POLICY

KINDS = ("jobs", "plans", "pods")


class Cluster:
    """Namespaces with one plan each, some of which refuse lists of some kinds."""

    def __init__(self) -> None:
        self.refused: dict[tuple[str, str], int] = {}
        """HTTP statuses by kind and namespace."""
        self.clock = SimpleNamespace(now=lambda: NOW)

    def watch(self, kind: Any, namespace: str, **_: Any) -> Any:
        return _Watch(self, "jobs" if kind is JOBS else "exceptions", namespace)

    def plans(self, namespace: str) -> Any:
        return _Plans(self, namespace)

    async def each_living_pod(self, namespace: str) -> AsyncIterator[Any]:
        self.ask("pods", namespace)
        return
        yield

    def ask(self, kind: str, namespace: str) -> None:
        if status := self.refused.get((kind, namespace)):
            raise ApiException(status=status, reason="refused")


class _Plans:
    largest = 7

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace

    async def objects(self) -> AsyncIterator[Any]:
        self._cluster.ask("plans", self._namespace)
        metadata = {
            "namespace": self._namespace,
            "name": "nightly",
            "uid": self._namespace,
            "resourceVersion": "1",
            "generation": 1,
            "creationTimestamp": format_time(NOW),
        }
        yield {"metadata": metadata, "spec": {"endpoints": ["a.example"], "templates": ["t"]}}


class _Watch:
    def __init__(self, cluster: Cluster, kind: str, namespace: str) -> None:
        self._cluster, self._kind, self._namespace = cluster, kind, namespace

    async def events(self) -> AsyncGenerator[Event]:
        while True:
            try:
                self._cluster.ask(self._kind, self._namespace)
            except ApiException as error:
                yield Failed(error, 0.0)
                await asyncio.sleep(0.005)
            else:
                yield Listed(first=True)
                await asyncio.Event().wait()


class Exceptions:
    """A namespace's exceptions, which nobody has."""

    def __init__(self, cluster: Cluster, scope: Scope) -> None:
        self.reflector = Reflector("ScanExceptions", lambda each: cluster.watch(EXCEPTIONS, each or ""), print, scope)

    def begin(self, namespace: str) -> None:
        pass


class Operator:
    """An operator that lists its namespaces, and then says which plans it would work on."""

    def __init__(self, cluster: Cluster) -> None:
        self.scope = Scope(("red", "blue"))
        self.queue = WorkQueue()
        self.controller = Controller(cast("Api", cluster), Store(scope=self.scope), self.queue, POLICY)
        self.watches = Watches(self.controller)
        self.kinds = Kinds(self.watches, cast("ExceptionController", Exceptions(cluster, self.scope)), [])

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.watches.jobs.run())
            await self.watches.everything_listed()
            self.controller.begin()
            group.create_task(NamespaceSelector(self.controller).follow(self.kinds))

    async def works_on(self, *expected: str) -> set[str]:
        """The namespaces of plans that are queued and ready, once those that are expected are among them."""
        names: set[str] = set()
        async with asyncio.timeout(60):  # for as long as a busy machine may need
            while True:
                await asyncio.sleep(0.1)
                while len(self.queue):
                    name = await self.queue.get()
                    self.queue.done(name)
                    names.add(name.namespace)
                ready = set(filter(self.scope.is_ready, names))
                if ready >= set(expected):
                    return ready


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr(watches, "PAUSE_SECONDS", 0.005)
    return Cluster()


@contextlib.asynccontextmanager
async def started(cluster: Cluster) -> AsyncIterator[Operator]:
    operator = Operator(cluster)
    task = asyncio.create_task(operator.run())
    yield operator
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("kind", KINDS)
async def test_a_namespace_that_refuses_holds_up_no_other_and_joins_later(
    cluster: Cluster, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Lost otherwise: the scans of all teams after a restart, where one team's namespace or Role is gone."""
    cluster.refused[kind, "blue"] = 403
    async with started(cluster) as operator:
        assert await operator.works_on("red") == {"red"}
        assert set(operator.scope.to_list) == {"red"}, "later comparisons leave it out, too"
        assert caplog.text.count("namespace blue is left out") == 1
        del cluster.refused[kind, "blue"]
        assert await operator.works_on("blue") == {"blue"}
        assert set(operator.scope.to_list) == {"red", "blue"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("red", "blue"), [(403, 403), (404, 404), (0, 500), (403, 500)], ids=["no right", "no kind", "outage", "both"]
)
async def test_what_concerns_the_cluster_is_waited_for(
    cluster: Cluster, kind: str, red: int, blue: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Lost otherwise: an operator that looks ready, and does nothing."""
    cluster.refused = {(kind, "red"): red, (kind, "blue"): blue}
    async with started(cluster) as operator:
        await asyncio.to_thread(eventually, lambda: "trying again" in caplog.text)
        assert await operator.works_on() == set()
        assert caplog.text.count("trying again") == 1
        assert "left out" not in caplog.text
        cluster.refused.clear()
        assert await operator.works_on("red", "blue") == {"red", "blue"}
