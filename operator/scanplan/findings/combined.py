"""The findings of a project, from the histories of its runs.

A finding that several runs have seen is one finding: it counts from the first of them, and the newest evidence says whether it is
open. Evidence is a scan that saw it, or that looked for it and did not.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import msgspec

from scanplan.findings.history import Entry, State


def combined(histories: Iterable[Iterable[Entry]]) -> Iterator[tuple[Entry, int]]:
    """The findings of several histories by identity, each with the number of the history that has its newest evidence.

    Args:
        histories: each sorted by identity. Entries that are out of order are left out.
    """
    numbered = [_numbered(entries, number) for number, entries in enumerate(histories)]
    merged = heapq.merge(*numbered, key=lambda each: each[0].identity)
    for _, same in groupby(merged, key=lambda each: each[0].identity):
        yield together(list(same))


def together(known: Sequence[tuple[Entry, int]]) -> tuple[Entry, int]:
    """One finding, from what at least one history knows of it."""
    newest, number = max(known, key=lambda each: (_evidence(each[0]), -each[1]))
    if len(known) == 1:
        return newest, number
    entries = [entry for entry, _ in known]
    first = min(entry.first_seen for entry in entries)
    fresh = newest.state is State.NEW and first == newest.first_seen
    return msgspec.structs.replace(
        newest,
        state=State.OPEN if newest.state is State.NEW and not fresh else newest.state,
        first_seen=first,
        last_seen=max(entry.last_seen for entry in entries),
        times_seen=sum(entry.times_seen for entry in entries),
        reopened=sum(entry.reopened for entry in entries),
    ), number


def _numbered(entries: Iterable[Entry], number: int) -> Iterator[tuple[Entry, int]]:
    last = ""
    for entry in entries:
        if entry.identity > last:
            last = entry.identity
            yield entry, number


def _evidence(entry: Entry) -> str:
    """When a scan last said something about it. Times are RFC 3339 in UTC, so they sort as text."""
    return entry.resolved_at if entry.state is State.RESOLVED else entry.last_seen
