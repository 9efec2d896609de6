"""Around the operator, in its process: measuring, the API, and Redis for those who look there; each where it is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from kubernetes.aio.client import ApiClient

from scanplan.client.settings import ClientSettings, QueueType
from scanplan.controller.cache.store import Store
from scanplan.controller.extension import Extension
from scanplan.controller.scanplan import Controller
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.task import Plan
from scanplan.kube.api import Api
from scanplan.metrics.operator import MeasuredApi, MeasuredController, OperatorMetrics
from scanplan.web import server
from scanplan.web.settings import ApiSettings

if TYPE_CHECKING:
    from scanplan.client.redis.publication import Publication
    from scanplan.client.redis.sharing import SharedTasks


class Surroundings(Extension):
    """The operator measured, with the API beside it and its statuses published."""

    def __init__(
        self,
        served: tuple[ClientSettings, ApiSettings] | None = None,
        publication: Publication | None = None,
        shared: SharedTasks | None = None,
    ) -> None:
        """`served`: settings of the API, whose queue is Kubernetes, whatever they say; None: there is no API."""
        self._served = served
        self._publication = publication
        self._shared = shared
        self._metrics = OperatorMetrics(publication)

    def api(self, client: ApiClient) -> Api:
        return MeasuredApi(client, self._metrics)

    def controller(self, api: Api, policy: Policy) -> Controller:
        return MeasuredController(api, policy, self._metrics, self._status_written, self._shared)

    def beside(self, controller: Controller) -> AbstractAsyncContextManager[None]:
        return self._running(controller.store)

    @asynccontextmanager
    async def _running(self, store: Store) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if self._shared:
                await stack.enter_async_context(self._shared.kept(lambda: store.all_jobs(None)))
            if self._publication:
                await stack.enter_async_context(self._publication.publishing())
            if self._served:
                settings, api_settings = self._served
                of_plans = {"task_queue_type": QueueType.KUBERNETES, "enable_async_tasks": True}
                settings = settings.model_copy(update=of_plans)
                await stack.enter_async_context(server.running(settings, api_settings, [self._metrics]))
            yield

    def _status_written(self, plan: Plan, status: dict[str, Any]) -> None:
        if self._publication:
            self._publication.offer(plan, status)
