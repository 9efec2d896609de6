"""Objects that were deleted lately: an answer that comes after the deletion must not bring its object back.

What has left the operator's scope counts as deleted, until its namespace comes back.
"""

from __future__ import annotations

MOST = 10_000
"""Far more than objects can be deleted while one request is under way."""


class Deletions:
    """The UIDs of the last `MOST` deleted objects."""

    def __init__(self) -> None:
        self._uids: dict[str, str] = {}
        """By UID: the namespace."""

    def __contains__(self, uid: str) -> bool:
        return uid in self._uids

    def add(self, uid: str, namespace: str) -> None:
        """An object was deleted."""
        self._uids[uid] = namespace
        if len(self._uids) > MOST:
            del self._uids[next(iter(self._uids))]

    def forget(self, namespace: str) -> None:
        """What was deleted in a namespace may come back."""
        self._uids = {uid: of for uid, of in self._uids.items() if of != namespace}
