"""Which exception a finding falls under, and until when.

Patterns are globs: ``*`` is any text, ``?`` is one character, and all else stands for itself. A finding falls under an exception
where each list of its match that is not empty has a pattern for it. Whether an exception has expired is asked of a clock each time,
so no flag can be stale. Several exceptions may match: the one that lasts longest counts, then the first by name.
"""

from __future__ import annotations

import functools
import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict
from urllib.parse import urlsplit

import msgspec

from scanplan.api import globs, wire
from scanplan.api.times import YEARS
from scanplan.api.wire import UNREADABLE
from scanplan.findings import aliases, fingerprint
from scanplan.findings.history import Entry
from scanplan.findings.identity import PORTS, identity

MAX_DAYS = 366
"""Days from now after which no exception may end; the operator's owner may say less."""
HANDED_BYTES = 48 << 10
"""Of the exceptions that a pod gets in an annotation: some hundreds. Whoever reads results later has all of them."""
_MOST_REMEMBERED = 20_000
"""Templates and hosts whose exceptions are remembered while a result is read."""


_Event = TypedDict(
    "_Event",
    {
        "template-id": Any,
        "info": Any,
        "matcher-name": Any,
        "extractor-name": Any,
        "host": Any,
        "port": Any,
        "matched-at": Any,
        "url": Any,
    },
    total=False,
)
"""The members of a finding that exceptions look at."""
_decode = wire.decoder(_Event).decode


