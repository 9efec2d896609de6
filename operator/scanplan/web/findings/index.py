"""One project's findings in a form that answers queries fast: an SQLite file of this process, built once.

SQLite filters and sorts without Python's lock, and with a few MiB of memory however large the file is. The file has no name, so
nobody else can open it. It goes with the last reference to the index. All values go into statements as parameters.
"""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from scanplan.api import wire
from scanplan.api.documents.words import Severity
from scanplan.findings.exceptions import ScanException
from scanplan.findings.history import Entry, State
from scanplan.findings.listing import Which
from scanplan.findings.trend import Point, Trend
from scanplan.web.artifacts.remote import TooLarge
from scanplan.web.findings.queries import Order, Query, Sort, Suppressed

PAGE_BYTES = 8_192
CACHE_BYTES = 4 << 20
"""Memory of one index."""
_BATCH = 2_000
_MOST_COUNTED = 64
_SEVERITIES = tuple(Severity)
_STATES = tuple(State)
_SCHEMA = """
CREATE TABLE line (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, entry BLOB NOT NULL);
CREATE TABLE words (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE given (
  id INTEGER PRIMARY KEY, identity TEXT NOT NULL, severity INTEGER NOT NULL, state INTEGER NOT NULL, first_seen TEXT NOT NULL,
  last_seen TEXT NOT NULL, name TEXT NOT NULL, place TEXT NOT NULL);
"""
_RANKED = """
CREATE TABLE finding (
  id INTEGER PRIMARY KEY, severity INTEGER, state INTEGER, suppressed INTEGER,
  first_seen INTEGER, last_seen INTEGER, name INTEGER, place INTEGER);
INSERT INTO finding SELECT id, severity, state, NULL,
  dense_rank() OVER (ORDER BY first_seen), dense_rank() OVER (ORDER BY last_seen),
  dense_rank() OVER (ORDER BY name), dense_rank() OVER (ORDER BY place) FROM given;
CREATE TABLE identity (identity TEXT PRIMARY KEY, id INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO identity SELECT identity, id FROM given;
DROP TABLE given;
CREATE INDEX by_severity ON finding (severity, first_seen);
CREATE INDEX by_first_seen ON finding (first_seen);
CREATE INDEX by_last_seen ON finding (last_seen);
CREATE INDEX by_name ON finding (name);
CREATE INDEX by_place ON finding (place);
CREATE TEMP TABLE searched (id INTEGER PRIMARY KEY);
"""
_COUNTS = ", ".join(f"sum(f.severity = {number})" for number in range(len(_SEVERITIES)))
_KEYS: dict[Sort, tuple[str, ...]] = {
    Sort.SEVERITY: ("f.severity", "f.first_seen"),
    Sort.NAME: ("f.name",),
    Sort.WHERE: ("f.place",),
    Sort.FIRST_SEEN: ("f.first_seen",),
    Sort.LAST_SEEN: ("f.last_seen",),
}
_STATES_OF: dict[Which, frozenset[State]] = {
    Which.OPEN: frozenset(State) - {State.RESOLVED},
    Which.NEW: frozenset({State.NEW, State.REOPENED}),
    Which.RESOLVED: frozenset({State.RESOLVED}),
    Which.ALL: frozenset(State),
}


class Row(NamedTuple):
    """One finding of a list."""

    entry: Entry
    run: int
    """The number of the history with its newest evidence."""
    suppressed: ScanException | None


class Page(NamedTuple):
    """A part of a list."""

    rows: Sequence[Row]
    counts: dict[Severity, int]
    """Of the whole list, where they are not 0."""
    has_before: bool
    has_after: bool


class Gone(Exception):
    """The finding that a page was to follow is in this list no more."""


