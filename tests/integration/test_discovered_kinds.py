"""Kinds of other projects that plans take endpoints from: on a real API server, by real lists, with definitions of their shape.

The definitions have the published groups, versions and names (Gateway API v1, OpenShift route v1, Istio networking v1). They take
any fields: what the fields mean is in tests/unit/core/test_discovery.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fixtures.control_plane import is_served
from tests.integration.apiserver import ApiServer
from tests.integration.scene import Scene, condition
from tests.integration.test_discovery import YES, discovering, endpoints, grant
from tests.kubectl import Kubectl, Manifest, eventually

pytestmark = pytest.mark.integration

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
KINDS = (
    ("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute"),
    ("gateway.networking.k8s.io", "v1", "gateways", "Gateway"),
    ("route.openshift.io", "v1", "routes", "Route"),
    ("networking.istio.io", "v1", "virtualservices", "VirtualService"),
    ("networking.istio.io", "v1", "gateways", "Gateway"),
)


def definition(group: str, version: str, plural: str, kind: str) -> Manifest:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    # No status as a part of its own, so that a test writes it with the object.
    versions = [{"name": version, "served": True, "storage": True, "schema": schema}]
    metadata: dict[str, Any] = {"name": f"{plural}.{group}"}
    if group.endswith(".k8s.io"):
        metadata["annotations"] = {"api-approved.kubernetes.io": "unapproved, for tests"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": versions},
    }


@pytest.fixture(scope="module")
def others(administrator: Kubectl, api: ApiServer) -> Iterator[None]:
    """The definitions of the other projects, for this module: elsewhere the cluster lacks them."""
    made = [definition(*kind) for kind in KINDS]
    administrator.apply(*made)
    paths = [f"{DEFINITIONS}/{each['metadata']['name']}" for each in made]
    eventually(lambda: all(is_served(api.get(path)) for path in paths))
    yield
    for each in made:
        administrator("delete", "crd", each["metadata"]["name"], "--timeout=120s")


def other(group: str, kind: str, name: str, spec: dict[str, Any], **more: Any) -> Manifest:
    return {
        "apiVersion": f"{group}/v1",
        "kind": kind,
        "metadata": {"name": name, "labels": dict(YES)},
        "spec": spec,
        **more,
    }


def true(kind: str) -> list[dict[str, str]]:
    return [{"type": kind, "status": "True"}]


HTTP_ROUTE = (
    other(
        "gateway.networking.k8s.io",
        "Gateway",
        "edge",
        {
            "listeners": [
                {"name": "web", "port": 80, "protocol": "HTTP"},
                {"name": "secure", "port": 8443, "protocol": "HTTPS", "hostname": "*.example.com"},
            ]
        },
    ),
    other(
        "gateway.networking.k8s.io",
        "HTTPRoute",
        "shop",
        {"hostnames": ["shop.example.com"], "parentRefs": [{"name": "edge"}]},
        status={"parents": [{"parentRef": {"name": "edge"}, "conditions": true("Accepted")}]},
    ),
    other(
        "gateway.networking.k8s.io",
        "HTTPRoute",
        "refused",
        {"hostnames": ["other.example.com"], "parentRefs": [{"name": "edge"}]},
    ),
)
ROUTE = (
    other(
        "route.openshift.io",
        "Route",
        "shop",
        {"host": "shop.example.com", "tls": {"termination": "edge"}},
        status={"ingress": [{"host": "shop.example.com", "conditions": true("Admitted")}]},
    ),
    other("route.openshift.io", "Route", "refused", {"host": "other.example.com"}),
)
VIRTUAL_SERVICE = (
    other(
        "networking.istio.io",
        "Gateway",
        "edge",
        {"servers": [{"port": {"number": 8080, "protocol": "HTTP"}, "hosts": ["*.example.com"]}]},
    ),
    other("networking.istio.io", "VirtualService", "shop", {"hosts": ["shop.example.com"], "gateways": ["edge"]}),
    other("networking.istio.io", "VirtualService", "mesh", {"hosts": ["other.example.com"]}),
)
CASES = {
    "httpRoutes": (HTTP_ROUTE, ["http://shop.example.com", "https://shop.example.com:8443"], "has not accepted it"),
    "routes": (ROUTE, ["https://shop.example.com"], "no router has admitted it"),
    "virtualServices": (VIRTUAL_SERVICE, ["http://shop.example.com:8080"], "for the mesh alone"),
}


@pytest.mark.parametrize("source", CASES)
def test_a_cluster_without_them_is_told(source: str, scene: Scene, administrator: Kubectl) -> None:
    """Lost otherwise: a plan that waits for objects that can't be there. It comes before the definitions do."""
    grant(administrator, scene.namespace, source)
    scene.apply(**discovering(**{source: {}}))
    stalled = condition(scene.phase("Failed", reason="InputUnavailable"), "Stalled")
    assert "this cluster doesn't have this kind of object" in stalled["message"]


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("source", CASES)
def test_objects_of_other_projects_are_scanned(source: str, scene: Scene, administrator: Kubectl) -> None:
    """Lost otherwise: what a cluster exposes by anything but an Ingress. Without the right, the plan names it."""
    objects, expected, left_out = CASES[source]
    scene.kubectl.apply(*objects)
    scene.apply(**discovering(**{source: {}}))
    stalled = condition(scene.phase("Failed", reason="InputUnavailable"), "Stalled")
    assert f"discovery.{source}" in stalled["message"]
    grant(administrator, scene.namespace, source)
    scene.edit(priority=9)
    status = scene.phase("Running")
    assert endpoints(scene) == expected
    assert (status["discovery"]["found"], status["discovery"]["leftOut"]) == (len(expected), 1)
    assert left_out in status["discovery"]["examples"][0]
