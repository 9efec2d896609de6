"""A cache of the objects of one kind by name, as compressed JSON.

Most objects are read rarely, and a tenant may create many. So `get` parses an object each time. Only what metrics need of it is
kept parsed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, Protocol, TypeVar

import msgspec

from scanplan.controller.cache.bodies import warn_of_unreadable
from scanplan.controller.cache.deletions import Deletions
from scanplan.controller.engine.workqueue import ObjectName
from scanplan.core.observed import folding
from scanplan.kube.objects import Object

_METADATA = ("namespace", "name", "uid", "generation", "creationTimestamp", "resourceVersion", "deletionTimestamp")


class _Readable(Protocol):
    @property
    def unreadable(self) -> str: ...


T = TypeVar("T", bound=_Readable)
FactsT = TypeVar("FactsT")


class _Folded(NamedTuple, Generic[FactsT]):
    uid: str
    resource_version: str
    facts: FactsT
    content: bytes


class Known(Generic[T, FactsT]):
    """The objects of one kind. Only `put` and `drop` change it."""

    def __init__(
        self, kind: str, read: Callable[[Object], T], facts: Callable[[T], FactsT], deletions: Deletions | None = None
    ) -> None:
        """Knows nothing yet.

        Args:
            kind: as manifests name it.
            read: parses an object into the core's model.
            facts: returns what metrics need of the model.
            deletions: the deleted objects of all kinds; None: of this kind alone.
        """
        self._kind = kind
        self._read = read
        self._facts = facts
        self._folded: dict[ObjectName, _Folded[FactsT]] = {}
        self._deleted = deletions or Deletions()

    def __iter__(self) -> Iterator[ObjectName]:
        return iter(tuple(self._folded))

    def of(self, namespace: str) -> list[ObjectName]:
        """The names in a namespace."""
        return [name for name in self._folded if name.namespace == namespace]

    def get(self, name: ObjectName) -> T | None:
        """An object as it is known now."""
        known = self._folded.get(name)
        return self._read(folding.unfolded(known.content)) if known else None

    def facts(self) -> Iterator[tuple[ObjectName, FactsT]]:
        """What metrics need, of all objects."""
        return ((name, known.facts) for name, known in self._folded.items())

    def put(self, body: Object) -> bool:
        """Store an object as the API returns it; False where it is deleted, or this or a newer version is known."""
        metadata = body["metadata"]
        name, uid, version = (
            ObjectName(metadata["namespace"], metadata["name"]),
            metadata["uid"],
            metadata["resourceVersion"],
        )
        known = self._folded.get(name)
        if self._deleted.cover(uid, name.namespace) or (known and int(known.resource_version) >= int(version)):
            return False
        kept = {
            "metadata": {key: metadata[key] for key in _METADATA if key in metadata},
            "spec": body.get("spec") or {},
            "status": body.get("status") or {},
        }
        content = folding.folded(msgspec.json.encode(kept))
        found = self._read(kept)
        if found.unreadable:
            warn_of_unreadable(self._kind, *name, found.unreadable)
        self._folded[name] = _Folded(uid, version, self._facts(found), content)
        return True

    def drop(self, name: ObjectName, uid: str) -> None:
        """Forget a deleted object; a newer one of the same name stays."""
        self._deleted.add(uid, name.namespace)
        known = self._folded.get(name)
        if known and known.uid == uid:
            del self._folded[name]
