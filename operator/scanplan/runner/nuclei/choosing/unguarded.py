"""Templates of protocols that Nuclei can't keep from denied addresses.

`whois` asks servers by a client of its own, which follows redirects wherever they lead (as of 3.11.1). Templates that use such a
protocol are left out, unless the operator's owner has switched it on. So are templates whose keys can't be read. Everything else
dials through Nuclei's exclusion; `dns` asks the pod's own name servers, whatever resolvers a template names.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from scanplan.api.errors import NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning.nuclei.protocols import UNGUARDED
from scanplan.runner.nuclei.choosing import definition
from scanplan.runner.nuclei.choosing.templates import Selection

_SHOWN = 5
WHY = "its protocol can't be kept from denied addresses, or can't be read"
_BINARY = "tag:yaml.org,2002:binary"
_DOUBT = re.compile(rb"!!|!<|!include:|%TAG|\\[xuU\r\n\x80-\xff]|\x00|\A(?:\xff\xfe|\xfe\xff)|\xc5\xbf|\xe2\x84\xaa")
"""What can write a key in other bytes than its own: escapes, tags, other encodings, letters that fold to ASCII."""


def without(selection: Selection, allowed: Sequence[str]) -> tuple[Selection, str]:
    """The selection without templates of unguarded protocols.

    Args:
        allowed: unguarded protocols that the operator's owner has switched on.

    Returns:
        The selection, and a warning that names what was left out; empty: nothing was.

    Raises:
        NucleiBinaryError: (InvalidOptions) a plan names such a template by itself, or nothing else is left.
        OSError: a template can't be read.
    """
    found = [path for path in selection.files if is_refused(path.read_bytes(), allowed)]
    if not found:
        return selection, ""
    named = [path for path in found if path in selection.named]
    names = ", ".join(path.name for path in (named or found)[:_SHOWN])
    why = (
        f"use a protocol that can't be kept from denied addresses ({', '.join(UNGUARDED)}), "
        f"or can't be read to tell: {names}. "
        "The operator's owner can allow it by SCANPLAN_UNGUARDED_PROTOCOLS"
    )
    if named or len(found) == len(selection.files):
        raise NucleiBinaryError(Reason.INVALID_OPTIONS, f"{len(named or found)} templates {why}.")
    left = msgspec.structs.replace(
        selection,
        templates=tuple(template for template in selection.templates if template.path not in set(found)),
        left_out=(
            *selection.left_out,
            *((template, WHY) for template in selection.templates if template.path in set(found)),
        ),
    )
    return left, f"{len(found)} templates were left out, since they {why}."


def is_refused(content: bytes, allowed: Sequence[str] = ()) -> bool:
    """Whether a template uses one of the protocols that are off, or may use it, since it can't be read."""
    off = frozenset(UNGUARDED).difference(allowed)
    if not off or not (_DOUBT.search(content) or any(protocol.encode() in content.lower() for protocol in off)):
        return False
    keys = _keys(content)
    return keys is None or not off.isdisjoint(map(str.casefold, keys))


def _keys(content: bytes) -> set[str] | None:
    """Every key of every mapping, as Nuclei reads it; None where the file can't be read."""
    if len(content) > definition.MAX_PARSED_BYTES or b"!include:" in content:
        return None
    try:
        return _json_keys(content)
    except (ValueError, RecursionError):
        pass
    import yaml  # noqa: PLC0415 - most scans need no parser, and start without it

    try:
        return set(_yaml_keys(yaml, content))
    except (yaml.YAMLError, ValueError):
        return None


def _json_keys(content: bytes) -> set[str]:
    keys: set[str] = set()
    json.loads(content, object_pairs_hook=lambda pairs: keys.update(key for key, _ in pairs))
    return keys


def _yaml_keys(yaml: Any, content: bytes) -> Iterator[str]:
    """From events, which need no recursion, and show duplicate and merged keys as they stand."""
    anchors: dict[str, str] = {}
    seen: list[int | None] = []  # for each open collection: its nodes until now; None: it is a sequence
    for event in yaml.parse(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.CollectionEndEvent):
            seen.pop()
        if not isinstance(event, yaml.NodeEvent):
            continue
        count = seen[-1] if seen else None
        if count is not None:
            seen[-1] = count + 1
        text = anchors.get(event.anchor, "") if isinstance(event, yaml.AliasEvent) else ""
        if isinstance(event, yaml.ScalarEvent):
            text = base64.b64decode(event.value).decode() if event.tag == _BINARY else event.value
            if event.anchor:
                anchors[event.anchor] = text
        if count is not None and count % 2 == 0:
            yield text
        if isinstance(event, yaml.CollectionStartEvent):
            seen.append(0 if isinstance(event, yaml.MappingStartEvent) else None)
