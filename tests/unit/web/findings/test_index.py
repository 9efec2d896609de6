"""Lists of a project's findings: lost otherwise is a finding that no filter shows, or that a page skips."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from scanplan.api.documents.words import Severity
from scanplan.findings.exceptions import Match, ScanException, Suppressor
from scanplan.findings.history import Entry, State
from scanplan.findings.listing import Which
from scanplan.web.artifacts.remote import TooLarge
from scanplan.web.findings.index import Gone, Index
from scanplan.web.findings.queries import Order, Query, Sort, Suppressed
from tests.unit.web.findings.entries import entry, index

NOW = datetime(2026, 11, 27, tzinfo=UTC)
RANK = {severity: rank for rank, severity in enumerate(Severity)}


def names(found: Index, query: Query) -> list[str]:
    return [row.entry.name for row in found.page(query).rows]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (Query(), ["new", "open", "reopened"]),
        (Query(which=Which.NEW), ["new", "reopened"]),
        (Query(which=Which.RESOLVED), ["gone"]),
        (Query(which=Which.ALL), ["gone", "new", "open", "reopened"]),
        (Query(severities=frozenset({Severity.LOW})), ["open"]),
        (Query(text="OPEN"), ["open", "reopened"]),
        (Query(text="template-of-new"), ["new"]),
        (Query(text="/q?a=1"), ["new"]),
        (Query(text="host-of-open"), ["open"]),
        (Query(text="a-matcher"), ["reopened"]),
        (Query(text="GRÜSSE"), ["open"]),
        (Query(text="%"), []),
        (Query(text="' OR 1=1 --"), []),
        (Query(suppressed=Suppressed.ONLY), ["open"]),
        (Query(suppressed=Suppressed.NO), ["new", "reopened"]),
    ],
)
def test_each_filter_takes_what_it_says(query: Query, shown: list[str]) -> None:
    found = index(
        [
            entry(1, name="gone", state=State.RESOLVED, resolved_at="2026-11-20T06:00:00.000Z"),
            entry(2, name="new", state=State.NEW, template="template-of-new", where="http://a/q?a=1"),
            entry(3, name="open", severity=Severity.LOW, host="host-of-open", matcher="grüße"),
            entry(4, name="reopened", state=State.REOPENED, matcher="a-matcher"),
        ]
    )
    end = datetime(2027, 1, 1, tzinfo=UTC)
    decided = ScanException(name="x", match=Match(hosts=("host-of-open",)), expires_at=end)
    under = Suppressor([decided, replaced(decided)], NOW)
    found.suppress(under.mark, lambda each: decided if each.name == "open" else None)
    page = found.page(query)
    assert sorted(row.entry.name for row in page.rows) == shown
    assert sum(page.counts.values()) == len(shown)


def replaced(exception: ScanException) -> ScanException:
    return ScanException(name="y", match=exception.match, expires_at=exception.expires_at)


def many(count: int) -> list[Entry]:
    chance = random.Random(7)  # noqa: S311 - the same each time
    return [
        entry(
            number,
            name=chance.choice(["b", "A", "c", "Ä"]),
            severity=chance.choice(list(Severity)),
            where=f"https://host-{chance.randrange(9)}/",
            first_seen=f"2026-11-{chance.randrange(1, 9):02}T06:00:00.000Z",
            last_seen=f"2026-11-{chance.randrange(10, 19):02}T06:00:00.000Z",
        )
        for number in range(count)
    ]


KEYS: dict[Sort, Callable[[Entry], Any]] = {
    Sort.SEVERITY: lambda each: (RANK[each.severity], each.first_seen, each.identity),
    Sort.NAME: lambda each: (each.name.casefold(), each.identity),
    Sort.WHERE: lambda each: (each.where, each.identity),
    Sort.FIRST_SEEN: lambda each: (each.first_seen, each.identity),
    Sort.LAST_SEEN: lambda each: (each.last_seen, each.identity),
}


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("sort", Sort)
def test_pages_have_each_finding_once_in_order_there_and_back(sort: Sort, order: Order) -> None:
    entries = many(103)
    found = index(entries)
    expected = sorted(entries, key=KEYS[sort], reverse=order is Order.DESCENDING)
    query = Query(sort=sort, order=order, limit=10)
    seen: list[Entry] = []
    while True:
        page = found.page(query)
        assert page.has_before == bool(seen)
        seen += [row.entry for row in page.rows]
        if not page.has_after:
            break
        query = replace(query, after=seen[-1].identity)
    assert seen == expected
    back: list[Entry] = []
    query = replace(query, after="", before=seen[-1].identity)
    while True:
        page = found.page(query)
        back = [row.entry for row in page.rows] + back
        if not page.has_before:
            break
        query = replace(query, before=back[0].identity)
    assert [*back, expected[-1]] == expected


def test_a_page_goes_on_where_its_finding_stands_now() -> None:
    """Lost otherwise: a scan that ends between two pages has the reader begin anew, or skip findings."""
    found = index([entry(1), entry(2, state=State.RESOLVED, resolved_at="2026-11-20T06:00:00.000Z"), entry(3)])
    assert [row.entry.identity[-1] for row in found.page(Query(after=entry(2).identity)).rows] == ["3"]
    with pytest.raises(Gone):
        found.page(Query(after=entry(9).identity))


def test_an_exception_that_ends_takes_its_marks_with_it() -> None:
    found = index([entry(1), entry(2)])
    ends = {day: datetime(2026, 11, day, tzinfo=UTC) for day in (28, 29)}
    decided = ScanException(name="x", match=Match(fingerprints=(entry(1).identity,)), expires_at=ends[28])
    for now, expected in ((NOW, ["x", ""]), (ends[29], ["", ""])):
        under = Suppressor([decided] if now < decided.expires_at else [], now)
        found.suppress(under.mark, under.of_entry)
        rows = found.page(Query()).rows
        assert [row.suppressed.name if row.suppressed else "" for row in rows] == expected
        assert sum(found.page(Query(suppressed=Suppressed.NO)).counts.values()) == expected.count("")


def test_the_same_exceptions_are_not_asked_twice() -> None:
    """Lost otherwise: each page of a list looks at all findings."""
    found = index([entry(1)])
    asked: list[Entry] = []
    for _ in range(3):
        found.suppress("mark", asked.append)
    assert len(asked) == 1


def test_a_history_that_is_too_large_is_refused_and_takes_no_more_room() -> None:
    """Lost otherwise: one project's history fills the disk of all."""
    with pytest.raises(TooLarge):
        index((entry(number, where="x" * 2_000) for number in range(2_000)), most_bytes=1 << 20)


def test_hostile_texts_are_values_and_stay_as_they_are() -> None:
    hostile = "'); DROP TABLE finding; --\x00\N{RIGHT-TO-LEFT OVERRIDE}<script>"
    found = index([entry(1, name=hostile, where=hostile, first_seen=hostile, last_seen=hostile)])
    assert names(found, Query(sort=Sort.FIRST_SEEN)) == [hostile]
    assert names(found, Query(text="drop table")) == [hostile]
    assert list(found.points) == []
