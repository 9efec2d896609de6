"""What an image of templates knows of its files beforehand, so that a scan has to parse none of them.

``scanplan templates build`` writes the index beside the templates. An entry is found by the SHA-256 of a file's content, so an
index that is not of these files says nothing, and never something wrong. Without an entry the file itself is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from scanplan.api import wire
from scanplan.runner.nuclei.choosing import definition, selecting
from scanplan.runner.nuclei.choosing.selecting import Facts

NAME = "scanplan-index.ndjson"
"""At the root of a template source. Its suffix is none of a template's."""
MAX_BYTES = 64 << 20
"""A longer file is no index of ours: 100,000 templates take about 30 MiB."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A template."""

    path: str
    """Relative to the source."""
    sha256: str
    """In hex, of the file."""
    id: str
    severity: str = "unknown"
    tags: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    requests: int = 1
    """How many requests it makes to an endpoint, as far as the file tells."""
    former_ids: object = None
    """What it states as ``info.metadata.aliases``."""

    @property
    def facts(self) -> Facts:
        return Facts(
            id=self.id.lower(),
            tags=frozenset(self.tags),
            authors=frozenset(self.authors),
            protocols=frozenset(self.protocols),
            severity=self.severity,
        )


_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = wire.decoder(Entry).decode


def digest(content: bytes) -> str:
    """By which a file is found."""
    return hashlib.sha256(content).hexdigest()


def entry(path: Path, root: Path, content: bytes, identifier: str) -> Entry:
    """The entry of a template file."""
    facts = selecting.facts(identifier, content)
    return Entry(
        path=str(path.relative_to(root)),
        sha256=digest(content),
        id=identifier,
        severity=facts.severity,
        tags=tuple(sorted(facts.tags)),
        authors=tuple(sorted(facts.authors)),
        protocols=tuple(sorted(facts.protocols)),
        requests=definition.requests(content, path, root),
        former_ids=definition.former_ids(content),
    )


def encode(entries: Iterable[Entry]) -> bytes:
    """The index file, in the order of paths: the same entries are the same bytes."""
    return b"".join(_encode(each) + b"\n" for each in sorted(entries, key=lambda each: each.path))


def read(root: Path) -> Mapping[str, Entry]:
    """The entries of a source by digest; none where it has no index, or one that can't be read."""
    try:
        if not (root / NAME).is_file():
            return {}
        with (root / NAME).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            return {}
        return {found.sha256: found for found in map(_decode, content.splitlines())}
    except (OSError, *wire.UNREADABLE):
        return {}
