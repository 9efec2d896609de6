"""A finding's history: when it was first and last seen, how often, and whether it is resolved or has come back.

An identity says which findings are the same one. A history is a sorted file of lines, one `Entry` for each identity. A record is
what one scan says of a finding. The history after a scan is made from the one before it and the scan's records, both sorted by
identity, in one pass (`continued`). All times are start times of scans; no clock is read. A finding is resolved only if the scan
looked for it and did not see it. Otherwise it stays open, and keeps its last-seen time.

A line is the JSON of an entry: first what the newest record says (`Sighting`), then what has become of the finding (`Course`).
The pass decodes the second part. For a finding that the scan has seen, the new record becomes the first part. Otherwise the old
first part is kept as bytes; it is decoded only for an open finding, to ask whether the scan looked for it.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import BinaryIO

import msgspec

from scanplan.api import wire
from scanplan.api.documents.words import Age, Count, Severity
from scanplan.api.wire import UNREADABLE
from scanplan.findings import fingerprint, identity
from scanplan.findings.identity import LENGTH

MOST_LINE_BYTES = 32 << 10
"""Readers drop longer lines. We write none, because names and places are cut."""
_BLOCK_BYTES = 32 << 10
_MOST_COURSES = 4_096
"""Size of a pass's cache. Findings that were seen in the same scans share a course, so few are missing."""
_MOST_NAME = 250
_MOST_PLACE = 2_048
"""Characters of names and places that are kept."""
_RANK = {severity: rank for rank, severity in enumerate(Severity)}
_DIGITS = {severity: str(rank).encode() for severity, rank in _RANK.items()}
_ZERO = ord("0")
# A record is <identity><rank>{"identity":"<identity>","fingerprint":"<fingerprint>","severity":"<severity>", ...}.
_RECORD_PREFIX = LENGTH + 1
"""Bytes before the JSON of a record: its identity, and one digit for the rank of its severity."""
_START = b'{"identity":"'
_IDENTITY = slice(len(_START), len(_START) + LENGTH)
_COURSE = b',"state":'
_STATE = b'{"state":'


class State(StrEnum):
    """What has become of a finding by the end of a scan."""

    NEW = "new"
    """This scan has seen it for the first time."""
    OPEN = "open"
    """It was there before, and is not resolved."""
    REOPENED = "reopened"
    """It was resolved, and this scan has seen it again."""
    RESOLVED = "resolved"
    """A complete scan looked for it, and it was not there."""


_NOT_RESOLVED = (State.NEW, State.OPEN, State.REOPENED)


