"""Lists of findings over time, as the command line and the API show them: some states, some severities, most severe first."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from enum import StrEnum

from scanplan.api.documents.words import Severity
from scanplan.findings.history import Entry, State

_RANK = {severity: rank for rank, severity in enumerate(Severity)}


class Which(StrEnum):
    """Which findings a list has."""

    OPEN = "open"
    NEW = "new"
    """Those that came back, too."""
    RESOLVED = "resolved"
    ALL = "all"

    def takes(self, entry: Entry) -> bool:
        """Whether a finding is one of these."""
        match self:
            case Which.ALL:
                return True
            case Which.NEW:
                return entry.state in {State.NEW, State.REOPENED}
            case Which.OPEN:
                return entry.state is not State.RESOLVED
            case Which.RESOLVED:
                return entry.state is State.RESOLVED


def listed(
    entries: Iterable[Entry], which: Which, severities: Collection[Severity], most: int
) -> tuple[list[Entry], Counter[Severity]]:
    """The first `most` findings of a list, and how many there are of each severity; only the former are kept in memory.

    Sorted by severity, then by how long they are known.
    """
    counts: Counter[Severity] = Counter()

    def chosen() -> Iterator[Entry]:
        for entry in entries:
            if entry.severity in severities and which.takes(entry):
                counts[entry.severity] += 1
                yield entry

    return heapq.nsmallest(
        most, chosen(), key=lambda entry: (_RANK[entry.severity], entry.first_seen, entry.identity)
    ), counts
