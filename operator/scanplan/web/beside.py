"""The API in the operator's process: one Deployment that scans, tells and is measured."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from kubernetes.aio.client import ApiClient

from scanplan.client.settings import ClientSettings, QueueType
from scanplan.core.policy import Policy
from scanplan.shell.api import Api
from scanplan.shell.controller import Controller
from scanplan.shell.extension import Extension
from scanplan.web import server
from scanplan.web.operator_metrics import MeasuredApi, MeasuredController, OperatorMetrics
from scanplan.web.settings import ApiSettings


class Monitored(Extension):
    """The operator with the API beside it, and its own metrics in the API's."""

    def __init__(self, settings: ClientSettings, api_settings: ApiSettings) -> None:
        """`settings` are the library's; the queue is Kubernetes, whatever they say."""
        self._settings = settings.model_copy(
            update={"task_queue_type": QueueType.KUBERNETES, "enable_async_tasks": True}
        )
        self._api_settings = api_settings
        self._metrics = OperatorMetrics()

    def api(self, client: ApiClient) -> Api:
        return MeasuredApi(client, self._metrics)

    def controller(self, api: Api, policy: Policy) -> Controller:
        return MeasuredController(api, policy, self._metrics)

    def beside(self, controller: Controller) -> AbstractAsyncContextManager[None]:  # noqa: ARG002 - it is measured already
        return self._serving()

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        async with server.running(self._settings, self._api_settings, [self._metrics]):
            yield
