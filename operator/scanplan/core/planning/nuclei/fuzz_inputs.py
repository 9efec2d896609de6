"""Requests that fuzzing begins with: an API's description, or requests that were recorded.

A file could name any host. So its own hosts count for nothing. A description is scanned on the plan's endpoints, in place of
its servers. Of recorded requests, only those to the plan's endpoints are taken. What the target guard says of the endpoints
holds.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from scanplan.api.documents.words import FuzzInputMode
from scanplan.api.errors import InvalidEndpoint, InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning.nuclei import plain_yaml
from scanplan.core.planning.targets.endpoints import canonical_host, quoted

MAX_BYTES = 1 << 20
_MAX_DEPTH = 64
_DESCRIPTIONS = {FuzzInputMode.OPENAPI: ("openapi", "3"), FuzzInputMode.SWAGGER: ("swagger", "2")}
_PARTS = {
    FuzzInputMode.OPENAPI: {"openapi", "info", "paths", "components"},
    FuzzInputMode.SWAGGER: {"swagger", "info", "paths", "definitions", "parameters", "responses", "consumes"},
}
"""Members of a description that requests are made of. Nuclei gets no others: it would read `Servers` and `PATHS`, too."""
_OF_A_SERVER = {"servers", "security"}
"""Members of a path and of its operations that say where it is and how one logs in: the plan says both."""
_METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
_PORTS = {"http": 80, "https": 443}


def check(mode: FuzzInputMode, content: bytes, targets: Sequence[str], where: Callable[[str], str] = quoted) -> None:
    """Refuse a file that no fuzzing could begin with.

    Args:
        targets: all endpoints of the plan, in canonical form.
        where: what the message says instead of an endpoint, which may come from a Secret.

    Raises:
        InvalidPlan: it can't be read, or has nothing for these endpoints; it quotes nothing of the file.
    """
    if mode in _DESCRIPTIONS:
        _description(mode, content)
        if bare := next((target for target in targets if "://" not in target), ""):
            raise _refused(f"describes a web API, and {where(bare)} is no URL: write it with http:// or https://")
        if mode is FuzzInputMode.SWAGGER and len(targets) > 1:
            raise _refused(
                "is Swagger 2, which has one server: make a plan for each endpoint, or convert it to OpenAPI 3"
            )
    elif not list(_recorded(mode, content, targets)):  # to its end, since pods would read on after the first
        raise _refused("has no request to an endpoint of the plan")


def for_targets(mode: FuzzInputMode, content: bytes, targets: Sequence[str]) -> tuple[str, bytes] | None:
    """What Nuclei is given for some endpoints: its input mode, and a file. None: the file has nothing for them.

    Raises:
        InvalidPlan: as `check` does.
    """
    if mode in _DESCRIPTIONS:
        document = _description(mode, content)
        if mode is FuzzInputMode.OPENAPI:
            document["servers"] = [{"url": target.rstrip("/")} for target in targets]
        else:
            parts = urlsplit(targets[0])
            document |= {"host": parts.netloc, "basePath": parts.path or "/", "schemes": [parts.scheme]}
        return mode.value, json.dumps(document).encode()
    lines = [json.dumps({"url": url, "request": {"raw": raw}}) for url, raw in _recorded(mode, content, targets)]
    return (FuzzInputMode.JSONL.value, "\n".join([*lines, ""]).encode()) if lines else None


def _description(mode: FuzzInputMode, content: bytes) -> dict[str, Any]:
    """An API's description without its servers, and with nothing that Nuclei could read as one."""
    name, version = _DESCRIPTIONS[mode]
    try:
        document = _plain(plain_yaml.read(content, MAX_BYTES, _MAX_DEPTH))
    except ValueError as error:
        raise _refused(str(error)) from None
    if not isinstance(document, dict) or not str(document.get(name, "")).startswith(version):
        raise _refused(f"is no description of mode {mode.value}: it has no line `{name}: {version}…`")
    parts = {key: value for key, value in document.items() if key in _PARTS[mode] or _is_extension(key)}
    return parts | {"paths": _paths(document.get("paths"))}


