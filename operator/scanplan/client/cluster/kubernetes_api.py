"""The few API calls of the `kubernetes` queue, on plain dicts, over the `kubernetes` package's blocking client."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time

from kubernetes import config
from kubernetes.client import ApiClient, Configuration

from scanplan.client.errors import ClientError, InvalidPayload, QueueUnavailable
from scanplan.kube import blocking
from scanplan.kube.blocking import Query
from scanplan.kube.objects import Object
from scanplan.kube.refusal import Refusal
from scanplan.kube.resources import CONFIG_MAPS, EXCEPTIONS, PLANS, InvalidName, Resource, WrongObject
from scanplan.kube.service_account import own_namespace

FIELD_MANAGER = "scanplan-client"
QUOTA_TRIES = 100
QUOTA_SECONDS = 0.25
"""About how long a request waits that conflicted about a quota."""


class NotFound(ClientError):
    """There is no such object."""


class Conflict(ClientError):
    """The object, or the namespace's quota, has changed since it was read."""


class Taken(Conflict):
    """There is an object of that name already."""


class KubernetesApi:
    """ScanPlans and ConfigMaps of one namespace. Connects on first use; safe to use from several threads.

    All calls raise `QueueUnavailable` where the server can't be reached or does not allow the call.
    """

    def __init__(self, namespace: str | None = None) -> None:
        self._given = namespace
        self._client: ApiClient | None = None
        self._namespace = ""
        self._connecting = threading.Lock()

    def create_plan(self, manifest: Object) -> Object:
        """Create a plan.

        Raises:
            Taken: the name is taken.
            InvalidPayload: the API server refuses the plan.
        """
        return self._create(PLANS.path(self.namespace), manifest)

    def get_plan(self, name: str) -> Object:
        """Raises NotFound."""
        return self._plan("GET", name)

    def patch_plan(self, name: str, patch: Object) -> Object:
        """A merge patch. Raises NotFound, and Conflict where the patch names another resource version."""
        return self._plan("PATCH", name, patch)

    def list_plans(self, selector: str) -> list[Object]:
        """All plans of the namespace that carry the labels."""
        path = PLANS.path(self.namespace)
        selected = [("labelSelector", selector)] if selector else []
        return list(blocking.each(lambda query: self._call("GET", path, query=query), selected))

    def list_exceptions(self) -> list[Object]:
        """All ScanExceptions of the namespace."""
        path = EXCEPTIONS.path(self.namespace)
        return list(blocking.each(lambda query: self._call("GET", path, query=query)))

    def check_plans(self) -> None:
        """Check that plans can be listed. Requests at most one."""
        self._call("GET", PLANS.path(self.namespace), query=[("limit", "1")])

    def ensure_config_map(self, manifest: Object) -> None:
        """Create a ConfigMap unless it exists. It is immutable, and equal names have equal content and the same owner."""
        with contextlib.suppress(Taken):
            self._create(CONFIG_MAPS.path(self.namespace), manifest)

    def review(self, resource: Resource, manifest: Object) -> Object:
        """Create a review object, such as a TokenReview. The API server answers with its decision."""
        return self._call("POST", resource.path(), manifest)

    @property
    def namespace(self) -> str:
        """The namespace of the plans."""
        self._connected()
        return self._namespace

    def close(self) -> None:
        """Close the connections."""
        if self._client:
            self._client.close()

    def _plan(self, method: str, name: str, patch: Object | None = None) -> Object:
        """A request about one plan, and the plan that answers it."""
        try:
            path = PLANS.path(self.namespace, name)
        except InvalidName as error:
            raise NotFound(str(error)) from None
        try:
            return PLANS.checked(self._call(method, path, patch), self.namespace, name)
        except WrongObject as error:
            raise QueueUnavailable(str(error)) from None

    def _create(self, path: str, manifest: Object) -> Object:
        """Create an object. If it conflicts with others that the same quota counts at this moment, it is sent again."""
        tries_left = QUOTA_TRIES
        while True:
            try:
                return self._call("POST", path, manifest)
            except Taken:
                raise
            except Conflict as error:
                tries_left -= 1
                if not tries_left:
                    raise QueueUnavailable(f"the API server refuses: {error}") from error
            time.sleep(QUOTA_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - no secret; several don't meet again

    def _call(self, method: str, path: str, body: Object | None = None, query: Query = ()) -> Object:
        kind = blocking.MERGE_PATCH if method == "PATCH" else blocking.JSON
        client = self._connected()
        try:
            return blocking.decode(blocking.send(client, method, path, body, query, kind))
        except blocking.Refused as error:
            raise _translated(error.why) from None
        except blocking.NO_ANSWER as error:
            raise QueueUnavailable(f"the API server can't be reached: {error}") from error
        except ValueError as error:
            raise QueueUnavailable(f"the API server's answer can't be read: {error}") from error

    def _connected(self) -> ApiClient:
        """By the usual rules: the pod's service account where there is one, else the kubeconfig."""
        with self._connecting:
            if self._client is None:
                configuration = Configuration()
                try:
                    config.load_incluster_config(client_configuration=configuration)
                    own = own_namespace()
                except config.ConfigException:
                    own = self._from_kubeconfig(configuration)
                self._namespace = self._given or own or "default"
                self._client = blocking.client(configuration, FIELD_MANAGER)
            return self._client

    @staticmethod
    def _from_kubeconfig(configuration: Configuration) -> str:
        try:
            path = os.environ.get("KUBECONFIG")  # read now: the package reads it only once, at import
            return blocking.load_kubeconfig(configuration, path)
        except config.ConfigException as error:
            raise QueueUnavailable(
                f"there is no cluster to talk to, neither in-cluster nor by kubeconfig: {error}"
            ) from error


def _translated(why: Refusal) -> ClientError:
    """The library's error for the API server's."""
    match why.code:
        case 404 if why.name:
            return NotFound(why.message)
        case 404:
            return QueueUnavailable("the cluster knows no ScanPlans: install the CRD, or check SCANPLAN_NAMESPACE")
        case 409:
            return (Taken if why.reason == "AlreadyExists" else Conflict)(why.message)
        case 400 | 422:
            return InvalidPayload(f"Kubernetes refuses the plan: {why.message}")
        case _:
            return QueueUnavailable(f"the API server refuses: {why.message}")
