"""Everything that happens to plans, Jobs and pods, written down as it happens by watches of the test's own.

The oracle asks what was so at any time, the stand-in node what is so now; neither costs the API server a request. Resource versions
are comparable across kinds (one etcd), so the three watches make one history.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import urllib3

from tests.cluster import LocalCluster

Object = dict[str, Any]
T = TypeVar("T")

_PATHS = {
    "plan": "/apis/scanplan.dev/v1alpha1/scanplans",
    "job": "/apis/batch/v1/jobs",
    "pod": "/api/v1/pods",
}


@dataclass(frozen=True)
class Event:
    """What one object became, or that it is gone."""

    version: int
    kind: str
    gone: bool
    object: Object


class History:
    """The history of a cluster, from `start` on."""

    def __init__(self, cluster: LocalCluster) -> None:
        pki = cluster.folder / "pki"
        self._server = f"https://{cluster.node.address}:6443"
        self._http = urllib3.PoolManager(
            ca_certs=str(pki / "ca.crt"),
            cert_file=str(pki / "admin.crt"),
            key_file=str(pki / "admin.key"),
            retries=False,
            maxsize=3,
        )
        self._events: defaultdict[str, list[Event]] = defaultdict(list)
        self._now: defaultdict[tuple[str, str], dict[str, Object]] = defaultdict(dict)
        self._lock = threading.RLock()
        self._changes: defaultdict[str, threading.Condition] = defaultdict(lambda: threading.Condition(self._lock))
        self._stopped = threading.Event()

    def start(self) -> History:
        for kind in _PATHS:
            threading.Thread(target=self._follow, args=(kind,), daemon=True, name=f"history of {kind}s").start()
        return self

    def stop(self) -> None:
        self._stopped.set()

    def now(self, kind: str, namespace: str) -> dict[str, Object]:
        """The objects of a kind in a namespace, by name."""
        with self._lock:
            return dict(self._now[kind, namespace])

    def events(self, namespace: str) -> list[Event]:
        """All that has happened in a namespace, in order."""
        with self._lock:
            return sorted(self._events[namespace], key=lambda event: event.version)

    def count(self, namespace: str) -> int:
        """How much has happened in a namespace so far."""
        with self._lock:
            return len(self._events[namespace])

    def changed(self, namespace: str, count: int, within: float) -> None:
        """Return when more has happened than `count`, or time is up."""
        with self._lock:
            self._changes[namespace].wait_for(lambda: len(self._events[namespace]) > count, within)

    def wait(self, namespace: str, look: Callable[[], T], within: float) -> T:
        """The first truthy answer of `look`, asked whenever something has happened in a namespace; the last one when time is up."""
        end = time.monotonic() + within
        while True:
            seen = self.count(namespace)
            answer = look()
            left = end - time.monotonic()
            if answer or left <= 0:
                return answer
            self.changed(namespace, seen, min(left, 0.25))

    def _follow(self, kind: str) -> None:
        version = ""
        while not self._stopped.is_set():
            try:
                version = version or self._list(kind)
                version = self._watch(kind, version)
            except (urllib3.exceptions.HTTPError, OSError, KeyError, ValueError):
                time.sleep(0.2)  # the API server is down, as some rows want it

    def _list(self, kind: str) -> str:
        """Start over: what is no longer there has gone unseen."""
        answer = msgspec.json.decode(self._http.request("GET", self._server + _PATHS[kind], timeout=60).data)
        version: str = answer["metadata"]["resourceVersion"]
        present = {item["metadata"]["uid"] for item in answer["items"]}
        with self._lock:
            known = [each for (of, _), objects in self._now.items() if of == kind for each in objects.values()]
        for item in known:
            if item["metadata"]["uid"] not in present:
                self._take(Event(int(version), kind, True, item))
        for item in answer["items"]:
            self._take(Event(int(item["metadata"]["resourceVersion"]), kind, False, item))
        return version

    def _watch(self, kind: str, version: str) -> str:
        query = f"?watch=true&allowWatchBookmarks=true&timeoutSeconds=300&resourceVersion={version}"
        timeout = urllib3.Timeout(connect=5, read=90)
        response = self._http.request(
            "GET", self._server + _PATHS[kind] + query, preload_content=False, timeout=timeout
        )
        buffer = b""
        try:
            for part in response.stream(1 << 16):
                *lines, buffer = (buffer + part).split(b"\n")
                for line in lines:
                    entry = msgspec.json.decode(line)
                    if entry["type"] == "ERROR":
                        return ""
                    version = entry["object"]["metadata"]["resourceVersion"]
                    if entry["type"] != "BOOKMARK":
                        self._take(Event(int(version), kind, entry["type"] == "DELETED", entry["object"]))
        except (urllib3.exceptions.HTTPError, OSError):
            return version
        finally:
            response.close()
        return version

    def _take(self, event: Event) -> None:
        metadata = event.object["metadata"]
        with self._lock:
            objects = self._now[event.kind, metadata["namespace"]]
            if event.gone:
                objects.pop(metadata["name"], None)
            else:
                objects[metadata["name"]] = event.object
            self._events[metadata["namespace"]].append(event)
            self._changes[metadata["namespace"]].notify_all()