def _paths(described: Any) -> dict[str, Any]:
    """The paths of a description. Nuclei appends each to the host, so `@evil.example` would be another host."""
    paths = {
        path: _without_servers(item)
        for path, item in (described.items() if isinstance(described, dict) else ())
        if not _is_extension(path)
    }
    if not paths:
        raise _refused("describes no paths")
    if not all(path.startswith("/") for path in paths):
        raise _refused("has a path that does not begin with /: correct it, or leave it out")
    return paths


def _is_extension(name: str) -> bool:
    """Whether a member of a description is its author's own."""
    return name.startswith("x-")


def _without_servers(item: Any) -> Any:
    """A path of a description, and its operations, without servers of their own."""
    if not isinstance(item, dict):
        return item
    return {
        key: _without_servers(value) if key in _METHODS else value
        for key, value in item.items()
        if key not in _OF_A_SERVER
    }


def _recorded(mode: FuzzInputMode, content: bytes, targets: Sequence[str]) -> Iterator[tuple[str, str]]:
    """URL and text of each recorded request to one of the endpoints."""
    places = [urlsplit(target if "://" in target else f"//{target}") for target in targets]
    wanted = {(place.hostname, place.port or _PORTS.get(place.scheme)) for place in places}
    readers = {FuzzInputMode.BURP: _burp, FuzzInputMode.JSONL: _jsonl, FuzzInputMode.YAML: _yaml}
    try:
        for written, raw in readers[mode](content):
            url, host, port = _place(written)
            if url and raw.strip() and not {(host, port), (host, None)}.isdisjoint(wanted):
                yield url, raw
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        problem = str(error) if isinstance(error, ValueError) and type(error) is ValueError else ""
        raise _refused(problem or f"can't be read as mode {mode.value}") from None


def _place(url: str) -> tuple[str, str, int]:
    """A URL with its host in canonical form, that host, and its port; all empty where it is no plain http(s) URL.

    Nuclei gets this spelling: of others, such as ``http://a.example\\@b.example``, it might read another host.
    """
    try:
        parts = urlsplit(url)
        host, port = canonical_host(parts.hostname or ""), parts.port
    except (ValueError, InvalidEndpoint):
        return "", "", 0
    if parts.scheme not in _PORTS or "@" in parts.netloc:
        return "", "", 0
    netloc = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    return urlunsplit(parts._replace(netloc=netloc)), host, port or _PORTS[parts.scheme]


def _burp(content: bytes) -> Iterator[tuple[str, str]]:
    from xml.etree import ElementTree  # noqa: PLC0415 - expat bounds the expansion of entities

    if len(content) > MAX_BYTES:
        raise ValueError(f"has more than {MAX_BYTES >> 10} KiB")
    try:
        items = ElementTree.fromstring(content).iter("item")  # noqa: S314 - see above; it loads no external entity
    except ElementTree.ParseError:
        raise ValueError("is no XML") from None
    for item in items:
        request = item.find("request")
        text = (request.text or "") if request is not None else ""
        if request is not None and request.get("base64") == "true":
            try:
                text = base64.b64decode(text).decode(errors="replace")
            except binascii.Error:
                raise ValueError("has a request that is no base64") from None
        yield (item.findtext("url") or "").strip(), text


def _jsonl(content: bytes) -> Iterator[tuple[str, str]]:
    if len(content) > MAX_BYTES:
        raise ValueError(f"has more than {MAX_BYTES >> 10} KiB")
    for line in content.splitlines():
        if line.strip():
            yield _of_record(msgspec.json.decode(line))


def _yaml(content: bytes) -> Iterator[tuple[str, str]]:
    for document in plain_yaml.read_all(content, MAX_BYTES, _MAX_DEPTH):
        if document is not None:
            yield _of_record(document)


def _of_record(record: Mapping[str, Any]) -> tuple[str, str]:
    """A record of proxify, as Nuclei reads it."""
    request = record.get("request") or {}
    return str(record.get("url") or request.get("endpoint") or ""), str(request.get("raw") or "")


def _plain(value: Any) -> Any:
    """The value with texts as keys, as JSON has them."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _refused(problem: str) -> InvalidPlan:
    return InvalidPlan(Reason.INVALID_SPEC, f"the file of scanner.requestsFrom {problem}")
