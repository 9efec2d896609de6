"""Objects that are reached by gateways: HTTPRoutes of the Gateway API, and Istio's VirtualServices.

A route takes its ports and schemes from its gateways' listeners, which have to be read before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from scanplan.core.discovery.selection import Kind
from scanplan.core.discovery.targets import Target, is_true, matches, paths_of, unusable
from scanplan.core.observed import fields
from scanplan.core.observed.fields import Object

MOST_GATEWAYS = 64
"""Gateways that one selection reads; routes to further ones are left out."""


class GatewayKind(StrEnum):
    """Kinds of objects that say by which ports and schemes others are reached."""

    GATEWAY_API = "gateway.networking.k8s.io"
    ISTIO = "networking.istio.io"


class Gateway(NamedTuple):
    """A gateway that an object names."""

    kind: GatewayKind
    namespace: str
    name: str


Gateways = Mapping[Gateway, Object | None]
"""Those that were asked for; None stands for one that can't be read."""


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
    accepted = [
        fields.mapping(each, "parentRef")
        for each in fields.items(fields.mapping(item, "status"), "parents")
        if is_true(each, "Accepted")
    ]
    for parent in fields.items(spec, "parentRefs"):
        gateway = _parent(parent, namespace)
        if gateway is None:
            yield "a parent that is no Gateway (mesh)"
        elif not any(_same_parent(parent, each, namespace) for each in accepted):
            yield f"Gateway {gateway.namespace}/{gateway.name} has not accepted it"
        elif (body := known.get(gateway)) is None:
            yield f"Gateway {gateway.namespace}/{gateway.name} can't be read"
        else:
            found = list(_listened(parent, body, hostnames))
            if not found:
                yield f"no hostname is one of Gateway {gateway.namespace}/{gateway.name}"
            for target in found:
                for path in paths_of(places) if paths else [""]:
                    yield target._replace(path=path) if path is not None else "a path that is a regular expression"


def _listened(parent: Object, gateway: Object, hostnames: list[str]) -> Iterator[Target]:
    """Where a Gateway's listeners serve these hostnames."""
    section, port = fields.text(parent, "sectionName"), fields.port(parent, "port")
    for listener in fields.items(fields.mapping(gateway, "spec"), "listeners"):
        number, scheme = (
            fields.port(listener, "port"),
            {"HTTP": "http", "HTTPS": "https"}.get(fields.text(listener, "protocol")),
        )
        if (
            not number
            or scheme is None
            or section not in {"", fields.text(listener, "name")}
            or port not in {0, number}
        ):
            continue
        limit = fields.text(listener, "hostname")
        for hostname in hostnames:
            if not limit or matches(hostname, limit):
                yield Target(hostname, scheme, number)
            elif matches(limit, hostname):
                yield Target(limit, scheme, number)


def _parent(parent: Object, namespace: str) -> Gateway | None:
    kind, group = fields.text(parent, "kind") or "Gateway", fields.text(parent, "group") or GatewayKind.GATEWAY_API
    if (kind, group) != ("Gateway", GatewayKind.GATEWAY_API):
        return None
    return Gateway(GatewayKind.GATEWAY_API, fields.text(parent, "namespace") or namespace, fields.text(parent, "name"))


def _same_parent(one: Object, other: Object, namespace: str) -> bool:
    def identity(parent: Object) -> tuple[object, ...]:
        return (_parent(parent, namespace), fields.text(parent, "sectionName"), fields.port(parent, "port"))

    return identity(one) == identity(other)


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
    for gateway in named:
        if (body := known.get(gateway)) is None:
            yield f"gateway {gateway.namespace}/{gateway.name} can't be read"
            continue
        for host in fields.texts(spec, "hosts"):
            if problem := unusable(host):
                yield problem
                continue
            served = list(_served(host, body, namespace))
            if not served:
                yield f"host {host} is none of gateway {gateway.namespace}/{gateway.name}"
            for target in served:
                for path in paths_of(places) if paths else [""]:
                    yield target._replace(path=path) if path is not None else "a path that is a regular expression"


def _mesh_gateways(spec: Object, namespace: str) -> Iterator[Gateway]:
    for text in dict.fromkeys(fields.texts(spec, "gateways")):
        if text != "mesh":
            where, _, name = text.rpartition("/")
            yield Gateway(GatewayKind.ISTIO, where or namespace, name)


def _served(host: str, gateway: Object, namespace: str) -> Iterator[Target]:
    """Where the servers of an Istio gateway take a host."""
    schemes = {"HTTP": "http", "HTTP2": "http", "HTTPS": "https", "TLS": "https"}
    own = fields.text(fields.mapping(gateway, "metadata"), "namespace")
    for server in fields.items(fields.mapping(gateway, "spec"), "servers"):
        port = fields.mapping(server, "port")
        number, scheme = fields.port(port, "number"), schemes.get(fields.text(port, "protocol").upper())
        if not number or scheme is None:
            continue
        for pattern in fields.texts(server, "hosts"):
            where, _, name = pattern.rpartition("/")
            visible = where in {"", "*", namespace} or (where == "." and own == namespace)
            if visible and (name == "*" or matches(host, name)):
                yield Target(host, scheme, number)
                break
