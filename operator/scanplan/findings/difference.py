"""What has changed between two scans, from their histories.

Of two scans of one run the later history tells what is resolved. Two scans of different runs share no history: what the later one
does not have was not seen, and nobody knows whether it was looked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

from scanplan.findings.history import Entry, State, entries


class Change(StrEnum):
    """What became of a finding between two scans."""

    NEW = "new"
    REOPENED = "reopened"
    RESOLVED = "resolved"
    NOT_SEEN = "not seen"
    """Open before, and not seen since; nothing says that it is gone."""
    UNCHANGED = "unchanged"


def difference(before: Iterable[bytes], after: Iterable[bytes], moment: str) -> Iterator[tuple[Change, Entry]]:
    """The findings that are open in one of two histories, by identity.

    Args:
        before: lines of the earlier history.
        after: lines of the later one.
        moment: when the later scan began.
    """
    earlier = entries(before)
    known = next(earlier, None)
    for entry in entries(after):
        while known is not None and known.identity < entry.identity:
            if known.state is not State.RESOLVED:
                yield Change.NOT_SEEN, known
            known = next(earlier, None)
        if known is not None and known.identity == entry.identity:
            if (change := _change(known, entry, moment)) is not None:
                yield change, entry
            known = next(earlier, None)
        elif entry.state is not State.RESOLVED:
            yield Change.NEW, entry
    while known is not None:
        if known.state is not State.RESOLVED:
            yield Change.NOT_SEEN, known
        known = next(earlier, None)


def _change(before: Entry, after: Entry, moment: str) -> Change | None:
    """None where it was resolved before, and still is."""
    was_open = before.state is not State.RESOLVED
    if after.state is State.RESOLVED:
        return Change.RESOLVED if was_open else None
    if not was_open:
        return Change.REOPENED
    return Change.UNCHANGED if after.last_seen == moment else Change.NOT_SEEN
