"""Connects to the API server, as the pod's service account or by the kubeconfig."""

from __future__ import annotations

import contextlib
import os
import re
from urllib.parse import urlsplit
from urllib.request import getproxies

from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

import scanplan
from scanplan.api.errors import InvalidEndpoint
from scanplan.core.planning.proxies.no_proxy import NoProxy, readable
from scanplan.core.planning.targets import endpoints


async def connect(agent: str = "scanplan-operator", connections: int = 100) -> ApiClient:
    """Connect with the pod's service account where there is one, else with the kubeconfig.

    Args:
        agent: the name of this program in audit logs and in managed fields.
        connections: limit of connections at the same time; 0 means no limit.
    """
    configuration = Configuration()
    configuration.connection_pool_maxsize = connections
    try:
        config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException:
        path = os.environ.get("KUBECONFIG")  # read now: the package reads it only once, at import
        await config.load_kube_config(path, client_configuration=configuration)
    configuration.retries = None
    configuration.proxy = configuration.proxy or _proxy(configuration.host)
    # Otherwise aiohttp asks for proxies and .netrc at every request, in threads: half of the CPU that a request takes.
    configuration.client_session_kwargs = {"trust_env": False}
    client = ApiClient(configuration)
    client.user_agent = f"{agent}/{scanplan.__version__}"
    return client


def _proxy(host: str) -> str | None:
    """The proxy for a server by the usual variables (HTTPS_PROXY, NO_PROXY).

    Python's own reading of NO_PROXY knows no ranges, and clusters give their pods the range of their Services.
    """
    proxies = getproxies()
    direct = NoProxy(readable(re.split(r"[\s,]+", proxies.get("no", ""))))
    with contextlib.suppress(InvalidEndpoint):
        if direct.covers(endpoints.canonical(host)):
            return None
    return proxies.get(urlsplit(host).scheme)