class Index:
    """Safe to use from several threads, which take turns."""

    def __init__(self, findings: Iterable[tuple[Entry, int]], most_bytes: int) -> None:
        """Read everything.

        Args:
            findings: sorted by identity, each with the number of its run.
            most_bytes: of the file.

        Raises:
            TooLarge: they are more than that.
        """
        self._lock = threading.Lock()
        self._exceptions: tuple[ScanException, ...] = ()
        self._mark = ""
        self._searched = ""
        self._counted: dict[tuple[str, str], Sequence[int | None]] = {}
        """By text and condition."""
        trend = Trend()
        self._file = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        try:
            self._prepare(most_bytes)
            for batch in _batches(_rows(findings, trend)):
                self._insert(batch)
            self._file.executescript(_RANKED)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            raise TooLarge(f"what is known of its findings takes more than {most_bytes >> 20} MiB") from None
        self.bytes = self._number("PRAGMA page_count") * PAGE_BYTES
        self.points: Sequence[Point] = trend.points()

    def suppress(self, mark: str, under: Callable[[Entry], ScanException | None]) -> None:
        """Know which findings fall under an exception now.

        Args:
            mark: stands for the exceptions; the same ones are not asked twice.
            under: says which one an entry falls under.
        """
        with self._lock:
            if mark == self._mark:
                return
            known: dict[str, tuple[int, ScanException]] = {}
            changes = []
            for number, content in self._file.execute("SELECT id, entry FROM line"):
                exception = under(_decode(content))
                if exception is not None:
                    place, _ = known.setdefault(exception.name, (len(known), exception))
                    changes.append((place, number))
            self._file.execute("BEGIN")
            self._file.execute("UPDATE finding SET suppressed = NULL WHERE suppressed IS NOT NULL")
            self._file.executemany("UPDATE finding SET suppressed = ? WHERE id = ?", changes)
            self._file.execute("COMMIT")
            self._exceptions = tuple(exception for _, exception in known.values())
            self._mark = mark
            self._counted.clear()

    def page(self, query: Query) -> Page:
        """A page of a list.

        Raises:
            Gone: there is no such finding as the page was to follow.
        """
        keys = [*_KEYS[query.sort], "f.id"]
        falls = (query.order is Order.DESCENDING) != bool(query.before)
        order = ", ".join(f"{key} {'DESC' if falls else 'ASC'}" for key in keys)
        source, where = _list_of(query)
        with self._lock:
            if query.text:
                self._search(query.text.casefold())
            counted = self._count(query.text and self._searched, source, where)
            beyond, place = self._beyond(query, keys, falls=falls)
            chosen = f"SELECT f.id, f.suppressed FROM {source} WHERE {where}{beyond} ORDER BY {order} LIMIT ?"  # noqa: S608 - no value is in it
            found = self._file.execute(chosen, [*place, query.limit + 1]).fetchall()
            more, found = len(found) > query.limit, found[: query.limit]
            rows = [self._row(*each) for each in (reversed(found) if query.before else found)]
        has_before, has_after = (more, True) if query.before else (bool(query.after), more)
        counts = {severity: number for severity, number in zip(Severity, counted, strict=True) if number}
        return Page(rows, counts, has_before, has_after)

    def one(self, identity: str) -> Row | None:
        """A finding; None where there is none."""
        with self._lock:
            wanted = "SELECT f.id, f.suppressed FROM identity JOIN finding f USING (id) WHERE identity = ?"
            found = self._file.execute(wanted, [identity]).fetchone()
            return self._row(*found) if found else None

    def __del__(self) -> None:
        self._file.close()

    def _prepare(self, most_bytes: int) -> None:
        settings = {
            "page_size": PAGE_BYTES,
            "journal_mode": "OFF",
            "synchronous": "OFF",
            "cache_size": -(CACHE_BYTES >> 10),
            "max_page_count": most_bytes // PAGE_BYTES,
        }
        for name, value in settings.items():
            self._file.execute(f"PRAGMA {name} = {value}")
        self._file.executescript(_SCHEMA)

    def _insert(self, rows: Sequence[tuple[Sequence[Any], Sequence[Any], Sequence[Any]]]) -> None:
        self._file.execute("BEGIN")
        for table, part in (("given", 0), ("words", 1), ("line", 2)):
            places = ", ".join("?" * len(rows[0][part]))
            self._file.executemany(f"INSERT INTO {table} VALUES ({places})", (row[part] for row in rows))  # noqa: S608
        self._file.execute("COMMIT")

    def _count(self, text: str, source: str, where: str) -> Sequence[int | None]:
        """How many findings a list has by severity; remembered, since people sort and page the same list."""
        counted = self._counted.get((text, where))
        if counted is None:
            if len(self._counted) >= _MOST_COUNTED:
                self._counted.clear()
            counted = self._file.execute(f"SELECT {_COUNTS} FROM {source} WHERE {where}").fetchone()  # noqa: S608
            self._counted[text, where] = counted
        return counted

    def _search(self, text: str) -> None:
        """Put aside which findings have a text, for as long as pages of the same search are asked for."""
        if text != self._searched:
            self._searched = ""
            self._file.execute("DELETE FROM searched")
            self._file.execute("INSERT INTO searched SELECT id FROM words WHERE instr(text, ?) > 0", [text])
            self._searched = text

    def _beyond(self, query: Query, keys: Sequence[str], *, falls: bool) -> tuple[str, Sequence[Any]]:
        """The condition that a page begins behind a finding, and its values."""
        mark = query.after or query.before
        if not mark:
            return "", ()
        wanted = f"SELECT {', '.join(keys)} FROM identity JOIN finding f USING (id) WHERE identity = ?"  # noqa: S608
        place = self._file.execute(wanted, [mark]).fetchone()
        if place is None:
            raise Gone
        return f" AND ({', '.join(keys)}) {'<' if falls else '>'} ({', '.join('?' * len(keys))})", place

    def _row(self, number: int, suppressed: int | None) -> Row:
        run, content = self._file.execute("SELECT run, entry FROM line WHERE id = ?", [number]).fetchone()
        return Row(_decode(content), run, None if suppressed is None else self._exceptions[suppressed])

    def _number(self, statement: str) -> int:
        return int(self._file.execute(statement).fetchone()[0])


_encode = msgspec.json.Encoder().encode
_decode = wire.decoder(Entry).decode


def _list_of(query: Query) -> tuple[str, str]:
    """The tables of a list, and its condition."""
    states = sorted(_STATES.index(state) for state in _STATES_OF[query.which])
    severities = sorted(_SEVERITIES.index(severity) for severity in query.severities)
    conditions = [f"f.state IN ({', '.join(map(str, states))})", f"f.severity IN ({', '.join(map(str, severities))})"]
    if query.suppressed is not Suppressed.ALL:
        conditions.append(f"f.suppressed IS {'NULL' if query.suppressed is Suppressed.NO else 'NOT NULL'}")
    return "finding f" + (" JOIN searched USING (id)" if query.text else ""), " AND ".join(conditions)


def _rows(findings: Iterable[tuple[Entry, int]], trend: Trend) -> Iterator[tuple[Sequence[Any], ...]]:
    for number, (entry, run) in enumerate(findings):
        trend.take(entry)
        severity, state = _SEVERITIES.index(entry.severity), _STATES.index(entry.state)
        name, place = entry.name.casefold(), entry.where.casefold()
        text = "\n".join((name, place, entry.template.casefold(), entry.matcher.casefold(), entry.host.casefold()))
        yield (
            (number, entry.identity, severity, state, entry.first_seen, entry.last_seen, name, place),
            (number, text),
            (number, run, _encode(entry)),
        )


def _batches(rows: Iterator[Any]) -> Iterator[Any]:
    while batch := list(itertools.islice(rows, _BATCH)):
        yield batch
