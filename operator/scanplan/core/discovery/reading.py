"""Endpoints of one object. What can't be used is left out, with the reason.

An object may choose a scheme and a path by annotations; nothing else of it has a say. Whoever may write such an object is a
stranger: what it names is held to the same guard as what a plan writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from scanplan.api import labels
from scanplan.core.discovery import gateways, targets
from scanplan.core.discovery.gateways import Gateways
from scanplan.core.discovery.selection import Kind, Selection
from scanplan.core.discovery.targets import Target
from scanplan.core.observed import fields
from scanplan.core.observed.fields import Object


class Found(NamedTuple):
    """An endpoint that an object names."""

    endpoint: str
    origin: str
    """Such as ``Ingress shop/web``."""


class Skipped(NamedTuple):
    """Something that an object names, and that is no endpoint."""

    origin: str
    why: str

    def __str__(self) -> str:
        return f"{self.origin}: {self.why}"


def read(selection: Selection, item: Object, known: Gateways) -> Iterator[Found | Skipped]:
    """What an object names.

    Args:
        known: the gateways that `gateways.gateways` asks for.
    """
    metadata = fields.mapping(item, "metadata")
    origin = f"{selection.kind} {selection.namespace}/{fields.text(metadata, 'name')}"
    marks = fields.mapping(metadata, "annotations")
    scheme, path = fields.text(marks, labels.SCAN_SCHEME), fields.text(marks, labels.SCAN_PATH)
    if scheme and scheme not in targets.SCHEMES:
        yield Skipped(origin, f"annotation {labels.SCAN_SCHEME} must be http or https")
        return
    if path and not path.startswith("/"):
        yield Skipped(origin, f"annotation {labels.SCAN_PATH} must begin with /")
        return
    some = False
    for each in _READERS[selection.kind](item, selection.paths and not path, known):
        some = True
        if isinstance(each, str):
            yield Skipped(origin, each)
        elif problem := (selection.kind is not Kind.SERVICE and targets.unusable(each.host)):
            yield Skipped(origin, problem)
        else:
            yield Found(_endpoint(each, scheme, path), origin)
    if not some:
        yield Skipped(origin, "it names no host")


def _endpoint(target: Target, scheme: str, path: str) -> str:
    scheme = scheme or target.scheme
    path = path or target.path
    if path and not scheme:
        scheme = "http"
    port = f":{target.port}" if target.port else ""
    return f"{scheme}://{target.host}{port}{path}" if scheme else f"{target.host}{port}"


_READERS: Mapping[Kind, Callable[[Object, bool, Gateways], Iterator[Target | str]]] = {
    Kind.INGRESS: lambda item, paths, _: targets.ingress(item, paths),
    Kind.HTTP_ROUTE: gateways.http_route,
    Kind.SERVICE: lambda item, _paths, _: targets.service(item),
    Kind.ROUTE: lambda item, paths, _: targets.route(item, paths),
    Kind.VIRTUAL_SERVICE: gateways.virtual_service,
}
