"""What the operator's Deployment says of its settings, for commands that tell users about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from scanplan.api.v1alpha1.scan_defaults import ScanDefaults
from scanplan.cli.output.failure import Forbidden
from scanplan.core.planning import scan_defaults
from scanplan.kube.resources import DEPLOYMENTS, NAMESPACES
from scanplan.settings import fields
from scanplan.settings.fields import OptionalScanDefaults

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster
    from scanplan.kube.objects import Object

_DEFAULTS = TypeAdapter[object](OptionalScanDefaults)
_SWITCH = TypeAdapter(bool)


def deployments(cluster: Cluster) -> Iterator[Object]:
    """The Deployments of operators, in all namespaces.

    Raises:
        Forbidden: the user may not list Deployments.
    """
    selector = {"labelSelector": "app.kubernetes.io/part-of=scanplan"}
    for each in cluster.each(cluster.path(DEPLOYMENTS, namespace=None), selector):
        if "SCANPLAN_SCANNER_IMAGE" in environment(each):
            yield each


def environment(deployment: Object) -> dict[str, str]:
    """The environment variables of a Deployment's container that are written there; none of one that can't be read."""
    try:
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        return {each["name"]: str(each.get("value", "")) for each in container.get("env", ())}
    except (AttributeError, IndexError, KeyError, TypeError):
        return {}


def namespaces_in(variables: Mapping[str, str]) -> str:
    """The namespaces that an operator works on, in words; empty: all."""
    listed = ", ".join(fields.items(variables.get("SCANPLAN_NAMESPACES", "")))
    selector = variables.get("SCANPLAN_NAMESPACE_SELECTOR", "")
    return listed or (f"namespaces with {selector}" if selector else "")


def works_here(cluster: Cluster, variables: Mapping[str, str]) -> bool:
    """Whether an operator works on the cluster's current namespace; True also where its labels can't be read."""
    listed = fields.items(variables.get("SCANPLAN_NAMESPACES", ""))
    selector = variables.get("SCANPLAN_NAMESPACE_SELECTOR", "")
    if not selector:
        return not listed or cluster.namespace in listed
    query = {"labelSelector": selector, "fieldSelector": f"metadata.name={cluster.namespace}"}
    try:
        return any(cluster.each(cluster.path(NAMESPACES, namespace=None), query))
    except Forbidden:
        return True


def is_on(variables: Mapping[str, str], switch: str) -> bool:
    """Whether a setting that is on by default is on; True also where it can't be read."""
    try:
        return _SWITCH.validate_python(variables.get(switch, "true"))
    except ValidationError:
        return True


def defaults_in(variables: Mapping[str, str]) -> str:
    """What the owner sets for all plans, in words; empty: nothing."""
    text = variables.get("SCANPLAN_SCAN_DEFAULTS", "")
    try:
        defaults = _DEFAULTS.validate_python(text)
    except ValidationError:
        return "an object that this version can't read"
    if not isinstance(defaults, ScanDefaults):
        return ""
    words = ", ".join(scan_defaults.set_fields(defaults))
    locked = f"; locked: {', '.join(defaults.locked)}" if defaults.locked else ""
    return f"{words}{locked}".removeprefix("; ")