class Sighting(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the newest record of a finding says. Texts come from the scanned host and the template: they are untrusted."""

    identity: str
    fingerprint: str
    severity: Severity
    name: str
    template: str
    """The template's id in that record. A renamed template has a new id, but its findings keep their `identity`."""
    matcher: str
    host: str
    where: str
    """The URL or host:port where it was found."""
    target: str
    """What was scanned: the endpoint's URL, or host:port."""


def sighting(line: bytes) -> Sighting | None:
    """What a line of a findings file says; None where it is no finding."""
    try:
        event = identity.read(line)
    except UNREADABLE:
        return None
    if not isinstance(event.template_id, str) or event.matcher_status is False:
        return None
    information = event.info if isinstance(event.info, identity.Information) else identity.Information()
    found = event.subject
    return Sighting(
        identity=found.identity,
        fingerprint=fingerprint.of_event(event).hex(),
        severity=Severity.of(information.severity),
        name=(identity.text(information.name) or event.template_id)[:_MOST_NAME],
        template=event.template_id[:_MOST_NAME],
        matcher=found.matcher[:_MOST_NAME],
        host=found.host[:_MOST_NAME],
        where=event.where[:_MOST_PLACE],
        target=(identity.text(event.url) or _named(identity.text(event.host), identity.text(event.port)))[:_MOST_PLACE],
    )


def _named(host: str, port: str) -> str:
    host = f"[{host}]" if host.count(":") > 1 and not host.startswith("[") and "//" not in host else host
    return f"{host}:{port}" if port and ":" not in host.rpartition("]")[2] else host


class Course(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What has become of a finding. Times are start times of scans, RFC 3339 in UTC."""

    state: State
    first_seen: str
    last_seen: str
    times_seen: Count = 1
    """Scans that have seen it."""
    reopened: Count = 0
    """How often it came back after it was resolved."""
    reopened_at: str = ""
    resolved_at: str = ""


class Entry(Sighting, frozen=True, kw_only=True, rename="camel"):
    """One line of a history: a `Sighting` with the members of a `Course`."""

    state: State
    first_seen: str
    last_seen: str
    times_seen: Count = 1
    reopened: Count = 0
    reopened_at: str = ""
    resolved_at: str = ""


_encode = msgspec.json.Encoder().encode
_decode_sighting = wire.decoder(Sighting).decode
_decode_course = wire.decoder(Course).decode
_decode_entry = wire.decoder(Entry).decode


class Tally:
    """What a pass has counted, by severity."""

    def __init__(self) -> None:
        self._counts: dict[tuple[State, Age], list[int]] = {}

    def ranks(self, state: State, age: Age) -> list[int]:
        """The list of counters, by rank of severity, for a state and an age. The caller increments it."""
        return self._counts.setdefault((state, age), [0] * len(Severity))

    @property
    def new(self) -> dict[Severity, int]:
        return self._sums([State.NEW])

    @property
    def resolved(self) -> dict[Severity, int]:
        return self._sums([State.RESOLVED])

    @property
    def reopened(self) -> dict[Severity, int]:
        return self._sums([State.REOPENED])

    @property
    def open(self) -> dict[Severity, int]:
        """All that are not resolved, whether this scan has seen them or not."""
        return self._sums(_NOT_RESOLVED)

    @property
    def open_by_age(self) -> dict[Age, dict[Severity, int]]:
        """The same, by how long they were known when the scan began."""
        return {age: sums for age in Age if (sums := self._sums(_NOT_RESOLVED, [age]))}

    def _sums(self, states: Collection[State], ages: Collection[Age] = tuple(Age)) -> dict[Severity, int]:
        chosen = [counts for (state, age), counts in self._counts.items() if state in states and age in ages]
        sums = map(sum, zip(*chosen, strict=True))
        return {severity: count for severity, count in zip(Severity, sums, strict=False) if count}


def record(sighting: Sighting) -> bytes:
    """A sighting as bytes. Records sort by identity, then the most severe first, then by content."""
    return sighting.identity.encode() + _DIGITS[sighting.severity] + _encode(sighting)


def continued(
    before: Iterable[bytes],
    records: Iterable[bytes],
    moment: str,
    looked_for: Callable[[Sighting], bool],
    tally: Tally,
    *,
    forgotten: str = "",
    on_new: Callable[[int, bytes], None] | None = None,
) -> Iterator[bytes]:
    """The lines of the history after a scan.

    Args:
        before: the lines of the history before it; what is broken or out of order is left out.
        records: the scan's records (made by `record`), sorted; of several with one identity only the first is used.
        moment: when the scan began.
        looked_for: returns whether the scan ran a finding's template against its target. Called only for open findings that the
            scan did not see.
        tally: counts the findings by their state after this scan.
        forgotten: findings that were resolved before this time are left out.
        on_new: called for each finding that is seen for the first time, with the rank of its severity and the start of its line,
            which is JSON without the closing brace.
    """
    new = _tail(Course(state=State.NEW, first_seen=moment, last_seen=moment))
    counted_new = tally.ranks(State.NEW, Age.WEEK)
    next_courses_of = functools.lru_cache(_MOST_COURSES)(functools.partial(_NextCourses.read, moment, tally))

    def new_line(given: bytes) -> bytes:
        """The line of a finding that is seen for the first time."""
        rank, start = given[LENGTH] - _ZERO, given[_RECORD_PREFIX:-1]
        counted_new[rank] += 1
        if on_new:
            on_new(rank, start)
        return start + new

    seen = _first_of_each_identity(records)
    next_record = next(seen, None)
    last_identity = b""
    for line in before:
        known_identity = line[_IDENTITY]
        if known_identity <= last_identity or not line.startswith(_START):
            continue
        head, _, tail = line.rpartition(_COURSE)
        try:
            next_courses = next_courses_of(tail)
        except UNREADABLE:
            continue
        last_identity = known_identity
        while next_record is not None and next_record < known_identity:
            yield new_line(next_record)
            next_record = next(seen, None)
        if next_record is not None and next_record.startswith(known_identity):
            next_courses.seen_ranks[next_record[LENGTH] - _ZERO] += 1
            yield next_record[_RECORD_PREFIX:-1] + next_courses.seen
            next_record = next(seen, None)
        elif next_courses.missed is None:
            if next_courses.resolved_at >= forgotten:
                yield line
        elif (sighting := _readable(head)) is not None:
            state = State.RESOLVED if looked_for(sighting) else State.OPEN
            tally.ranks(state, next_courses.age)[_RANK[sighting.severity]] += 1
            yield head + next_courses.missed[state]
    if next_record is not None:
        yield new_line(next_record)
        yield from map(new_line, seen)


def entries(lines: Iterable[bytes]) -> Iterator[Entry]:
    """Read the lines of a history, in their order; what is broken is left out."""
    for line in lines:
        try:
            yield _decode_entry(line)
        except UNREADABLE:
            continue


def bounded(file: BinaryIO, most: int = MOST_LINE_BYTES) -> Iterator[bytes]:
    """The lines of a file that somebody else may have written; those that are longer than ours are left out."""
    rest = b""
    while block := file.read(_BLOCK_BYTES):
        lines = (rest + block).splitlines(keepends=True)
        rest = b"" if lines[-1].endswith(b"\n") else lines.pop()[: most + 1]
        yield from [line for line in lines if len(line) <= most]


class _NextCourses(msgspec.Struct, frozen=True):
    """The possible next courses after one course. It is computed once for all findings with the same course."""

    resolved_at: str
    age: Age
    """The finding's age when the scan began."""
    seen: bytes
    """The end of the line of a finding that the scan has seen."""
    seen_ranks: list[int]
    """Where such a finding is counted."""
    missed: dict[State, bytes] | None
    """The end of the line if the scan did not see it, by its new state (resolved or open). None: it was resolved before."""

    @classmethod
    def read(cls, moment: str, tally: Tally, tail: bytes) -> _NextCourses:
        """Read the end of a line; raises one of `UNREADABLE`."""
        course = _decode_course(_STATE + tail)
        was_resolved = course.state is State.RESOLVED
        seen = Course(
            state=State.REOPENED if was_resolved else State.OPEN,
            first_seen=course.first_seen,
            last_seen=moment,
            times_seen=course.times_seen + 1,
            reopened=course.reopened + was_resolved,
            reopened_at=moment if was_resolved else course.reopened_at,
        )
        resolved = msgspec.structs.replace(course, state=State.RESOLVED, resolved_at=moment)
        still_open = msgspec.structs.replace(course, state=State.OPEN, resolved_at="")
        missed = None if was_resolved else {State.RESOLVED: _tail(resolved), State.OPEN: _tail(still_open)}
        age = _age(course.first_seen, moment)
        return cls(course.resolved_at, age, _tail(seen), tally.ranks(seen.state, age), missed)


def _age(first_seen: str, moment: str) -> Age:
    """How old a finding is; the youngest where the times can't be read."""
    try:
        return Age.of((datetime.fromisoformat(moment) - datetime.fromisoformat(first_seen)).total_seconds() / 86_400)
    except (ValueError, TypeError, OverflowError):
        return Age.WEEK


def _readable(head: bytes) -> Sighting | None:
    """The sighting in the first part of a line; None where it can't be read."""
    try:
        return _decode_sighting(head + b"}")
    except UNREADABLE:
        return None


def _first_of_each_identity(records: Iterable[bytes]) -> Iterator[bytes]:
    """The first record of each identity. There may be millions, so C functions do the looping."""
    by_identity = itertools.groupby(records, operator.itemgetter(slice(LENGTH)))
    return map(next, map(operator.itemgetter(1), by_identity))


def _tail(course: Course) -> bytes:
    return b"," + _encode(course)[1:] + b"\n"
