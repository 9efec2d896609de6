"""What a plan selects: kinds of objects, in which namespaces, with which labels.

An object is taken only with the label `scanplan.dev/scan: "true"`, unless the operator's owner lets plans choose by any labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from scanplan.api import labels, names
from scanplan.api.errors import InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.plan.discovery import DiscoverySource, LabelSelector
from scanplan.api.v1alpha1.plan.sources import EndpointSource
from scanplan.core.planning.policy import Policy

_SHOWN = 253
"""Characters of a wrong name that a message repeats."""


class Kind(StrEnum):
    """Kinds of objects that name endpoints."""

    INGRESS = "Ingress"
    HTTP_ROUTE = "HTTPRoute"
    SERVICE = "Service"
    ROUTE = "Route"
    VIRTUAL_SERVICE = "VirtualService"

    @property
    def source(self) -> str:
        """The field of `endpointsFrom`, and the chart's value, for this kind."""
        return {
            Kind.INGRESS: "ingresses",
            Kind.HTTP_ROUTE: "httpRoutes",
            Kind.SERVICE: "services",
            Kind.ROUTE: "routes",
            Kind.VIRTUAL_SERVICE: "virtualServices",
        }[self]


class Selection(NamedTuple):
    """All objects of a kind in a namespace that have certain labels."""

    kind: Kind
    namespace: str
    selector: str
    """A label selector as the API server takes it."""
    paths: bool
    """Take the paths that the objects name."""

    def __str__(self) -> str:
        return f"{self.kind} with {self.selector} in namespace {self.namespace}"


def selections(source: EndpointSource, namespace: str, policy: Policy) -> tuple[Selection, ...]:
    """What a source selects; empty where it names a ConfigMap or Secret.

    Args:
        namespace: the plan's.

    Raises:
        InvalidPlan: it names a namespace that the owner doesn't list, or a label that can't be one.
    """
    return tuple(
        Selection(kind, where, _selector(wanted.selector, policy), wanted.paths)
        for kind, wanted in _wanted(source)
        for where in _namespaces(wanted, namespace, policy)
    )


def _wanted(source: EndpointSource) -> Iterator[tuple[Kind, DiscoverySource]]:
    for kind, wanted in (
        (Kind.INGRESS, source.ingresses),
        (Kind.HTTP_ROUTE, source.http_routes),
        (Kind.SERVICE, source.services),
        (Kind.ROUTE, source.routes),
        (Kind.VIRTUAL_SERVICE, source.virtual_services),
    ):
        if wanted is not None:
            yield kind, wanted


def _namespaces(wanted: DiscoverySource, own: str, policy: Policy) -> list[str]:
    for name in wanted.namespaces:
        if name != own and not policy.allows_discovery_in(name):
            raise InvalidPlan(
                Reason.INVALID_SPEC,
                f"endpointsFrom names namespace {name!r}, which is not on the operator's allow-list "
                "(SCANPLAN_DISCOVERY_NAMESPACES)",
            )
    return list(dict.fromkeys(wanted.namespaces)) or [own]


def _selector(selector: LabelSelector, policy: Policy) -> str:
    terms = []
    for key, value in sorted(selector.match_labels.items()):
        terms.append(f"{_key(key)}={_value(value)}")
    for each in selector.match_expressions:
        values = ",".join(map(_value, each.values))
        terms.append(
            {
                "In": f"{_key(each.key)} in ({values})",
                "NotIn": f"{_key(each.key)} notin ({values})",
                "Exists": _key(each.key),
                "DoesNotExist": f"!{_key(each.key)}",
            }[each.operator]
        )
    if not terms or not policy.discovery_any_selector:
        terms.insert(0, f"{labels.SCAN}=true")
    return ",".join(terms)


def _key(key: str) -> str:
    if not names.is_label_key(key):
        raise InvalidPlan(Reason.INVALID_SPEC, f"endpointsFrom: {key[:_SHOWN]!r} can't be the key of a label")
    return key


def _value(value: str) -> str:
    if value and not names.is_label_value(value):
        raise InvalidPlan(Reason.INVALID_SPEC, f"endpointsFrom: {value[:_SHOWN]!r} can't be the value of a label")
    return value
