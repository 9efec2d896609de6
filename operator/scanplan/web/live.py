"""Plans of a namespace as they change: one look every two seconds for all who watch it, and none where nobody does.

Who watches gets all plans first and changes from then on. Each has a short queue; one that doesn't keep up is cut, connects
again, and begins with all plans.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from scanplan.client.errors import ClientError
from scanplan.client.kubernetes_api import KubernetesApi, Object
from scanplan.web.blocking import Calls

log = logging.getLogger("scanplan.api")

LOOK_SECONDS = 2.0
MAX_VIEWERS = 256
_WAITING = 32
"""Events that one viewer may be behind."""
_MESSAGE = 512


class Viewer:
    """One who watches: events in the stream's own form; None ends it."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING)

    def offer(self, event: bytes | None) -> None:
        if self.events.full():
            while not self.events.empty():
                self.events.get_nowait()
            event = None
        self.events.put_nowait(event)


class Feeds:
    """The feeds of all namespaces that are watched; for one event loop."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._feeds: dict[str, _Feed] = {}
        self._closed = False

    @contextlib.contextmanager
    def watched(self, namespace: str) -> Iterator[Viewer | None]:
        """Watch a namespace; None where too many watch already, or the server ends."""
        if self._closed or sum(len(feed.viewers) for feed in self._feeds.values()) >= MAX_VIEWERS:
            yield None
            return
        feed = self._feeds.get(namespace)
        if feed is None:
            feed = self._feeds[namespace] = _Feed(namespace, self._calls)
        viewer = feed.join()
        try:
            yield viewer
        finally:
            feed.viewers.discard(viewer)
            if not feed.viewers and self._feeds.get(namespace) is feed:
                del self._feeds[namespace]
                feed.stop()

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        for feed in self._feeds.values():
            for viewer in feed.viewers:
                viewer.offer(None)


class _Feed:
    def __init__(self, namespace: str, calls: Calls) -> None:
        self.viewers: set[Viewer] = set()
        self._api = KubernetesApi(namespace)
        self._calls = calls
        self._rows: dict[str, Object] | None = None
        self._task = asyncio.get_running_loop().create_task(self._look(), name=f"feed of {namespace}")

    def join(self) -> Viewer:
        viewer = Viewer()
        if self._rows is not None:
            viewer.offer(_snapshot(self._rows))
        self.viewers.add(viewer)
        return viewer

    def stop(self) -> None:
        self._task.cancel()
        self._api.close()

    async def _look(self) -> None:
        while True:
            try:
                plans = await self._calls.run(self._api.list_plans, "")
            except ClientError as error:
                log.warning("plans can't be listed: %s", error)
                self._tell(event("trouble", {"detail": "the plans can't be read at the moment"}))
            else:
                self._take({plan["metadata"]["name"]: row(plan) for plan in plans})
            await asyncio.sleep(LOOK_SECONDS)

    def _take(self, rows: dict[str, Object]) -> None:
        known, self._rows = self._rows, rows
        if known is None:
            self._tell(_snapshot(rows))
            return
        changed = [each for name, each in rows.items() if known.get(name) != each]
        gone = sorted(known.keys() - rows.keys())
        if changed or gone:
            self._tell(event("change", {"plans": changed, "gone": gone}))

    def _tell(self, what: bytes) -> None:
        for viewer in self.viewers:
            viewer.offer(what)


def event(kind: str, content: object) -> bytes:
    """One event of a stream (https://html.spec.whatwg.org/multipage/server-sent-events.html); JSON has no line ends in it."""
    return f"event: {kind}\ndata: {json.dumps(content, separators=(',', ':'))}\n\n".encode()


def row(plan: Mapping[str, Any]) -> Object:
    """What the page shows of a plan; nothing of its targets."""
    metadata, status = plan["metadata"], plan.get("status", {})
    artifacts = status.get("artifacts", {})
    return {
        "name": metadata["name"],
        "uid": metadata["uid"],
        "created": metadata["creationTimestamp"],
        "project": plan.get("spec", {}).get("projectId", ""),
        "phase": status.get("phase", "Pending"),
        "shards": {name: status.get("shards", {}).get(name, 0) for name in ("total", "succeeded", "failed")},
        "findings": status.get("findings", {}),
        "started": status.get("startTime"),
        "completed": status.get("completionTime"),
        "attempts": status.get("attempts", 0),
        "files": [file["name"] for file in artifacts.get("files", ())],
        "cluster": artifacts.get("cluster"),
        "conditions": [
            {name: str(each.get(name, ""))[:_MESSAGE] for name in ("type", "status", "reason", "message")}
            for each in status.get("conditions", ())
        ],
    }


def _snapshot(rows: Mapping[str, Object]) -> bytes:
    return event("snapshot", {"plans": list(rows.values())})
