"""What may be laid around the operator's parts without their knowing: measuring them, and serving beside them.

The operator itself knows no metrics and no HTTP API; who wants them hands `operator.run` an extension of his own.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext

from kubernetes.aio.client import ApiClient

from scanplan.controller.cache.store import Store
from scanplan.controller.engine.workqueue import WorkQueue
from scanplan.controller.scanplan import Controller
from scanplan.core.planning.policy import Policy
from scanplan.kube.api import Api


class Extension:
    """The plain operator: nothing around it."""

    def api(self, client: ApiClient) -> Api:
        """The API server as the operator uses it."""
        return Api(client)

    def controller(self, api: Api, policy: Policy) -> Controller:
        """The controller that reconciles."""
        return Controller(api, Store(), WorkQueue(), policy)

    def beside(self, controller: Controller) -> AbstractAsyncContextManager[None]:  # noqa: ARG002 - for those that look at it
        """What runs in the same process, as long as the operator does, whether it leads or stands by."""
        return nullcontext()