class Match(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Which findings; an empty list says nothing about them."""

    templates: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    matchers: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()

    @property
    def names_nothing(self) -> bool:
        """No list has an item: it would match everything, so it matches nothing."""
        return not any(map(bool, msgspec.structs.astuple(self)))

    @property
    def is_any(self) -> bool:
        """Each of its lists has a pattern for every text."""
        lists = [patterns for patterns in msgspec.structs.astuple(self) if patterns]
        return bool(lists) and all(any(set(pattern) == {"*"} for pattern in patterns) for patterns in lists)


class ScanException(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """One decision, as it is handed to those who count findings and to those who show them."""

    name: str
    match: Match
    expires_at: datetime
    status: str = "AcceptedRisk"
    reason: str = ""
    owner: str = ""
    ticket: str = ""


class Handed(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """The exceptions of a namespace, as the pods of a scan get them."""

    time: datetime
    """When the operator put them together. A result knows the exceptions that were there then."""
    exceptions: tuple[ScanException, ...] = ()
    left_out: int = 0
    """How many had no room."""


def handed(exceptions: Iterable[ScanException], left_out: int, time: datetime) -> str:
    """What pods get, as JSON, in this order: of each exception only what decides.

    Args:
        left_out: how many others had no room in `HANDED_BYTES`.
    """
    kept = tuple(map(_short, exceptions))
    return msgspec.json.encode(Handed(time=time, exceptions=kept, left_out=left_out)).decode()


def handed_bytes(exception: ScanException) -> int:
    """What an exception takes of `HANDED_BYTES`."""
    return len(msgspec.json.encode(_short(exception))) + 1


def _short(exception: ScanException) -> ScanException:
    return ScanException(
        name=exception.name, match=exception.match, expires_at=exception.expires_at, status=exception.status
    )


def read_handed(content: bytes) -> Handed:
    """What `handed` has made.

    Raises:
        msgspec.MsgspecError: it is something else.
    """
    return wire.decode(content, Handed)


def rank(expires_at: datetime, name: str) -> tuple[float, str]:
    """The order of exceptions: the one that lasts longest first, then by name."""
    return -expires_at.timestamp(), name


class Traits(msgspec.Struct, frozen=True):
    """What exceptions look at in a finding."""

    templates: tuple[str, ...]
    """The template's id, and the one that stands for it under all of its names."""
    matcher: str
    host: str
    """Lower case, without port and brackets."""
    port: str
    """Empty: not known."""
    path: str
    """Of its URL, without query; a slash where it has none."""
    marks: tuple[str, ...] = ()
    """Its fingerprints, in hex."""


def traits(template: str, matcher: str, host: str, matched_at: str, *marks: str, declared: object = None) -> Traits:
    """What exceptions look at.

    Args:
        declared: the template's ``info.metadata.aliases``.
        host: as Nuclei names it: a name, an address, host:port or a URL.
        matched_at: where it was found: a URL or host:port.
        marks: its fingerprints, in hex.
    """
    named, port, _ = _place(host)
    found, found_port, path = _place(matched_at)
    if not named:
        named, port = found, found_port
    elif found == named:
        port = found_port or port
    return Traits((template, aliases.canonical(template, declared)), matcher, named, port, path, marks)


def traits_of_event(event: Mapping[str, Any], *marks: str) -> Traits:
    """The same, of a finding as Nuclei writes it: members may be missing, or of any type."""

    def text(*names: str) -> str:
        return next((value for name in names if isinstance(value := event.get(name), str) and value), "")

    information = event.get("info")
    metadata = information.get("metadata") if isinstance(information, dict) else None
    found = traits(
        text("template-id"),
        text("matcher-name", "extractor-name"),
        text("host"),
        text("matched-at", "url"),
        *marks,
        declared=metadata.get("aliases") if isinstance(metadata, dict) else None,
    )
    return found if found.port else msgspec.structs.replace(found, port=str(event.get("port") or ""))


def traits_of_line(line: bytes, *marks: str) -> Traits:
    """The same, of a line of findings; one that can't be read has no traits, which no pattern but a star matches."""
    try:
        return traits_of_event(_decode(line), *marks)
    except UNREADABLE:
        return traits_of_event({}, *marks)


def traits_of_entry(entry: Entry) -> Traits:
    """The same, of a finding in a history. It has the template's newest name, and no aliases that the template declares."""
    scanned, marks = entry.target or entry.host, (entry.fingerprint, entry.identity)
    return traits(entry.template, entry.matcher, scanned, entry.where, *marks)


@functools.lru_cache(4_096)
def _place(text: str) -> tuple[str, str, str]:
    """Host, port and path of a URL, an address, or host:port; empty where there is none."""
    if text.count(":") > 1 and "//" not in text and not text.startswith("["):
        return text.lower(), "", "/"  # an IPv6 address without brackets
    try:
        parts = urlsplit(text if "//" in text else f"//{text}")
        return parts.hostname or "", str(parts.port or PORTS.get(parts.scheme, "")), parts.path or "/"
    except ValueError:
        return text.lower(), "", "/"


def read(body: Mapping[str, Any]) -> ScanException:
    """A ScanException object of the API server.

    Raises:
        ValueError: it can't be read, such as one that was stored under another version's rules.
    """
    spec = body.get("spec") or {}
    try:
        read = wire.convert({**spec, "name": body["metadata"]["name"]}, ScanException)
    except (msgspec.ValidationError, KeyError, TypeError) as error:
        raise ValueError(f"spec can't be read: {error}") from None
    if read.expires_at.tzinfo is None:
        raise ValueError("spec.expiresAt has no time zone")
    if read.expires_at.year not in YEARS:
        raise ValueError(f"spec.expiresAt is not in the years {YEARS[0]} to {YEARS[-1]}")
    if read.match.names_nothing:
        raise ValueError("spec.match names nothing")
    return read


class Exceptions:
    """Exceptions made ready for many findings."""

    def __init__(self, exceptions: Iterable[ScanException] = ()) -> None:
        ordered = sorted(exceptions, key=lambda each: rank(each.expires_at, each.name))
        self.all: Sequence[ScanException] = tuple(each for each in ordered if not each.match.names_nothing)
        self._others: list[tuple[int, _Compiled]] = []
        """Those that have to be asked of each template, with their places in the order."""
        self._by_template: defaultdict[str, list[tuple[int, _Compiled]]] = defaultdict(list)
        """The others, by the names of their templates."""
        for place, exception in enumerate(self.all):
            compiled = _Compiled(exception)
            for name in compiled.template_names:
                self._by_template[name].append((place, compiled))
            if not compiled.template_names:
                self._others.append((place, compiled))
        self._by_place: dict[tuple[tuple[str, ...], str, str], list[_Compiled]] = {}

    @functools.cached_property
    def by_fingerprint(self) -> bool:
        """Whether any of them names fingerprints; otherwise nobody needs to compute them."""
        return any(each.match.fingerprints for each in self.all)

    def matching(self, finding: Traits, now: datetime) -> ScanException | None:
        """The exception that a finding falls under now; None: it is open."""
        return next(iter(self.each(finding, now)), None)

    def each(self, finding: Traits, now: datetime) -> list[ScanException]:
        """All exceptions that match a finding now; the first one counts."""
        return [
            each.exception
            for each in self._candidates(finding)
            if now < each.exception.expires_at and each.matches_rest(finding)
        ]

    def _candidates(self, finding: Traits) -> list[_Compiled]:
        """Those that match template, host and port, which many findings have in common."""
        key = (finding.templates, finding.host, finding.port)
        found = self._by_place.get(key)
        if found is None:
            if len(self._by_place) >= _MOST_REMEMBERED:
                self._by_place.clear()
            names = {name.lower() for name in finding.templates}
            asked = dict(each for name in names for each in self._by_template.get(name, ())) | dict(self._others)
            found = [each for _, each in sorted(asked.items()) if each.matches_place(finding)]
            self._by_place[key] = found
        return found


class Suppressor:
    """Says of lines of findings which exception they fall under at one time."""

    def __init__(self, exceptions: Iterable[ScanException], now: datetime) -> None:
        """Args: now: the time by which exceptions have expired or not."""
        self._exceptions = Exceptions(exceptions)
        self._now = now

    def __bool__(self) -> bool:
        return bool(self._exceptions.all)

    @property
    def mark(self) -> str:
        """Stands for the exceptions: equal where they are."""
        return hashlib.sha256(msgspec.json.encode(self._exceptions.all)).hexdigest()

    def __call__(self, line: bytes) -> ScanException | None:
        """The exception that a finding falls under; None: it is open."""
        return next(iter(self.each(line)), None)

    def each(self, line: bytes) -> list[ScanException]:
        """All exceptions that match a finding; the first one counts."""
        if not self._exceptions.all:
            return []
        named = self._exceptions.by_fingerprint
        marks = (fingerprint.of(line).hex(), identity(line)) if named else ()
        return self._exceptions.each(traits_of_line(line, *marks), self._now)

    def of_entry(self, entry: Entry) -> ScanException | None:
        """The exception that a finding of a history falls under, by what its newest record says; None: it is under none."""
        return self._exceptions.matching(traits_of_entry(entry), self._now) if self else None


class _Compiled:
    def __init__(self, exception: ScanException) -> None:
        self.exception = exception
        match = exception.match
        named = {*match.templates, *map(aliases.canonical, match.templates)}
        self._templates = _globs(named, fold=True)
        wild = any(globs.is_wild(name) for name in named)
        self.template_names = frozenset() if wild else frozenset(name.lower() for name in named)
        """Templates that it is about; empty: all, or those of a pattern."""
        self._hosts = _globs([_without_brackets(host) for host in match.hosts], fold=True)
        self._paths = _globs(match.paths)
        self._matchers = _globs(match.matchers)
        self._marks = frozenset(match.fingerprints)

    def matches_place(self, finding: Traits) -> bool:
        return (self._templates is None or any(map(self._templates, finding.templates))) and (
            self._hosts is None or self._hosts(finding.host) or self._hosts(f"{finding.host}:{finding.port}")
        )

    def matches_rest(self, finding: Traits) -> bool:
        return (
            (self._paths is None or self._paths(finding.path))
            and (self._matchers is None or self._matchers(finding.matcher))
            and (not self._marks or not self._marks.isdisjoint(finding.marks))
        )


def _globs(patterns: Collection[str], *, fold: bool = False) -> Callable[[str], bool] | None:
    """Whether a text matches one of these; None where there are none."""
    return globs.any_of(patterns, fold=fold) if patterns else None


def _without_brackets(host: str) -> str:
    """A host as findings have it: ``[::1]:8443`` becomes ``::1:8443``."""
    return host.replace("[", "").replace("]", "")
