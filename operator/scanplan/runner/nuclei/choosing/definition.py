"""What a template file says about itself, read as YAML where a plain look is not certain.

Nuclei takes every spelling that YAML and JSON allow. A line ``id: name`` at the left margin of a block mapping can be nothing
else than the id. This spares the parser for nearly all of ten thousand files; all other spellings are parsed.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from scanplan.core.planning.nuclei import plain_yaml

MAX_PARSED_BYTES = 4 << 20
"""Larger files are no templates: word lists and collections that lie beside them."""
_MAX_COUNTED_BYTES = 16 << 20
"""So much of a file with payloads is looked at."""
_MAX_DEPTH = 100
"""The C parser builds values recursively: without a limit a hostile file crashes the process."""
_MAX_VALUES = 1 << 18
"""Aliases make a few lines as large as they like."""
_ID = re.compile(rb"^id:[ \t]+([A-Za-z0-9][A-Za-z0-9_-]*)[ \t]*(?:#[^\r\n]*)?\r?$", re.MULTILINE)
_SEVERITY = re.compile(rb"^[ \t]+severity:[ \t]+(info|low|medium|high|critical|unknown)[ \t]*\r?$", re.MULTILINE)
_FLOW = re.compile(rb"^[{\[\"']", re.MULTILINE)
_OPERATORS = {
    "matchers", "extractors", "matchers-condition", "stop-at-first-match", "id",
}  # fmt: skip
"""Keys of a request that change nothing of what is sent."""
_TARGETS = (b"{{BaseURL}}", b"{{RootURL}}", b"{{Hostname}}", b"{{Host}}:", b"{{FQDN}}")
_CLUSTERED = ("http", "requests", "dns", "ssl")


def identifier(content: bytes) -> str | None:
    """A template's id, empty where it is too broken to tell; None where the file is no template."""
    found = _ID.findall(content)
    if len(found) == 1 and not _FLOW.search(content):
        return str(found[0], "ascii")
    if b"id" not in content or len(content) > MAX_PARSED_BYTES:
        return None
    document = parse(content)
    if document is None:
        return (
            str(found[0], "ascii")
            if found
            else ""
            if _FLOW.search(content[:1]) is None and b"info" in content
            else None
        )
    value = document.get("id")
    return str(value) if isinstance(value, str | int | float) and str(value) else None


def severity(content: bytes) -> str | None:
    """A template's severity where there is no doubt about it; None where Nuclei has to decide."""
    found = _SEVERITY.findall(content)
    return str(found[0], "ascii") if len(found) == 1 and content.count(b"severity") == 1 else None


