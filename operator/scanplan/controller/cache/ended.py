"""The scans that have ended lately, by namespace, kept for notifiers. Older ones are dropped: nobody is told of them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from scanplan.controller.engine.workqueue import ObjectName
from scanplan.core.notify.backoff import KEPT
from scanplan.core.notify.scans import Ended, ended
from scanplan.kube import clock

REMEMBERED = 2 * KEPT
"""By this machine's clock, which may differ from the API server's: the decision about a notifier is stricter."""


class EndedScans:
    """To be changed by `put` and `drop` alone."""

    def __init__(self) -> None:
        self._ended: defaultdict[str, dict[str, Ended]] = defaultdict(dict)

    def put(self, body: dict[str, Any]) -> None:
        """Take in a ScanPlan object as the API returns it, in place of the one that had its name."""
        metadata = body["metadata"]
        found = ended(body)
        if found and found.time > clock.local() - REMEMBERED:
            self._ended[metadata["namespace"]][metadata["name"]] = found
        else:
            self.drop(ObjectName(metadata["namespace"], metadata["name"]))

    def drop(self, name: ObjectName) -> None:
        """Forget a plan."""
        known = self._ended.get(name.namespace)
        if known and known.pop(name.name, None) and not known:
            del self._ended[name.namespace]

    def of(self, namespace: str) -> list[Ended]:
        """The scans of a namespace that have ended lately."""
        since = clock.local() - REMEMBERED
        known = self._ended.get(namespace, {})
        for name in [name for name, each in known.items() if each.time <= since]:
            self.drop(ObjectName(namespace, name))
        return list(known.values())
