"""Objects that are reached by gateways: HTTPRoutes of the Gateway API, and Istio's VirtualServices.

A route takes its ports and schemes from its gateways' listeners, which have to be read before.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from scanplan.core.discovery.selection import Kind
from scanplan.core.discovery.targets import Target, covering, is_true, matches, paths_of, unusable
from scanplan.core.observed import fields
from scanplan.core.observed.fields import Object

MOST_GATEWAYS = 64
"""Gateways that one selection reads; routes to further ones are left out."""
_ENTRY_BYTES = 256
"""What a listener, or a host of a server, takes besides its text."""
_LISTENER_SCHEMES = {"HTTP": "http", "HTTPS": "https"}
_SERVER_SCHEMES = {"HTTP": "http", "HTTP2": "http", "HTTPS": "https", "TLS": "https"}


class GatewayKind(StrEnum):
    """Kinds of objects that say by which ports and schemes others are reached."""

    GATEWAY_API = "gateway.networking.k8s.io"
    ISTIO = "networking.istio.io"


class Gateway(NamedTuple):
    """A gateway that an object names."""

    kind: GatewayKind
    namespace: str
    name: str


class Listener(NamedTuple):
    """A listener of a Gateway of the Gateway API, for HTTP."""

    name: str
    port: int
    scheme: str
    hostname: str
    """Empty: any."""


class Servers(NamedTuple):
    """The servers of an Istio gateway, for HTTP."""

    namespace: str
    """The gateway's own."""
    places: list[tuple[str, int]]
    """Scheme and port of each."""
    hosts: dict[tuple[str, str], set[int]]
    """By namespace and pattern of hosts, in lower case, which servers take them. Those of a gateway may be thousands."""


class Places(NamedTuple):
    """Where a gateway can be reached; nothing else of the gateway is kept."""

    listeners: list[Listener]
    servers: Servers
    size: int
    """Bytes that they take in memory."""


Gateways = Mapping[Gateway, Places | None]
"""Those that were asked for; None stands for one that can't be read."""


def places_of(body: Object, most: int = sys.maxsize) -> Places:
    """What is needed of a gateway.

    Args:
        body: of either kind.
        most: bytes; reading ends where it takes more.
    """
    spec = fields.mapping(body, "spec")
    listeners: list[Listener] = []
    servers = Servers(fields.text(fields.mapping(body, "metadata"), "namespace"), [], {})
    size = 0
    for listener in fields.items(spec, "listeners"):
        number, scheme = fields.port(listener, "port"), _LISTENER_SCHEMES.get(fields.text(listener, "protocol"))
        if number and scheme:
            name, hostname = fields.text(listener, "name"), fields.text(listener, "hostname")
            listeners.append(Listener(name, number, scheme, hostname))
            size += len(name) + len(hostname) + _ENTRY_BYTES
    for server in fields.items(spec, "servers"):
        port = fields.mapping(server, "port")
        number, scheme = fields.port(port, "number"), _SERVER_SCHEMES.get(fields.text(port, "protocol").upper())
        if not number or scheme is None:
            continue
        servers.places.append((scheme, number))
        size += _ENTRY_BYTES
        for pattern in fields.texts(server, "hosts"):
            if size > most:
                break
            where, _, name = pattern.rpartition("/")
            servers.hosts.setdefault((where, name.lower()), set()).add(len(servers.places) - 1)
            size += len(pattern) + _ENTRY_BYTES
    return Places(listeners, servers, size)


def gateways(kind: Kind, item: Object) -> tuple[Gateway, ...]:
    """The gateways that have to be read before an object's endpoints are known."""
    namespace, spec = fields.text(fields.mapping(item, "metadata"), "namespace"), fields.mapping(item, "spec")
    if kind is Kind.HTTP_ROUTE:
        found = [_parent(parent, namespace) for parent in fields.items(spec, "parentRefs")]
        return tuple(dict.fromkeys(gateway for gateway in found if gateway))
    if kind is Kind.VIRTUAL_SERVICE:
        return tuple(_mesh_gateways(spec, namespace))
    return ()


