"""Keep endpoints that come from a Secret out of what a pod says: its log, and the report that becomes a plan's status.

Messages quote what Nuclei, the system and Python said, so they are searched for hosts rather than trusted to name none. Files on
the claim keep the endpoints: findings are of no use without.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

import msgspec

from scanplan.api.documents.report import HistoryCounts, MergedResult, ShardReport, TaskError
from scanplan.api.documents.task import TaskDocument
from scanplan.core.planning import shards
from scanplan.core.planning.targets import endpoints
from scanplan.runner import progress

BLOT = "[redacted]"
_WORD = re.compile(r"""[^\s,\\"`]+""")
"""A word of a message. None of these characters is in an endpoint, so one is never cut in two."""
_HOST = re.compile(r"[\w.:-]+")
"""What may be a host in a word, perhaps with a port."""

_AUTHORITY = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://)?[^/?#]*")


class Redaction:
    """Blots out the endpoints of a confidential task; leaves the messages of all others as they are."""

    def __init__(self, document: TaskDocument) -> None:
        self._hosts: frozenset[str] = frozenset()
        self._quoted: re.Pattern[str] | None = None
        self.active = document.confidential
        if self.active:
            self._hosts = frozenset(shards.host_of(endpoint) for endpoint in document.endpoints)
            pieces = {piece for endpoint in document.endpoints for piece in _pieces(endpoint)}
            self._quoted = (
                re.compile("|".join(map(_bounded, sorted(pieces, key=len, reverse=True)))) if pieces else None
            )

    def text(self, message: str) -> str:
        """A message without any word that names a URL, an address, or a host of the task."""
        return _WORD.sub(self._word, message) if self.active else message

    def error(self, error: TaskError) -> TaskError:
        return msgspec.structs.replace(error, message=self.text(error.message))

    def report(self, report: ShardReport) -> ShardReport:
        """An attempt's report; its counts stay."""
        return msgspec.structs.replace(
            report,
            error=self.error(report.error) if report.error else None,
            warnings=tuple(map(self.text, report.warnings)),
            merged=self._merged(report.merged) if report.merged else None,
        )

    def _merged(self, merged: MergedResult) -> MergedResult:
        return msgspec.structs.replace(
            merged,
            endpoints_remark=self.text(merged.endpoints_remark),
            templates_remark=self.text(merged.templates_remark),
            history=self._history(merged.history) if merged.history else None,
        )

    def _history(self, history: HistoryCounts) -> HistoryCounts:
        """New findings are named without the place where they are, if endpoints are secret."""
        if not self.active or history.told is None:
            return history
        examples = tuple(
            msgspec.structs.replace(each, name=self.text(each.name), template=self.text(each.template), where="")
            for each in history.told.examples
        )
        return msgspec.structs.replace(history, told=msgspec.structs.replace(history.told, examples=examples))

    def event(self, event: progress.Event) -> progress.Event:
        return msgspec.structs.replace(event, message=self.text(event.message))

    def _word(self, match: re.Match[str]) -> str:
        word = _folded(unquote(match[0]))
        quoted = self._quoted is not None and self._quoted.search(word)
        named = "://" in word or quoted or any(self._is_named(part) for part in _HOST.findall(word))
        return BLOT if named else match[0]

    def _is_named(self, part: str) -> bool:
        """Whether it is a host of the task, is below one, or is an address, which may be that of one."""
        name = part.strip(".:").lower()
        for candidate in (name, name.rpartition(":")[0], *name.split(":")):
            labels = candidate.strip(".").split(".")
            above = (".".join(labels[count:]) for count in range(len(labels)))
            if _is_address(candidate) or not self._hosts.isdisjoint(above):
                return True
        return False


def _pieces(endpoint: str) -> Iterator[str]:
    """What tells of an endpoint by itself: its host, also in Unicode, its path, and its query."""
    host = shards.host_of(endpoint)
    yield _folded(host)
    if "xn--" in host:
        with contextlib.suppress(UnicodeError):
            yield _folded(host.encode().decode("idna"))
    path, _, query = _AUTHORITY.sub("", endpoint, count=1).partition("?")
    for part in (path, query):
        yield from (piece for piece in _WORD.findall(_folded(unquote(part))) if piece != "/")


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _bounded(piece: str) -> str:
    """The piece where it is no part of a longer word; what is not ASCII, `_` and `-` end words, too."""
    before = "" if piece[0] == "/" else "(?<![a-z0-9])"
    return f"{before}{re.escape(piece)}(?![a-z0-9])"


def _is_address(text: str) -> bool:
    return (text.count(".") == 3 or text.count(":") > 1) and endpoints.parse_address(text) is not None
