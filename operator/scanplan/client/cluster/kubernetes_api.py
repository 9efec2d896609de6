"""The few API calls of the `kubernetes` queue, on plain dicts, over the `kubernetes` package's blocking client."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import config
from kubernetes.client import ApiClient, ApiException, Configuration

from scanplan.client.errors import ClientError, InvalidPayload, QueueUnavailable
from scanplan.kube.resources import CONFIG_MAPS, PLANS, InvalidName, Resource, WrongObject

Object = dict[str, Any]

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_TIMEOUT_SECONDS = (5.0, 30.0)
"""To connect, and to answer."""
_PAGE = 500


class NotFound(ClientError):
    """There is no such object."""


class Conflict(ClientError):
    """The name is taken, or the object has changed since it was read."""


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
        """Raises Conflict where the name is taken, InvalidPayload where the API server refuses the plan."""
        return self._call("POST", PLANS.path(self.namespace), manifest)

    def get_plan(self, name: str) -> Object:
        """Raises NotFound."""
        return self._plan("GET", name)

    def patch_plan(self, name: str, patch: Object) -> Object:
        """A merge patch. Raises NotFound, and Conflict where the patch names another resource version."""
        return self._plan("PATCH", name, patch)

    def list_plans(self, selector: str) -> list[Object]:
        """All plans of the namespace that carry the labels."""
        items: list[Object] = []
        token = ""
        while True:
            query = [("limit", str(_PAGE)), ("labelSelector", selector), ("continue", token)]
            page = self._call(
                "GET", PLANS.path(self.namespace), query=[(name, value) for name, value in query if value]
            )
            items += page["items"]
            token = page["metadata"].get("continue", "")
            if not token:
                return items

    def check_plans(self) -> None:
        """Return where plans can be listed; asks for one at most."""
        self._call("GET", PLANS.path(self.namespace), query=[("limit", "1")])

    def ensure_config_map(self, manifest: Object) -> None:
        """Create it, unless it is there: it is immutable, and its name says what is in it."""
        try:
            self._call("POST", CONFIG_MAPS.path(self.namespace), manifest)
        except Conflict:
            return

    def review(self, resource: Resource, manifest: Object) -> Object:
        """Ask Kubernetes for a decision, which comes with the creation of the object that asks."""
        return self._call("POST", resource.path(), manifest)

    @property
    def namespace(self) -> str:
        """Where the plans are."""
        self._connected()
        return self._namespace

    def close(self) -> None:
        """Give the connections back."""
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

    def _call(
        self, method: str, path: str, body: Object | None = None, query: list[tuple[str, str]] | None = None
    ) -> Object:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Accept": "application/json", "Content-Type": kind}
        client = self._connected()
        try:
            method, url, headers, _, _ = client.param_serialize(
                method, path, query_params=query or [], header_params=headers, auth_settings=["BearerToken"]
            )
            response = client.call_api(method, url, headers, body, _request_timeout=_TIMEOUT_SECONDS)
            content: bytes = response.read()
        except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise QueueUnavailable(f"the API server can't be reached: {error}") from error
        if not 200 <= response.status < 300:
            raise _translated(response.status, content)
        result: Object = json.loads(content)
        return result

    def _connected(self) -> ApiClient:
        """By the usual rules: the pod's service account where there is one, else the kubeconfig."""
        with self._connecting:
            if self._client is None:
                configuration = Configuration()
                try:
                    config.load_incluster_config(client_configuration=configuration)
                    own = _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else ""
                except config.ConfigException:
                    own = self._from_kubeconfig(configuration)
                configuration.retries = False
                self._namespace = self._given or own or "default"
                self._client = ApiClient(configuration)
            return self._client

    @staticmethod
    def _from_kubeconfig(configuration: Configuration) -> str:
        try:
            path = os.environ.get("KUBECONFIG")  # the package reads it once, when it is imported
            config.load_kube_config(path, client_configuration=configuration)
            _, active = config.list_kube_config_contexts(path)
        except config.ConfigException as error:
            raise QueueUnavailable(
                f"there is no cluster to talk to, neither in-cluster nor by kubeconfig: {error}"
            ) from error
        return str(active["context"].get("namespace", ""))


def _translated(code: int, content: bytes) -> ClientError:
    """The library's error for the API server's."""
    try:
        status = json.loads(content)
        message, details = str(status["message"]), status.get("details") or {}
    except (ValueError, KeyError, TypeError):  # a proxy in between
        message, details = f"HTTP {code}", {}
    if code == 404:
        if details.get("name"):
            return NotFound(message)
        return QueueUnavailable("the cluster knows no ScanPlans: install the CRD, or check SCANPLAN_NAMESPACE")
    if code == 409:
        return Conflict(message)
    if code in {400, 422}:
        return InvalidPayload(f"Kubernetes refuses the plan: {message}")
    return QueueUnavailable(f"the API server refuses: {message}")
