"""What may be laid around the operator's parts without their knowing: measuring them, and serving beside them.

The operator itself knows no metrics and no HTTP API; who wants them hands `operator.run` an extension of his own.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext

from kubernetes.aio.client import ApiClient

from scanplan.core.policy import Policy
from scanplan.shell.api import Api
from scanplan.shell.controller import Controller
from scanplan.shell.store import Store
from scanplan.shell.workqueue import WorkQueue


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
