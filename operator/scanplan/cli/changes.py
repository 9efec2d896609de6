"""Lists and watches plans in a thread, for commands that follow them.

After any failure (a watch that ended, a broken connection) it lists again, so what it holds is correct soon after. A refusal by the
API server is an error for the caller, since another try would not help.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterable
from typing import Any

from scanplan.cli.output.failure import Failure, Forbidden, NotFound
from scanplan.client.cluster.cluster import Cluster
from scanplan.kube.objects import Object
from scanplan.kube.resources import PLANS

PAUSE_SECONDS = 1.0


class Changes:
    """The plans of a namespace, or those of some names, kept current in the background."""

    def __init__(self, cluster: Cluster, names: Iterable[str] | None = None) -> None:
        self._cluster = cluster
        self._names = set(names or ())
        self._news: queue.Queue[Object | Exception] = queue.Queue()
        self._plans: dict[str, Object] = {}
        threading.Thread(target=self._follow, daemon=True).start()

    def next(self, timeout: float) -> list[Object]:
        """Wait up to `timeout` seconds for changed plans. A deleted plan has a deletionTimestamp.

        Raises:
            Failure: the API server refuses.
        """
        changed = []
        try:
            news = self._news.get(timeout=timeout)
            while True:
                if isinstance(news, Exception):
                    raise news
                changed.append(news)
                news = self._news.get_nowait()
        except queue.Empty:
            return changed

    def _follow(self) -> None:
        pause = threading.Event()
        while True:
            try:
                self._watch(self._list())
            except (Forbidden, NotFound) as failure:
                self._news.put(failure)
                return
            except (Failure, json.JSONDecodeError):  # the connection broke off, perhaps within a line
                pass
            except Exception as error:  # without it, whoever waits for changes would wait for ever
                self._news.put(error)
                return
            pause.wait(PAUSE_SECONDS)

    def _list(self) -> str:
        page = self._cluster.get(self._path())
        found = {plan["metadata"]["name"]: plan for plan in page["items"]}
        for name, plan in found.items():
            self._tell(name, plan)
        for name in set(self._plans) - set(found):
            self._gone(name)
        return str(page["metadata"]["resourceVersion"])

    def _watch(self, version: str) -> None:
        for line in self._cluster.stream(self._path(), {"watch": "true", "resourceVersion": version}):
            change: dict[str, Any] = json.loads(line)
            if change["type"] == "ERROR":
                return
            name = change["object"]["metadata"]["name"]
            if change["type"] == "DELETED":
                self._gone(name)
            else:
                self._tell(name, change["object"])

    def _path(self) -> str:
        return self._cluster.path(PLANS, namespace=self._cluster.namespace)

    def _tell(self, name: str, plan: Object) -> None:
        if self._names and name not in self._names:
            return
        before = self._plans.get(name)
        self._plans[name] = plan
        if before is None or before["metadata"]["resourceVersion"] != plan["metadata"]["resourceVersion"]:
            self._news.put(plan)

    def _gone(self, name: str) -> None:
        plan = self._plans.pop(name, None)
        if plan:
            self._news.put({**plan, "metadata": {**plan["metadata"], "deletionTimestamp": "now"}})
