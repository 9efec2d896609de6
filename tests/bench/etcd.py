"""Clones of an object, written into etcd past the API server: a hundred thousand in a minute, where POST and PATCH take twenty.

The API server hears of them as of any write. A clone is the stored object with another namespace, name, UID and day.
https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/
"""

from __future__ import annotations

import base64
import dataclasses
import json
import uuid
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import urllib3

from tests.bench.stage import Stage
from tests.cluster.local import components

PORT = 2379
QUOTA_BYTES = 8 << 30
"""Of etcd's file. Its default, 2 GiB, would be near what a hundred thousand plans and their cluster take."""
BATCH = 100
"""Objects of a transaction; etcd takes 128 operations."""
KEY = "/registry/scanplan.dev/scanplans/{}/{}"


class Etcd:
    """The cluster's etcd, also on the node's address, with room for many objects."""

    def __init__(self, stage: Stage) -> None:
        """Starts etcd anew. The API server goes on by itself."""
        self._server = f"http://{stage.cluster.node.address}:{PORT}"
        etcd = components.etcd()
        urls = f"--listen-client-urls=http://127.0.0.1:{PORT},{self._server}"
        more = (urls, f"--quota-backend-bytes={QUOTA_BYTES}")
        stage.cluster.run(dataclasses.replace(etcd, argv=(*etcd.argv, *more)))
        self._http = urllib3.PoolManager(timeout=60, maxsize=8)

    def plan(self, namespace: str, name: str) -> dict[str, Any]:
        """A ScanPlan as it is stored."""
        found = self._call("range", {"key": _text(KEY.format(namespace, name))})
        stored: dict[str, Any] = json.loads(base64.b64decode(found["kvs"][0]["value"]))
        return stored

    def clone(self, original: dict[str, Any], names: Iterable[tuple[str, str]], days: int) -> None:
        """Write clones of a plan, of these namespaces and names and so many days older, in one transaction."""
        puts = [
            {"requestPut": {"key": _text(KEY.format(*name)), "value": _text(_clone(original, *name, days))}}
            for name in names
        ]
        self._call("txn", {"success": puts})

    def _call(self, what: str, body: dict[str, Any]) -> Any:
        answer = self._http.request("POST", f"{self._server}/v3/kv/{what}", body=json.dumps(body).encode())
        if answer.status != 200:
            raise RuntimeError(f"etcd answered {answer.status}: {answer.data[:500]!r}")
        return json.loads(answer.data)


def _clone(original: dict[str, Any], namespace: str, name: str, days: int) -> str:
    metadata = {**original["metadata"], "namespace": namespace, "name": name, "uid": str(uuid.uuid4())}
    day = metadata["creationTimestamp"][:10]
    earlier = date.fromisoformat(day) - timedelta(days=days)
    return json.dumps({**original, "metadata": metadata}).replace(f"{day}T", f"{earlier}T")


def _text(value: str) -> str:
    return base64.b64encode(value.encode()).decode()