def parse(content: bytes) -> dict[str, Any] | None:
    """The file as a mapping, in which all keys are text; None where it is none, broken, or too deep or large for a template."""
    if len(content) > MAX_PARSED_BYTES:
        return None
    try:
        if content.lstrip()[:1] == b"{":
            return _mapping(msgspec.json.decode(content))
    except (msgspec.DecodeError, ValueError, RecursionError):
        pass  # a flow mapping of YAML begins like this, too
    import yaml  # noqa: PLC0415 - most scans need no parser, and start without it

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = 0
        for event in yaml.parse(content, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH:
                return None
        return _mapping(next(iter(yaml.load_all(content, Loader=loader)), None))
    except (yaml.YAMLError, RecursionError, *plain_yaml.VALUE_ERRORS):
        return None


def stated_severity(document: dict[str, Any]) -> str:
    """The severity of a parsed template; ``unknown`` where it states none."""
    info = document.get("info")
    value = info.get("severity") if isinstance(info, dict) else None
    return str(value).strip().lower() if value else "unknown"


def kind(document: dict[str, Any]) -> str:
    """The protocol of a template, for messages; ``workflow`` where it runs others."""
    if "workflows" in document:
        return "workflow"
    protocols = [name for name in _PROTOCOLS if document.get(name)]
    return protocols[0] if protocols else ""


_PROTOCOLS = (
    "http",
    "requests",
    "dns",
    "tcp",
    "network",
    "ssl",
    "websocket",
    "javascript",
    "headless",
    "code",
    "file",
    "whois",
)
PROTOCOLS = {name: name for name in _PROTOCOLS} | {"requests": "http", "network": "tcp", "workflows": "workflow"}
"""The protocols of requests, by the members of a template that hold them."""


def former_ids(content: bytes) -> object:
    """What a template states as ``info.metadata.aliases``; None where it states nothing."""
    document = parse(content) if b"aliases" in content else None
    info = document.get("info") if document else None
    metadata = info.get("metadata") if isinstance(info, dict) else None
    return metadata.get("aliases") if isinstance(metadata, dict) else None


def requests(content: bytes, path: Path, root: Path) -> int:
    """How many requests a template makes to an endpoint, about: its paths, times its payloads. For estimates only."""
    plain = max(1, sum(content.count(word) for word in _TARGETS))
    if b"payloads" not in content:
        return plain
    document = parse(content) or {}
    factors = [_combinations(request, path, root) for _, request in _requests(document) if isinstance(request, dict)]
    return plain * max(factors, default=1)


def _combinations(request: dict[str, Any], path: Path, root: Path) -> int:
    payloads = request.get("payloads")
    if not isinstance(payloads, dict) or not payloads:
        return 1
    sizes = [_size(payload, path, root) for payload in payloads.values()]
    return math.prod(sizes) if request.get("attack") == "clusterbomb" else max(sizes)


def _size(payload: object, path: Path, root: Path) -> int:
    if isinstance(payload, list):
        return max(1, len(payload))
    for folder in (path.parent, root):
        if (lines := _lines(folder / str(payload), root)) is not None:
            return max(1, lines)
    return max(1, str(payload).count("\n"))


def _lines(path: Path, root: Path) -> int | None:
    """Lines of a file, as far as they are counted; None where it is no plain file of the source."""
    try:
        real = Path(os.path.realpath(path))
        if not (real.is_relative_to(os.path.realpath(root)) and real.is_file()):
            return None
        with real.open("rb") as file:
            return file.read(_MAX_COUNTED_BYTES).count(b"\n")
    except (OSError, ValueError):
        return None


def request_key(document: dict[str, Any]) -> str | None:
    """Equal for templates that send the same single request, which Nuclei then sends once for all of them (a cluster).

    None where a template is never clustered: a flow, several requests, another protocol.
    """
    if document.get("flow") or document.get("self-contained"):
        return None
    requests = list(_requests(document))
    if len(requests) != 1 or requests[0][0] not in _CLUSTERED or not isinstance(requests[0][1], dict):
        return None
    protocol = "http" if requests[0][0] == "requests" else requests[0][0]
    sent = {name: value for name, value in requests[0][1].items() if name not in _OPERATORS}
    sent["method"] = str(sent.get("method") or "GET").upper()
    return protocol + json.dumps(sent, sort_keys=True)


def _requests(document: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """The requests of a template, each with the member that holds it."""
    for name in _PROTOCOLS:
        if isinstance(listed := document.get(name), list):
            yield from ((name, request) for request in listed)


def _mapping(value: object) -> dict[str, Any] | None:
    """A parsed file by text. Raises ValueError where it is too deep, too large, or holds what is no text."""
    return _plain(value, itertools.count(), 0) if isinstance(value, dict) else None


def _plain(value: object, values: Iterator[int], depth: int) -> Any:
    """A value as JSON has it. Whatever else a parser makes, such as dates, becomes text."""
    if depth > _MAX_DEPTH or next(values) >= _MAX_VALUES:
        raise ValueError("too deep or too large")
    match value:
        case dict():
            return {_text(key): _plain(item, values, depth + 1) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item, values, depth + 1) for item in value]
        case None | bool() | float():
            return value
        case int() if abs(value) < 1 << 63:
            return value
        case _:
            return _text(value)


def _text(value: object) -> str:
    """Raises ValueError where it can't be written: halves of characters, and numbers of thousands of digits."""
    text = str(value)
    text.encode()
    return text
