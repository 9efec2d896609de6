"""A finding's history: when it was first and last seen, how often, and whether it is resolved or has come back.

A history is a sorted file of lines, one `Entry` for each identity. The history after a scan is made from the one before it and
the scan's records, both sorted, in one pass (`continued`). It knows no clock: all times are the scans' own. A finding is resolved
only where the scan looked for it and did not see it; otherwise it stays open, with the time when it was last seen.

A line is the JSON of an entry: first what the newest record says (`Sighting`), then what has become of the finding (`Course`). So
the pass moves the first part as bytes, and decodes only the second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import BinaryIO

import msgspec

from scanplan.api.v1alpha1.task import Count, Severity
from scanplan.api.wire import UNREADABLE
from scanplan.findings import fingerprint, identity
from scanplan.findings.identity import LENGTH

MOST_LINE_BYTES = 32 << 10
"""Longer lines are none of ours."""
_MOST_NAME = 250
_MOST_PLACE = 2_048
"""Characters of names and places that are kept."""
_RANKS = {severity.value: str(rank).encode() for rank, severity in enumerate(Severity)}
_BY_RANK = {rank[0]: Severity(severity) for severity, rank in _RANKS.items()}
_RECORD_PREFIX = LENGTH + 1
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


class Sighting(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the newest record of a finding says. All texts are as the scanned host and the template have them."""

    identity: str
    fingerprint: str
    severity: Severity
    name: str
    template: str
    """Its id under the newest name."""
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
    """What has become of a finding. Times are the begin of scans, RFC 3339 in UTC."""

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
_decode_sighting = msgspec.json.Decoder(Sighting).decode
_decode_course = msgspec.json.Decoder(Course).decode
_decode_entry = msgspec.json.Decoder(Entry).decode


class Tally:
    """What a pass has counted, by severity."""

    def __init__(self) -> None:
        self.new: dict[Severity, int] = {}
        self.resolved: dict[Severity, int] = {}
        self.reopened: dict[Severity, int] = {}
        self.open: dict[Severity, int] = {}
        """All that are not resolved, whether this scan has seen them or not."""

    def take(self, severity: Severity, state: State) -> None:
        """Count a finding whose state this scan has decided, or that is open."""
        if state is State.RESOLVED:
            self.resolved[severity] = self.resolved.get(severity, 0) + 1
            return
        self.open[severity] = self.open.get(severity, 0) + 1
        if state is State.NEW:
            self.new[severity] = self.new.get(severity, 0) + 1
        elif state is State.REOPENED:
            self.reopened[severity] = self.reopened.get(severity, 0) + 1


def record(sighting: Sighting) -> bytes:
    """A sighting in the form that is sorted: by identity, then the most severe first, then by its content."""
    return sighting.identity.encode() + _RANKS[sighting.severity] + _encode(sighting)


def continued(
    before: Iterable[bytes],
    records: Iterable[bytes],
    moment: str,
    looked: Callable[[Sighting], bool],
    tally: Tally,
    *,
    forgotten: str = "",
) -> Iterator[bytes]:
    """The lines of the history after a scan.

    Args:
        before: the lines of the history before it; what is broken or out of order is left out.
        records: of the scan (`record`), sorted. Of several with one identity the first counts.
        moment: when the scan began.
        looked: whether the scan ran a finding's template against its target; only for those that it did not see.
        tally: counts what this scan has changed.
        forgotten: findings that were resolved before this time are left out.
    """
    new = _tail(Course(state=State.NEW, first_seen=moment, last_seen=moment))
    seen = _firsts(records)
    this = next(seen, None)
    for known, line in _ordered(before):
        while this is not None and this[:LENGTH] < known:
            yield _begun(this, new, tally)
            this = next(seen, None)
        head, _, tail = line.rpartition(_COURSE)
        try:
            course = _decode_course(_STATE + tail)
            sighting = None if course.state is State.RESOLVED else _decode_sighting(head + b"}")
        except UNREADABLE:
            continue
        if this is not None and this[:LENGTH] == known:
            yield _gone_on(this, course, moment, tally)
            this = next(seen, None)
        elif sighting is None:
            if course.resolved_at >= forgotten:
                yield line
        else:
            yield head + _missed(sighting, course, moment, looked, tally)
    while this is not None:
        yield _begun(this, new, tally)
        this = next(seen, None)


def entries(lines: Iterable[bytes]) -> Iterator[Entry]:
    """Read the lines of a history, in their order; what is broken is left out."""
    for line in lines:
        try:
            yield _decode_entry(line)
        except UNREADABLE:
            continue


def bounded(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file that somebody else may have written; those that are longer than ours are left out."""
    whole = True
    while line := file.readline(MOST_LINE_BYTES):
        if whole and line.endswith(b"\n"):
            yield line
        whole = line.endswith(b"\n")


def _firsts(records: Iterable[bytes]) -> Iterator[bytes]:
    last = b""
    for each in records:
        if each[:LENGTH] != last:
            last = each[:LENGTH]
            yield each


def _ordered(lines: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    last = b""
    for line in lines:
        identity = line[_IDENTITY]
        if line.startswith(_START) and len(identity) == LENGTH and identity > last:
            last = identity
            yield identity, line


def _begun(this: bytes, new: bytes, tally: Tally) -> bytes:
    tally.take(_BY_RANK[this[LENGTH]], State.NEW)
    return this[_RECORD_PREFIX:-1] + new


def _gone_on(this: bytes, course: Course, moment: str, tally: Tally) -> bytes:
    again = course.state is State.RESOLVED
    course = Course(
        state=State.REOPENED if again else State.OPEN,
        first_seen=course.first_seen,
        last_seen=moment,
        times_seen=course.times_seen + 1,
        reopened=course.reopened + again,
        reopened_at=moment if again else course.reopened_at,
    )
    tally.take(_BY_RANK[this[LENGTH]], course.state)
    return this[_RECORD_PREFIX:-1] + _tail(course)


def _missed(sighting: Sighting, course: Course, moment: str, looked: Callable[[Sighting], bool], tally: Tally) -> bytes:
    """What becomes of an open finding that the scan has not seen."""
    resolved = looked(sighting)
    course = msgspec.structs.replace(
        course, state=State.RESOLVED if resolved else State.OPEN, resolved_at=moment if resolved else ""
    )
    tally.take(sighting.severity, course.state)
    return _tail(course)


def _tail(course: Course) -> bytes:
    return b"," + _encode(course)[1:] + b"\n"
