"""The indexes of the projects that somebody looks at, bounded in bytes: the one not asked for the longest goes first."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from scanplan.findings.history import Entry
from scanplan.web.findings.index import Index

ALL_BYTES = 512 << 20
"""Disk space of all indexes together."""
ONE_BYTES = 256 << 20
"""Of one: about 250,000 findings."""
MOST_INDEXES = 16
"""Each holds a few MiB of memory (`index.CACHE_BYTES`)."""


class Key(NamedTuple):
    """What an index is made of. Published files never change, so an index with the same digests is still right."""

    namespace: str
    project: str
    digests: tuple[str, ...]
    """SHA-256 of each history, in the order of its runs."""


class Indexes:
    """Safe to use from several threads."""

    def __init__(self, all_bytes: int = ALL_BYTES, one_bytes: int = ONE_BYTES) -> None:
        self._all_bytes = all_bytes
        self._one_bytes = one_bytes
        self._kept: OrderedDict[Key, Index] = OrderedDict()
        """The one asked for last is last."""
        self._changing = threading.Lock()
        self._busy: weakref.WeakValueDictionary[Key, threading.Lock] = weakref.WeakValueDictionary()

    def get(self, key: Key) -> Index | None:
        """The index; None where it has to be built."""
        with self._changing:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def built(self, key: Key, findings: Callable[[], Iterable[tuple[Entry, int]]]) -> Index:
        """The index, which is built where it is not there. Callers with the same key build it once.

        Raises:
            TooLarge: the findings are too many.
        """
        with self._changing:
            busy = self._busy.setdefault(key, threading.Lock())
        with busy:
            if (known := self.get(key)) is not None:
                return known
            index = Index(findings(), self._one_bytes)
            with self._changing:
                self._keep(key, index)
            return index

    def _keep(self, key: Key, index: Index) -> None:
        for older in [each for each in self._kept if each[:2] == key[:2]]:
            del self._kept[older]
        self._kept[key] = index
        while len(self._kept) > 1 and (
            len(self._kept) > MOST_INDEXES or sum(each.bytes for each in self._kept.values()) > self._all_bytes
        ):
            self._kept.popitem(last=False)
