"""The query of a list: lost otherwise is a link that shows something else than its sender saw."""

from __future__ import annotations

import pytest
from aiohttp import web
from yarl import URL

from scanplan.api.documents.words import Severity
from scanplan.findings.listing import Which
from scanplan.web.findings import queries
from scanplan.web.findings.queries import Order, Query, Sort, Suppressed

MARK = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", Query()),
        ("severity=", Query()),
        ("severity=critical,low", Query(severities=frozenset({Severity.CRITICAL, Severity.LOW}))),
        ("state=resolved&suppressed=no", Query(which=Which.RESOLVED, suppressed=Suppressed.NO)),
        ("sort=where&order=desc&limit=1000", Query(sort=Sort.WHERE, order=Order.DESCENDING, limit=1_000)),
        (f"text=%20a%26b%20&after={MARK}", Query(text="a&b", after=MARK)),
        (f"before={MARK}&namespace=other", Query(before=MARK)),
        (f"before={MARK}&after={MARK}", Query(after=MARK)),
    ],
)
def test_what_is_asked_for_is_read(query: str, expected: Query) -> None:
    assert queries.read(URL(f"/?{query}").query) == expected


@pytest.mark.parametrize(
    "query",
    [
        "state=gone",
        "severity=grave",
        "severity=high;low",
        "suppressed=maybe",
        "sort=id; DROP TABLE finding",
        "order=up",
        "limit=0",
        "limit=1001",
        "limit=x",
        f"text={'x' * 201}",
        "after=x",
        f"after={MARK.upper()}",
        f"after={MARK}%0A",
        "before='",
    ],
)
def test_what_is_not_understood_is_said_so(query: str) -> None:
    with pytest.raises(web.HTTPBadRequest):
        queries.read(URL(f"/?{query}").query)
