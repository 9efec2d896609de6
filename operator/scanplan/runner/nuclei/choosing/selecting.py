"""Which templates a plan's `selection` leaves out, by what the files say of themselves.

Nuclei has filters of its own. But they exit 0 where they leave nothing of a part, and are not known before the scan. So the
choice is made here, by Nuclei's rules, and Nuclei gets the list of files.
"""

from __future__ import annotations

import re
from pathlib import PurePath

import msgspec

from scanplan.api import globs
from scanplan.api.documents.task import TemplateFilter
from scanplan.runner.nuclei.choosing import definition

_INFO = re.compile(rb"^info:[ \t]*\r?\n((?:(?:[ \t].*)?\r?\n)*)", re.MULTILINE)
_FIELDS = {
    name: re.compile(rb"^  " + name.encode() + rb":[ \t]+([A-Za-z0-9][A-Za-z0-9_.,@+ -]*?)[ \t]*\r?$", re.MULTILINE)
    for name in ("tags", "author", "severity")
}
"""A line of the block `info` that can be nothing else than the field, where the word is there only once."""
_PROTOCOL = re.compile(rb"^([a-z]+):[ \t]*\r?$", re.MULTILINE)
_OTHER_SPELLING = re.compile(rb"^[{\[\"'?-]", re.MULTILINE)


class Facts(msgspec.Struct, frozen=True):
    """What a template says of itself, in lower case."""

    id: str
    tags: frozenset[str] = frozenset()
    authors: frozenset[str] = frozenset()
    protocols: frozenset[str] = frozenset()
    severity: str = "unknown"


def facts(identifier: str, content: bytes) -> Facts:
    """Read a template file, as YAML only where a look at its lines leaves a doubt."""
    info = _INFO.findall(content)
    protocols = frozenset(found.decode() for found in _PROTOCOL.findall(content)) & definition.PROTOCOLS.keys()
    if len(info) != 1 or not protocols or _OTHER_SPELLING.search(content):
        return _parsed(identifier, content)
    plain = {name: _plain(name, info[0]) for name in _FIELDS}
    tags, author, severity = plain["tags"], plain["author"], plain["severity"]
    if tags is None or author is None or severity is None:
        return _parsed(identifier, content)
    return Facts(
        id=identifier.lower(),
        tags=words(tags),
        authors=words(author),
        protocols=frozenset(definition.PROTOCOLS[name] for name in protocols),
        severity=severity.lower() or "unknown",
    )


class Choice:
    """The `selection` of a plan."""

    def __init__(self, include: TemplateFilter, exclude: TemplateFilter) -> None:
        self._include = include
        self._exclude = exclude
        self._wanted, self._unwanted = globs.any_of(include.ids), globs.any_of(exclude.ids)
        self.of_all = include == exclude == TemplateFilter()
        """Nothing is left out."""

    def left_out(self, template: Facts, path: PurePath) -> str:
        """Why a template does not run, in words that follow "left out: "; empty where it runs.

        Args:
            path: relative to its source.
        """
        include, exclude = self._include, self._exclude
        for wanted, has, what in (
            (include.tags, not template.tags.isdisjoint(include.tags), "none of the included tags"),
            (include.authors, not template.authors.isdisjoint(include.authors), "none of the included authors"),
            (include.ids, self._wanted(template.id), "none of the included ids"),
            (include.protocols, not template.protocols.isdisjoint(include.protocols), "none of the included protocols"),
        ):
            if wanted and not has:
                return what
        for has, what in (
            (not template.tags.isdisjoint(exclude.tags), "an excluded tag"),
            (not template.authors.isdisjoint(exclude.authors), "an excluded author"),
            (self._unwanted(template.id), "an excluded id"),
            (not template.protocols.isdisjoint(exclude.protocols), "an excluded protocol"),
            (template.severity in exclude.severities, "an excluded severity"),
            (any(path.is_relative_to(each) for each in exclude.paths), "an excluded path"),
        ):
            if has:
                return what
        return ""


def _plain(name: str, info: bytes) -> str | None:
    """The value of a field; empty where there is none, None where only the parser can tell."""
    count = info.count(name.encode())
    if not count:
        return ""
    found = _FIELDS[name].findall(info)
    return str(found[0], "ascii") if len(found) == count == 1 else None


def _parsed(identifier: str, content: bytes) -> Facts:
    document = definition.parse(content) or {}
    info = document.get("info")
    stated = info if isinstance(info, dict) else {}
    return Facts(
        id=identifier.lower(),
        tags=words(stated.get("tags")),
        authors=words(stated.get("author")),
        protocols=frozenset(protocol for name, protocol in definition.PROTOCOLS.items() if document.get(name)),
        severity=definition.stated_severity(document),
    )


def words(value: object) -> frozenset[str]:
    """Tags or authors: one text with commas, or a list."""
    items = value if isinstance(value, list) else str(value or "").split(",")
    return frozenset(str(item).strip().lower() for item in items if str(item).strip())


ALL = Choice(TemplateFilter(), TemplateFilter())
"""Leaves nothing out."""
