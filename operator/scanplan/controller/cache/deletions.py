"""Objects that were deleted lately: an answer that comes after the deletion must not bring its object back."""

from __future__ import annotations

from scanplan.controller.engine.scope import Scope

MOST = 10_000
"""Far more than objects can be deleted while one request is under way."""


class Deletions:
    """The UIDs of the last `MOST` deleted objects. Outside the operator's scope, all objects count as deleted."""

    def __init__(self, scope: Scope | None = None) -> None:
        """`scope`: None: all namespaces."""
        self._scope = scope or Scope()
        self._uids: dict[str, None] = {}

    def cover(self, uid: str, namespace: str) -> bool:
        """Whether an object counts as deleted."""
        return uid in self._uids or not self._scope.stores(namespace)

    def add(self, uid: str, namespace: str) -> None:
        """An object was deleted. If its namespace has left the scope it was only forgotten, and may come back."""
        if not self._scope.stores(namespace):
            return
        self._uids[uid] = None
        if len(self._uids) > MOST:
            del self._uids[next(iter(self._uids))]
