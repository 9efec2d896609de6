"""Builds the paths of requests to the API server. Only here does a name become part of a path.

The API server and the HTTP clients resolve ``..`` and decode escapes. So a name with a slash could lead to an object of another
namespace. `segment` refuses what can't be a name, `Resource.path` joins segments, and `Resource.checked` compares the answer with
the request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from scanplan.api import labels, names
from scanplan.core.discovery.gateways import GatewayKind
from scanplan.core.discovery.selection import Kind

Object = dict[str, Any]

_SHOWN = 253
"""Characters of a wrong name that a message repeats."""
_REFUSED = ("/", "\\", "%")
"""Kubernetes allows the backslash. No object of ours has one, and some clients read it as a slash."""


class InvalidName(ValueError):
    """The text can't be the name of an object, or a value in a selector. Trying again can't help."""


class WrongObject(Exception):
    """The API server's answer is about another object than the one asked for."""


class Resource(NamedTuple):
    """A kind of object, and where the API server serves it."""

    version: str
    """Group and version, such as ``batch/v1``; ``v1`` for the core."""
    plural: str
    kind: str

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The path of one object or, without a name, of all of them.

        Args:
            namespace: None for objects of the cluster, and for lists over all namespaces.

        Raises:
            InvalidName: one of them is empty, or can't be a name.
        """
        parts = [*(("namespaces", namespace) if namespace is not None else ()), self.plural]
        if name is not None:
            parts.append(name)
        if subresource is not None:
            parts.append(subresource)
        return "/".join((group(self.version), *map(segment, parts)))

    def checked(self, answer: Object, namespace: str | None, name: str) -> Object:
        """The answer to a request for one object.

        Raises:
            WrongObject: its kind, name or namespace is another one.
        """
        metadata = answer.get("metadata")
        found = metadata if isinstance(metadata, Mapping) else {}
        if (answer.get("kind"), found.get("name"), found.get("namespace")) != (self.kind, name, namespace):
            raise WrongObject(f"the API server answered with another object than {self.kind} {name!r}")
        return answer


PLANS = Resource(labels.API_VERSION, labels.PLURAL, labels.KIND)
SCHEDULES = Resource(labels.API_VERSION, labels.SCHEDULE_PLURAL, labels.SCHEDULE_KIND)
EXCEPTIONS = Resource(labels.API_VERSION, labels.EXCEPTION_PLURAL, labels.EXCEPTION_KIND)
NOTIFIERS = Resource(labels.API_VERSION, labels.NOTIFIER_PLURAL, labels.NOTIFIER_KIND)
JOBS = Resource("batch/v1", "jobs", "Job")
PODS = Resource("v1", "pods", "Pod")
CONFIG_MAPS = Resource("v1", "configmaps", "ConfigMap")
SECRETS = Resource("v1", "secrets", "Secret")
CLAIMS = Resource("v1", "persistentvolumeclaims", "PersistentVolumeClaim")
RESOURCE_QUOTAS = Resource("v1", "resourcequotas", "ResourceQuota")
NODES = Resource("v1", "nodes", "Node")
NAMESPACES = Resource("v1", "namespaces", "Namespace")
CORE_EVENTS = Resource("v1", "events", "Event")
ENDPOINT_SLICES = Resource("discovery.k8s.io/v1", "endpointslices", "EndpointSlice")
EVENTS = Resource("events.k8s.io/v1", "events", "Event")
NETWORK_POLICIES = Resource("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy")
INGRESSES = Resource("networking.k8s.io/v1", "ingresses", "Ingress")
SERVICES = Resource("v1", "services", "Service")
HTTP_ROUTES = Resource("gateway.networking.k8s.io/v1", "httproutes", "HTTPRoute")
GATEWAYS = Resource("gateway.networking.k8s.io/v1", "gateways", "Gateway")
ROUTES = Resource("route.openshift.io/v1", "routes", "Route")
VIRTUAL_SERVICES = Resource("networking.istio.io/v1", "virtualservices", "VirtualService")
ISTIO_GATEWAYS = Resource("networking.istio.io/v1", "gateways", "Gateway")
DEPLOYMENTS = Resource("apps/v1", "deployments", "Deployment")
DEFINITIONS = Resource("apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition")
TOKEN_REVIEWS = Resource("authentication.k8s.io/v1", "tokenreviews", "TokenReview")
ACCESS_REVIEWS = Resource("authorization.k8s.io/v1", "subjectaccessreviews", "SubjectAccessReview")
OWN_ACCESS_REVIEWS = Resource("authorization.k8s.io/v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview")

DISCOVERED = {
    Kind.INGRESS: INGRESSES,
    Kind.HTTP_ROUTE: HTTP_ROUTES,
    Kind.SERVICE: SERVICES,
    Kind.ROUTE: ROUTES,
    Kind.VIRTUAL_SERVICE: VIRTUAL_SERVICES,
}
"""Where the objects are that name endpoints."""
GATEWAYS_OF = {GatewayKind.GATEWAY_API: GATEWAYS, GatewayKind.ISTIO: ISTIO_GATEWAYS}


def workloads(version: str) -> Resource:
    """Kueue's Workloads in one of its versions."""
    return Resource(version, "workloads", "Workload")


def local_queues(version: str) -> Resource:
    """Kueue's LocalQueues in one of its versions."""
    return Resource(version, "localqueues", "LocalQueue")


KUEUE = "kueue.x-k8s.io"


def group(version: str) -> str:
    """The path of a group, with or without its version; ``v1`` is the core's.

    Raises:
        InvalidName: a part of it can't be a segment.
    """
    return "/".join(("", "api" if version == "v1" else "apis", *map(segment, version.split("/"))))


def segment(text: str) -> str:
    """The path segment for `text`. It stays one segment, however often it is decoded.

    Raises:
        InvalidName: empty, a dot, two dots, or with a slash, backslash, percent sign or control character.
    """
    if text in {"", ".", ".."} or not text.isprintable() or any(character in text for character in _REFUSED):
        raise InvalidName(f"{text[:_SHOWN]!r} can't be the name of an object")
    return quote(text, safe="")


def label_equals(label: str, value: str) -> str:
    """A label selector for one value.

    Raises:
        InvalidName: no label has such a value; in a selector it could mean something else.
    """
    if not names.is_label_value(value):
        raise InvalidName(f"{value[:_SHOWN]!r} can't be the value of a label")
    return f"{label}={value}"


def field_equals(field: str, value: str) -> str:
    """A field selector for one value, with the characters escaped that mean something in a selector."""
    escaped = value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
    return f"{field}={escaped}"
