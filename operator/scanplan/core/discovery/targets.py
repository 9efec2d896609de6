"""What objects of one kind name: a host, and how it is reached."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from scanplan.core.observed import fields
from scanplan.core.observed.fields import Object

_SHOWN = 253
"""Characters of a name that a remark repeats."""
_LONGEST = 253
"""Characters of a host's name (RFC 1123)."""
_HOST = re.compile(r"[A-Za-z0-9._*-]+")
_CLUSTER = (".svc", ".cluster.local")
SCHEMES = ("http", "https")
_REGULAR_EXPRESSION = re.compile(r"[\\^$*+?()\[\]{}|]")


class Target(NamedTuple):
    """Where an object can be reached."""

    host: str
    scheme: str = ""
    """Empty: none is known, and the scanner finds out."""
    port: int = 0
    """0: the scheme's own."""
    path: str = ""


def ingress(item: Object, paths: bool) -> Iterator[Target | str]:
    """Every host of every rule, as https where the TLS section covers it; a text says what is left out."""
    spec = fields.mapping(item, "spec")
    tls = fields.items(spec, "tls")
    secured = {host.lower() for each in tls for host in fields.texts(each, "hosts")}
    all_secured = any(not fields.texts(each, "hosts") for each in tls)
    for rule in fields.items(spec, "rules"):
        host = fields.text(rule, "host")
        if not host:
            yield "a rule without a host"
            continue
        scheme = "http" if secured.isdisjoint(covering(host)) and not all_secured else "https"
        places = [
            (fields.text(place, "path"), fields.text(place, "pathType") == "ImplementationSpecific")
            for place in fields.items(fields.mapping(rule, "http"), "paths")
        ]
        for path in paths_of(places if paths else []):
            yield Target(host, scheme, path=path) if path is not None else "a path that may be a regular expression"


def service(item: Object) -> Iterator[Target | str]:
    """Every TCP port, at the name that pods of the cluster know; the scheme as the port's protocol or name says."""
    metadata, spec = fields.mapping(item, "metadata"), fields.mapping(item, "spec")
    if fields.text(spec, "type") == "ExternalName":
        yield "it stands for a name outside of the cluster (ExternalName)"
        return
    host = f"{fields.text(metadata, 'name')}.{fields.text(metadata, 'namespace')}.svc"
    for port in fields.items(spec, "ports"):
        number = fields.port(port, "port")
        if fields.text(port, "protocol") not in {"", "TCP"}:
            yield f"port {number} is not TCP"
        elif number:
            said = fields.text(port, "appProtocol") or fields.text(port, "name")
            scheme = next((each for each in reversed(SCHEMES) if re.match(rf"{each}(-|$)", said.lower())), "")
            yield Target(host, scheme, number)


def route(item: Object, paths: bool) -> Iterator[Target | str]:
    """The host of an OpenShift Route, where a router has admitted it."""
    spec = fields.mapping(item, "spec")
    host = fields.text(spec, "host")
    if fields.text(spec, "wildcardPolicy") not in {"", "None"}:
        yield f"host {host[:_SHOWN]!r} is a wildcard, which names no host"
        return
    routers = [
        each for each in fields.items(fields.mapping(item, "status"), "ingress") if fields.text(each, "host") == host
    ]
    if not any(is_true(router, "Admitted") for router in routers):
        yield "no router has admitted it"
        return
    path = fields.text(spec, "path") if paths else ""
    yield Target(host, "https" if fields.mapping(spec, "tls") else "http", path=path if path.startswith("/") else "")


def paths_of(places: list[tuple[str, bool]]) -> list[str | None]:
    """Paths, each once; None stands for one that is left out. Without places it is the host alone.

    Args:
        places: each with whether it may be a regular expression.
    """
    found: dict[str | None, None] = {}
    for path, may_be_expression in places:
        plain = not (may_be_expression and _REGULAR_EXPRESSION.search(path))
        found[(path if path.startswith("/") and path != "/" else "") if plain else None] = None
    return list(found) or [""]


def matches(host: str, pattern: str) -> bool:
    """Whether a host, or a narrower wildcard, is what a pattern such as ``*.example.com`` covers."""
    host, pattern = host.lower(), pattern.lower()
    return host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:]) and host != pattern[1:])


def covering(host: str) -> list[str]:
    """The patterns, in lower case, that cover a host, or a narrower wildcard: the host itself, and ``*.example.com`` for each of
    its domains. To look these up takes less than to compare each host with each pattern."""
    host = host.lower()
    if len(host) > _LONGEST:
        return [host]
    return [host, *(f"*{host[dot:]}" for dot in range(1, len(host)) if host[dot] == ".")]


def is_true(holder: Object, kind: str) -> bool:
    """Whether an object has a condition of this type with status True."""
    return any(
        fields.text(condition, "type") == kind and fields.text(condition, "status") == "True"
        for condition in fields.items(holder, "conditions")
    )


def unusable(host: str) -> str:
    """Why a host, as an Ingress has it, can't be a target; empty: it can."""
    if len(host) > _LONGEST or not _HOST.fullmatch(host):
        return f"host {host[:_SHOWN]!r} can't be a host's name"
    if "*" in host:
        return f"host {host[:_SHOWN]!r} is a wildcard, which names no host"
    if "." not in host or host.endswith(_CLUSTER):
        return f"host {host[:_SHOWN]!r} is a name inside the cluster; take it from its Service"
    return ""
