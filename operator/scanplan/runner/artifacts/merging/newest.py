"""What is told of the new findings of a scan: how many fall under no exception, and the most severe of them by name.

It goes into a pod's termination message, and from there to the plan's status. So its size is bounded, and it has no request, no
response and no query.
"""

from __future__ import annotations

import heapq

import msgspec

from scanplan.api import wire
from scanplan.api.documents.report import FindingCounts, NewFinding, NewFindings
from scanplan.api.documents.words import Severity
from scanplan.api.wire import UNREADABLE
from scanplan.findings.history import Entry, Sighting, State
from scanplan.runner.artifacts.merging.sightings import UntrueRecordError
from scanplan.runner.artifacts.merging.suppression import Suppression

MOST = 10
EXAMPLES_BYTES = 900
"""Of the named findings in a termination message, which has to hold much else."""
_NAME, _TEMPLATE, _WHERE = 80, 60, 120
_decode = wire.decoder(Sighting).decode


class Newest:
    """Sees each new finding of a merge."""

    def __init__(self, suppression: Suppression, moment: str) -> None:
        """Args: moment: when the scan began."""
        self._suppression = suppression
        self._moment = moment
        self._counts = [0] * len(Severity)
        self._kept: list[tuple[int, int, NewFinding]] = []
        """A heap of the most severe ones, the first that goes at its top."""
        self._bound = len(Severity)
        """A finding of this rank or a less severe one is not kept."""
        self._seen = 0
        self._suppresses = bool(suppression)

    def take(self, rank: int, head: bytes) -> None:
        """Take a new finding: the rank of its severity, and the JSON of its `Sighting` without the last brace.

        Raises:
            UntrueRecordError: it is none.
        """
        wanted = rank < self._bound
        if not wanted and not self._suppresses:
            self._counts[rank] += 1
            return
        found = _read(head)
        if self._suppresses and self._falls_under(found):
            return
        self._counts[rank] += 1
        if wanted:
            self._seen += 1
            entry = (-rank, -self._seen, _told(found))
            (heapq.heappushpop if len(self._kept) == MOST else heapq.heappush)(self._kept, entry)
            self._bound = -self._kept[0][0] if len(self._kept) == MOST else len(Severity)

    def told(self) -> NewFindings:
        """What was seen, the most severe first, as far as there is room."""
        examples, room = [], EXAMPLES_BYTES
        for _, _, each in sorted(self._kept, reverse=True, key=lambda kept: kept[:2]):
            room -= len(msgspec.json.encode(each)) + 1
            if room < 0:
                break
            examples.append(each)
        counts = FindingCounts(
            **{severity.value: count for severity, count in zip(Severity, self._counts, strict=True)}
        )
        return NewFindings(counts=counts, examples=tuple(examples))

    def _falls_under(self, found: Sighting) -> bool:
        members = msgspec.structs.asdict(found)
        entry = Entry(**members, state=State.NEW, first_seen=self._moment, last_seen=self._moment)
        return self._suppression.of_entry(entry) is not None


def _read(head: bytes) -> Sighting:
    try:
        return _decode(head + b"}")
    except UNREADABLE as error:
        raise UntrueRecordError("can't be read") from error


def _told(found: Sighting) -> NewFinding:
    return NewFinding(
        severity=found.severity,
        name=found.name[:_NAME],
        template=found.template[:_TEMPLATE],
        where=found.where.partition("?")[0].partition("#")[0][:_WHERE],
    )
