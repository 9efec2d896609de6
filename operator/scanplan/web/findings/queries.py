"""What a request asks of a list of findings, read from the query of its URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from aiohttp import web

from scanplan.api.documents.words import Severity
from scanplan.findings.identity import LENGTH
from scanplan.findings.listing import Which

DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000
MAX_TEXT = 200
"""Characters of a text that is searched for."""
IDENTITY = rf"^[0-9a-f]{{{LENGTH}}}$"


class Sort(StrEnum):
    """The sort key of a list. Findings with the same key are sorted by identity."""

    SEVERITY = "severity"
    """The most severe first, then those that are known longest."""
    NAME = "name"
    WHERE = "where"
    FIRST_SEEN = "first_seen"
    LAST_SEEN = "last_seen"


class Order(StrEnum):
    """The direction of the sort."""

    ASCENDING = "asc"
    DESCENDING = "desc"


class Suppressed(StrEnum):
    """Whether findings under a ScanException are in the list."""

    ALL = "all"
    NO = "no"
    """Only those under none."""
    ONLY = "only"


@dataclass(frozen=True, slots=True)
class Query:
    """A page of a list."""

    which: Which = Which.OPEN
    severities: frozenset[Severity] = frozenset(Severity)
    suppressed: Suppressed = Suppressed.ALL
    text: str = ""
    """Text in the name, template, matcher or place of a finding, in upper or lower case. Empty: any finding."""
    sort: Sort = Sort.SEVERITY
    order: Order = Order.ASCENDING
    limit: int = DEFAULT_LIMIT
    after: str = ""
    """The page follows the finding with this identity."""
    before: str = ""
    """The page ends before the finding with this identity. Always empty if `after` is set."""


def read(query: Mapping[str, str]) -> Query:
    """What the query of a request asks for.

    Raises:
        web.HTTPBadRequest: a value can't be read.
    """
    try:
        names = [name for name in query.get("severity", "").split(",") if name]
        asked = Query(
            which=Which(query.get("state", Which.OPEN)),
            severities=frozenset(map(Severity, names)) or frozenset(Severity),
            suppressed=Suppressed(query.get("suppressed", Suppressed.ALL)),
            text=query.get("text", "").strip(),
            sort=Sort(query.get("sort", Sort.SEVERITY)),
            order=Order(query.get("order", Order.ASCENDING)),
            limit=int(query.get("limit", DEFAULT_LIMIT)),
            after=query.get("after", ""),
            before=query.get("before", ""),
        )
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"the query can't be read: {error}") from None
    if not 1 <= asked.limit <= MAX_LIMIT:
        raise web.HTTPBadRequest(text=f"limit is 1 to {MAX_LIMIT}")
    if len(asked.text) > MAX_TEXT:
        raise web.HTTPBadRequest(text=f"text has at most {MAX_TEXT} characters")
    for place in filter(None, (asked.after, asked.before)):
        if not re.fullmatch(IDENTITY, place):
            raise web.HTTPBadRequest(text="after and before are identities of findings")
    return replace(asked, before="") if asked.after else asked
