"""Plans as the API server tells of them: a list, then its watch, which goes on where the last one has ended.

A watch is asked to end after a minute, so a connection that has died without a word hides changes for no longer than that.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from kubernetes.aio.client import ApiClient
from kubernetes.aio.client.rest import RESTResponse

from scanplan.kube import api as apis
from scanplan.kube.resources import PLANS

Object = dict[str, Any]

WATCH_SECONDS = 60


class PlanWatch:
    """The plans of a namespace, or of all. Errors are `ApiException` (with its `status`) and aiohttp's."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        """`namespace` empty: of all."""
        self._client = client
        self._path = PLANS.path(namespace or None)
        self._version = ""

    async def listed(self) -> AsyncIterator[Object]:
        """All plans; what changes from then on is in `changes`."""
        token = ""
        while True:
            response = await self._get(
                apis.REQUEST_SECONDS, limit=str(apis.PAGE), **({"continue": token} if token else {})
            )
            page = json.loads(await response.read())
            for plan in page["items"]:
                yield plan
            token = page["metadata"].get("continue", "")
            if not token:
                self._version = page["metadata"]["resourceVersion"]
                return

    async def changes(self) -> AsyncIterator[tuple[str, Object]]:
        """ADDED, MODIFIED or DELETED, and the plan; ends where the server can't go on and must be asked for a list again."""
        while True:
            response = await self._get(
                WATCH_SECONDS + apis.REQUEST_SECONDS,
                watch="true",
                allowWatchBookmarks="true",
                resourceVersion=self._version,
                timeoutSeconds=str(WATCH_SECONDS),
            )
            try:
                while line := await response.response.content.readline():
                    change = json.loads(line)
                    if change["type"] == "ERROR":
                        return
                    self._version = change["object"]["metadata"]["resourceVersion"]
                    if change["type"] != "BOOKMARK":
                        yield change["type"], change["object"]
            finally:
                # Not closed: the farewell of TLS waits for the server, for longer than the loop may live.
                if (connection := response.response.connection) and connection.transport:
                    connection.transport.abort()
                response.response.close()

    async def _get(self, seconds: float, **query: str) -> RESTResponse:
        response = await apis.send(self._client, "GET", self._path, query=list(query.items()), seconds=seconds)
        await apis.check(response)
        return response
