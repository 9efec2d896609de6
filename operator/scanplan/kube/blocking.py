"""Requests over the `kubernetes` package's blocking client: what the commands' cluster and the library's queue share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import urllib3
import yaml
from kubernetes import config
from kubernetes.client import ApiClient, ApiException, Configuration
from kubernetes.config import kube_config

import scanplan
from scanplan.kube import refusal
from scanplan.kube.objects import Object
from scanplan.kube.refusal import Refusal

Query = Iterable[tuple[str, str]]

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
TIMEOUT_SECONDS = (5.0, 30.0)
"""To connect, and to answer."""
NO_ANSWER = (ApiException, urllib3.exceptions.HTTPError, OSError)
"""The client's errors where no answer came, or not all of it."""
_PAGE = 500
"""Objects in a page of a list."""


class Refused(Exception):
    """The API server refused a request."""

    def __init__(self, why: Refusal) -> None:
        super().__init__(why.message)
        self.why = why


def client(configuration: Configuration, agent: str) -> ApiClient:
    """A client that tries each request once; `agent` stands in audit logs."""
    configuration.retries = False
    made = ApiClient(configuration)
    made.user_agent = f"{agent}/{scanplan.__version__}"
    return made


def load_kubeconfig(configuration: Configuration, path: str | None, context: str | None = None) -> str:
    """Take the cluster and the user from a kubeconfig.

    Args:
        path: the file; None: where kubectl looks.
        context: None: the current one.

    Returns:
        The namespace of the context; empty where it has none.

    Raises:
        ConfigException: there is no kubeconfig, or it can't be used; says why.
    """
    try:
        config.load_kube_config(path, context=context, client_configuration=configuration)
        files = kube_config.KubeConfigMerger(path or config.KUBE_CONFIG_DEFAULT_LOCATION)
        chosen = kube_config.KubeConfigLoader(files.config, active_context=context).current_context
        return str(chosen["context"].get("namespace") or "")
    except (OSError, yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError) as error:
        why = " ".join(str(error).split())
        raise config.ConfigException(f"{path or 'the kubeconfig'} can't be read: {why}") from error


def send(
    client: ApiClient,
    method: str,
    path: str,
    body: Object | None = None,
    query: Query = (),
    content_type: str = JSON,
    timeout: tuple[float, float] = TIMEOUT_SECONDS,
) -> Any:
    """The answer to a request, whose content has not been read yet.

    Raises:
        Refused: the status is not 2xx.
        NO_ANSWER: the server can't be reached.
    """
    headers = {"Accept": "application/json, */*", "Content-Type": content_type}
    method, url, headers, _, _ = client.param_serialize(
        method, path, query_params=list(query), header_params=headers, auth_settings=["BearerToken"]
    )
    response = client.call_api(method, url, headers, body, _request_timeout=timeout)
    if not 200 <= response.status < 300:
        raise Refused(refusal.read(response.status, response.read()))
    return response


def decode(response: Any) -> Object:
    """The object of an answer. Raises ValueError where it is none, NO_ANSWER where it breaks off."""
    content = response.read()
    try:
        result: Any = json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(result, dict):
        raise ValueError("it is no object")
    return result


def each(get: Callable[[Sequence[tuple[str, str]]], Object], query: Query = ()) -> Iterator[Object]:
    """All objects of a list, page by page; `get` requests a page by its query."""
    token = ""
    while True:
        page = get([*query, ("limit", str(_PAGE)), *([("continue", token)] if token else [])])
        yield from page["items"]
        token = page["metadata"].get("continue", "")
        if not token:
            return
