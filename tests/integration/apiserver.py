"""The API server as the tests look at it: plain objects over one kept connection, quick enough to poll.

What a user would do goes through kubectl; this is for looking on, and for what no user does (a kubelet's writes, for one).
"""

from __future__ import annotations

import functools
import json
from typing import Any
from urllib.parse import urlencode

import msgspec
import urllib3

from tests.cluster import LocalCluster

Object = dict[str, Any]

CONFIG_MAPS = "/api/v1/namespaces/{}/configmaps"
JOBS = "/apis/batch/v1/namespaces/{}/jobs"
PLANS = "/apis/scanplan.dev/v1alpha1/namespaces/{}/scanplans"
PODS = "/api/v1/namespaces/{}/pods"


class Refused(Exception):
    """The API server said no; `status` is the HTTP code, the message is its own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


_REPEATABLE = {"GET", "DELETE"}
"""Asked once more where a kept connection was closed at that moment: the API server closes them after some time."""


class ApiServer:
    """A cluster's API server, as its administrator."""

    def __init__(self, cluster: LocalCluster) -> None:
        pki = cluster.folder / "pki"
        self._server = f"https://{cluster.node.address}:6443"
        self._http = urllib3.PoolManager(
            ca_certs=str(pki / "ca.crt"),
            cert_file=str(pki / "admin.crt"),
            key_file=str(pki / "admin.key"),
            timeout=120,
            retries=False,
            maxsize=32,  # as many threads as use it: a connection more would be closed after its request
        )

    def get(self, path: str) -> Object | None:
        """The object at a path; None where there is none."""
        try:
            return self._call("GET", path)
        except Refused as error:
            if error.status == 404:
                return None
            raise

    def list(self, path: str, **query: str) -> list[Object]:
        """The objects of a collection; `labelSelector` and others as query parameters."""
        items: list[Object] = self._call("GET", f"{path}?{urlencode(query)}")["items"]
        return items

    def create(self, path: str, body: Object) -> Object:
        return self._call("POST", path, body)

    def patch(self, path: str, body: Object, kind: str = "merge") -> Object:
        """`kind` is merge or strategic-merge."""
        return self._call("PATCH", path, body, f"application/{kind}-patch+json")

    def delete(self, path: str, **options: Any) -> None:
        """Delete with DeleteOptions (propagationPolicy, gracePeriodSeconds, …); fine if it is gone already.

        A collection may be chosen from by a query.
        """
        try:
            self._call("DELETE", path, {"apiVersion": "v1", "kind": "DeleteOptions", **options})
        except Refused as error:
            if error.status != 404:
                raise

    def _call(self, verb: str, path: str, body: Object | None = None, kind: str = "application/json") -> Object:
        content = None if body is None else json.dumps(body).encode()
        request = functools.partial(
            self._http.request,
            verb,
            self._server + path,
            body=content,
            headers={"Content-Type": kind, "User-Agent": "integration-tests"},
        )
        try:
            response = request()
        except urllib3.exceptions.ProtocolError:
            if verb not in _REPEATABLE:
                raise
            response = request()
        answer: Object = msgspec.json.decode(response.data)
        if response.status >= 400:
            raise Refused(response.status, answer.get("message", ""))
        return answer