def http_route(item: Object, paths: bool, known: Gateways) -> Iterator[Target | str]:
    """Every hostname at every listener of the Gateways that have accepted the route; a text says what is left out."""
    spec, namespace = fields.mapping(item, "spec"), fields.text(fields.mapping(item, "metadata"), "namespace")
    hostnames = fields.texts(spec, "hostnames")
    if not hostnames:
        yield "it names no hostname"
        return
    places = [
        (
            fields.text(fields.mapping(match, "path"), "value"),
            fields.text(fields.mapping(match, "path"), "type") == "RegularExpression",
        )
        for rule in fields.items(spec, "rules")
        for match in fields.items(rule, "matches")
    ]
    wanted = paths_of(places if paths else [])
    accepted = {
        _identity(fields.mapping(each, "parentRef"), namespace)
        for each in fields.items(fields.mapping(item, "status"), "parents")
        if is_true(each, "Accepted")
    }
    for parent in fields.items(spec, "parentRefs"):
        gateway = _parent(parent, namespace)
        if gateway is None:
            yield "a parent that is no Gateway (mesh)"
        elif _identity(parent, namespace) not in accepted:
            yield f"Gateway {gateway.namespace}/{gateway.name} has not accepted it"
        elif (reached := known.get(gateway)) is None:
            yield f"Gateway {gateway.namespace}/{gateway.name} can't be read"
        else:
            some = False
            for target in _listened(parent, reached.listeners, hostnames):
                some = True
                yield from _with_paths(target, wanted)
            if not some:
                yield f"no hostname is one of Gateway {gateway.namespace}/{gateway.name}"


def _with_paths(target: Target, paths: list[str | None]) -> Iterator[Target | str]:
    for path in paths:
        yield target._replace(path=path) if path is not None else "a path that is a regular expression"


def _listened(parent: Object, listeners: list[Listener], hostnames: list[str]) -> Iterator[Target]:
    """Where a Gateway's listeners serve these hostnames."""
    section, port = fields.text(parent, "sectionName"), fields.port(parent, "port")
    for listener in listeners:
        if section not in {"", listener.name} or port not in {0, listener.port}:
            continue
        for hostname in hostnames:
            if not listener.hostname or matches(hostname, listener.hostname):
                yield Target(hostname, listener.scheme, listener.port)
            elif matches(listener.hostname, hostname):
                yield Target(listener.hostname, listener.scheme, listener.port)


def _parent(parent: Object, namespace: str) -> Gateway | None:
    kind, group = fields.text(parent, "kind") or "Gateway", fields.text(parent, "group") or GatewayKind.GATEWAY_API
    if (kind, group) != ("Gateway", GatewayKind.GATEWAY_API):
        return None
    return Gateway(GatewayKind.GATEWAY_API, fields.text(parent, "namespace") or namespace, fields.text(parent, "name"))


def _identity(parent: Object, namespace: str) -> tuple[object, ...]:
    return (_parent(parent, namespace), fields.text(parent, "sectionName"), fields.port(parent, "port"))


def virtual_service(item: Object, paths: bool, known: Gateways) -> Iterator[Target | str]:
    """Every host at every server of the gateways that it names; a text says what is left out."""
    spec, namespace = fields.mapping(item, "spec"), fields.text(fields.mapping(item, "metadata"), "namespace")
    named = list(_mesh_gateways(spec, namespace))
    if not named:
        yield "it is for the mesh alone: it names no gateway"
        return
    uris = [
        fields.mapping(match, "uri") for rule in fields.items(spec, "http") for match in fields.items(rule, "match")
    ]
    places = [
        (fields.text(uri, "exact") or fields.text(uri, "prefix") or fields.text(uri, "regex"), "regex" in uri)
        for uri in uris
    ]
    wanted, hosts = paths_of(places if paths else []), fields.texts(spec, "hosts")
    for gateway in named:
        if (reached := known.get(gateway)) is None:
            yield f"gateway {gateway.namespace}/{gateway.name} can't be read"
            continue
        for host in hosts:
            if problem := unusable(host):
                yield problem
                continue
            served = _served(host, reached.servers, namespace)
            if not served:
                yield f"host {host} is none of gateway {gateway.namespace}/{gateway.name}"
            for target in served:
                yield from _with_paths(target, wanted)


def _mesh_gateways(spec: Object, namespace: str) -> Iterator[Gateway]:
    for text in dict.fromkeys(fields.texts(spec, "gateways")):
        if text != "mesh":
            where, _, name = text.rpartition("/")
            yield Gateway(GatewayKind.ISTIO, where or namespace, name)


def _served(host: str, servers: Servers, namespace: str) -> list[Target]:
    """Where the servers of an Istio gateway take a host, in their order."""
    visible = ["", "*", namespace, *(["."] if servers.namespace == namespace else [])]
    patterns = ["*", *covering(host)]
    taking = {number for where in visible for pattern in patterns for number in servers.hosts.get((where, pattern), ())}
    return [Target(host, *servers.places[number]) for number in sorted(taking)]
