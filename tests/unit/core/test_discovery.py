"""What objects of the cluster name, one row a shape: endpoints, and what is left out and why."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanplan.api.documents.words import DiscoveryReport
from scanplan.api.errors import InputUnavailable, InvalidPlan
from scanplan.core.discovery import gateways, targets
from scanplan.core.discovery.gateways import Gateway, GatewayKind
from scanplan.core.discovery.reading import Found, Skipped, read
from scanplan.core.discovery.selection import Kind, Selection, selections
from scanplan.core.manifests import jobs
from scanplan.core.observed.jobs import job_view
from scanplan.core.planning import sources
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.sources import Input
from tests.unit.core.objects import CLAIM, INPUTS, POLICY, plan, task

Object = dict[str, Any]
PUBLIC = Gateway(GatewayKind.GATEWAY_API, "infra", "public")
MESH = Gateway(GatewayKind.ISTIO, "infra", "public")
LISTENERS = [
    {"name": "web", "protocol": "HTTP", "port": 80, "hostname": "*.example.com"},
    {"name": "tls", "protocol": "HTTPS", "port": 8443, "hostname": "*.example.com"},
    {"name": "one", "protocol": "HTTPS", "port": 443, "hostname": "one.example.org"},
    {"name": "raw", "protocol": "TCP", "port": 5432},
]
SERVERS = [
    {"port": {"number": 443, "protocol": "HTTPS"}, "hosts": ["shop/*.example.com", "other/secret.example.org"]},
    {"port": {"number": 80, "protocol": "HTTP"}, "hosts": ["*"]},
    {"port": {"number": 5432, "protocol": "MONGO"}, "hosts": ["*"]},
]
GATEWAYS = {
    PUBLIC: gateways.places_of({"metadata": {"namespace": "infra"}, "spec": {"listeners": LISTENERS}}),
    MESH: gateways.places_of({"metadata": {"namespace": "infra"}, "spec": {"servers": SERVERS}}),
}


def item(spec: Object, status: Object | None = None, **annotations: str) -> Object:
    marks = {f"scanplan.dev/{name}": value for name, value in annotations.items()}
    return {
        "metadata": {"name": "web", "namespace": "shop", "annotations": marks},
        "spec": spec,
        "status": status or {},
    }


def named(kind: Kind, of: Object, paths: bool = False) -> tuple[list[str], list[str]]:
    """The endpoints of an object, and why others are left out."""
    each = list(read(Selection(kind, "shop", "", paths), of, GATEWAYS))
    return [one.endpoint for one in each if isinstance(one, Found)], [
        one.why for one in each if isinstance(one, Skipped)
    ]


def ingress(*hosts: str, tls: list[Object] | None = None, paths: list[Object] | None = None, **marks: str) -> Object:
    rules: list[Object] = [{"host": host, "http": {"paths": paths or []}} if host else {"http": {}} for host in hosts]
    return item({"rules": rules, "tls": tls or []}, None, **marks)


INGRESSES = {
    "every host of every rule": (ingress("a.example.com", "b.example.com"), ["http://a.example.com", "http://b.example.com"], []),
    "as https where TLS covers it": (
        ingress("a.example.com", "b.example.com", tls=[{"hosts": ["a.example.com"]}]),
        ["https://a.example.com", "http://b.example.com"],
        [],
    ),
    "a wildcard certificate": (ingress("a.example.com", tls=[{"hosts": ["*.example.com"]}]), ["https://a.example.com"], []),
    "TLS that names no host": (ingress("a.example.com", tls=[{"secretName": "x"}]), ["https://a.example.com"], []),
    "an annotation overrides": (ingress("a.example.com", scheme="https"), ["https://a.example.com"], []),
    "and chooses a path": (ingress("a.example.com", path="/app"), ["http://a.example.com/app"], []),
    "a wrong scheme": (ingress("a.example.com", scheme="file"), [], ["must be http or https"]),
    "a wrong path": (ingress("a.example.com", path="app"), [], ["must begin with /"]),
    "a wildcard": (ingress("*.example.com", "a.example.com"), ["http://a.example.com"], ["wildcard"]),
    "a rule without a host": (ingress(""), [], ["without a host"]),
    "no rule": (item({"defaultBackend": {}}), [], ["names no host"]),
    "names of the cluster": (
        ingress("web.shop.svc", "web", "web.shop.svc.cluster.local"),
        [],
        ["inside the cluster"] * 3,
    ),
    "a host that is a path": (ingress("a.example.com/../admin"), [], ["can't be a host"]),
    "a host with user information": (ingress("a.example.com@10.0.0.1"), [], ["can't be a host"]),
}  # fmt: skip
SERVICES = {
    "every TCP port": (
        item({"ports": [{"port": 80, "name": "http"}, {"port": 8443, "appProtocol": "https"}, {"port": 5432}]}),
        ["http://web.shop.svc:80", "https://web.shop.svc:8443", "web.shop.svc:5432"],
        [],
    ),
    "https before http": (item({"ports": [{"port": 443, "name": "https-web"}]}), ["https://web.shop.svc:443"], []),
    "a name that only begins so": (item({"ports": [{"port": 1, "name": "httpx"}]}), ["web.shop.svc:1"], []),
    "UDP": (item({"ports": [{"port": 53, "protocol": "UDP"}]}), [], ["not TCP"]),
    "ExternalName": (item({"type": "ExternalName", "externalName": "x.example", "ports": [{"port": 80}]}), [], ["ExternalName"]),
    "no port": (item({"clusterIP": "None"}), [], ["names no host"]),
}  # fmt: skip
ADMITTED = {"ingress": [{"host": "a.example.com", "conditions": [{"type": "Admitted", "status": "True"}]}]}
ROUTES = {
    "an admitted one": (item({"host": "a.example.com"}, ADMITTED), ["http://a.example.com"], []),
    "with TLS": (item({"host": "a.example.com", "tls": {"termination": "edge"}}, ADMITTED), ["https://a.example.com"], []),
    "one that no router took": (item({"host": "a.example.com"}), [], ["no router"]),
    "a wildcard": (item({"host": "a.example.com", "wildcardPolicy": "Subdomain"}, ADMITTED), [], ["wildcard"]),
}  # fmt: skip


def http_route(*hostnames: str, accepted: bool = True, **parent: Any) -> Object:
    reference = {"name": "public", "namespace": "infra", **parent}
    said = {"parentRef": reference, "conditions": [{"type": "Accepted", "status": str(accepted)}]}
    return item({"hostnames": list(hostnames), "parentRefs": [reference]}, {"parents": [said]})


HTTP_ROUTES = {
    "at every listener": (http_route("a.example.com"), ["http://a.example.com:80", "https://a.example.com:8443"], []),
    "at one section": (http_route("a.example.com", sectionName="tls"), ["https://a.example.com:8443"], []),
    "at one port": (http_route("a.example.com", port=80), ["http://a.example.com:80"], []),
    "not accepted": (http_route("a.example.com", accepted=False), [], ["not accepted"]),
    "no hostname": (http_route(), [], ["no hostname"]),
    "a narrower listener": (http_route("*.example.org", sectionName="one"), ["https://one.example.org:443"], []),
    "none of the listeners": (http_route("a.example.net"), [], ["no hostname is one of"]),
    "a wildcard in both": (http_route("*.example.com", sectionName="web"), [], ["wildcard"]),
    "a mesh": (http_route("a.example.com", kind="Service", group=""), [], ["mesh"]),
    "an unreadable Gateway": (http_route("a.example.com", name="gone"), [], ["can't be read"]),
}


def virtual_service(
    *hosts: str, gateways: tuple[str, ...] = ("infra/public",), http: list[Object] | None = None
) -> Object:
    return item({"hosts": list(hosts), "gateways": list(gateways), "http": http or []})


VIRTUAL_SERVICES = {
    "at every server": (virtual_service("a.example.com"), ["https://a.example.com:443", "http://a.example.com:80"], []),
    "a server of another namespace": (virtual_service("secret.example.org"), ["http://secret.example.org:80"], []),
    "the mesh alone": (virtual_service("a.example.com", gateways=("mesh",)), [], ["mesh alone"]),
    "no gateway": (virtual_service("a.example.com", gateways=()), [], ["mesh alone"]),
    "a name of the cluster": (virtual_service("reviews", "reviews.shop.svc.cluster.local"), [], ["inside the cluster"] * 2),
    "everything": (virtual_service("*"), [], ["wildcard"]),
}  # fmt: skip
TABLE = [
    (kind, row, *rows[row])
    for kind, rows in (
        (Kind.INGRESS, INGRESSES),
        (Kind.SERVICE, SERVICES),
        (Kind.ROUTE, ROUTES),
        (Kind.HTTP_ROUTE, HTTP_ROUTES),
        (Kind.VIRTUAL_SERVICE, VIRTUAL_SERVICES),
    )
    for row in rows
]


@pytest.mark.parametrize(
    ("kind", "row", "of", "endpoints", "why"), TABLE, ids=[f"{kind}: {row}" for kind, row, *_ in TABLE]
)
def test_what_an_object_names(kind: Kind, row: str, of: Object, endpoints: list[str], why: list[str]) -> None:
    """Lost otherwise: hosts that are never scanned, and nobody is told; or hosts that nobody meant."""
    del row
    found, left_out = named(kind, of)
    assert found == endpoints
    assert len(left_out) == len(why)
    assert all(part in text for part, text in zip(why, left_out, strict=True)), left_out


@pytest.mark.parametrize(
    ("kind", "of", "endpoints", "left_out"),
    [
        (
            Kind.INGRESS,
            ingress("a.example.com", paths=[{"path": "/shop", "pathType": "Prefix"}, {"path": "/", "pathType": "Prefix"}]),
            ["http://a.example.com/shop", "http://a.example.com"],
            0,
        ),
        (Kind.INGRESS, ingress("a.example.com", paths=[{"path": "/v(1|2)", "pathType": "ImplementationSpecific"}]), [], 1),
        (Kind.ROUTE, item({"host": "a.example.com", "path": "/shop"}, ADMITTED), ["http://a.example.com/shop"], 0),
        (
            Kind.HTTP_ROUTE,
            {
                **(route := http_route("a.example.com", port=80)),
                "spec": {
                    **route["spec"],
                    "rules": [
                        {"matches": [{"path": {"type": "PathPrefix", "value": "/shop"}}]},
                        {"matches": [{"path": {"type": "RegularExpression", "value": "/[a-z]+"}}]},
                    ],
                },
            },
            ["http://a.example.com:80/shop"],
            1,
        ),
        (
            Kind.VIRTUAL_SERVICE,
            virtual_service("secret.example.org", http=[{"match": [{"uri": {"prefix": "/x"}}, {"uri": {"regex": "/.*"}}]}]),
            ["http://secret.example.org:80/x"],
            1,
        ),
    ],
)  # fmt: skip
def test_paths_when_they_are_asked_for(kind: Kind, of: Object, endpoints: list[str], left_out: int) -> None:
    found, why = named(kind, of, paths=True)
    assert (found, len(why)) == (endpoints, left_out)
    assert not any(endpoint.count("/") > 2 for endpoint in named(kind, of)[0])


NAMES = [
    "metadata",
    "spec",
    "status",
    "rules",
    "tls",
    "hosts",
    "host",
    "http",
    "paths",
    "path",
    "ports",
    "port",
    "protocol",
    "parentRefs",
    "parents",
    "parentRef",
    "conditions",
    "hostnames",
    "gateways",
    "servers",
    "listeners",
    "annotations",
    "name",
    "namespace",
    "type",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["a.example.com", "*", "/"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=6,
        )
    ),
    max_leaves=30,
)


@given(
    kind=st.sampled_from(Kind), of=st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), JSON), gateway=JSON
)
def test_an_object_of_any_shape_breaks_nothing(kind: Kind, of: Object, gateway: Any) -> None:
    """Lost otherwise: everybody's reconcile, to whoever may write an object of a lenient CRD."""
    reached = gateways.places_of(gateway if isinstance(gateway, dict) else {})
    known = dict.fromkeys(gateways.gateways(kind, of), reached)
    for each in read(Selection(kind, "shop", "", True), of, known):
        assert each.origin.startswith(kind)


@given(
    host=st.text("ab.*", min_size=1, max_size=8),
    pattern=st.text("AB.", max_size=6) | st.text("ab.", max_size=6).map(lambda text: f"*.{text}"),
)
def test_the_patterns_that_are_looked_up_are_those_that_match(host: str, pattern: str) -> None:
    """Lost otherwise: hosts of an Ingress that are scanned without TLS, or of a VirtualService that are not scanned."""
    assert (pattern.lower() in targets.covering(host)) == targets.matches(host, pattern)


@pytest.mark.parametrize("host", ["a" * 254, "a." * 400_000])
def test_a_name_that_is_too_long_for_a_host_is_none(host: str) -> None:
    """Lost otherwise: the memory for all the domains of one name of a megabyte."""
    assert targets.unusable(host)
    assert targets.covering(host) == [host]


# what a plan selects


def selected(policy: Policy = POLICY, **source: Any) -> list[tuple[str, str]]:
    of = plan(endpointsFrom=[{"ingresses": source}])
    return [(each.namespace, each.selector) for each in selections(of.spec.endpoints_from[0], of.namespace, policy)]


FREE = Policy(scanner_image="scanner:1", discovery_any_selector=True, discovery_namespaces=("shop-*",))
EXPRESSIONS = [
    {"key": "tier", "operator": "In", "values": ["a", "b"]},
    {"key": "x.example/y", "operator": "NotIn", "values": ["c"]},
    {"key": "there", "operator": "Exists"},
    {"key": "not", "operator": "DoesNotExist"},
]


def test_objects_have_to_say_yes() -> None:
    assert selected() == [("team", "scanplan.dev/scan=true")]
    assert selected(selector={"matchLabels": {"a": "b"}}) == [("team", "scanplan.dev/scan=true,a=b")]


def test_the_owner_may_let_selectors_choose() -> None:
    assert selected(FREE, selector={"matchLabels": {"a": "b"}}) == [("team", "a=b")]
    assert selected(FREE) == [("team", "scanplan.dev/scan=true")], "no selector is no choice"
    (only,) = selected(FREE, selector={"matchExpressions": EXPRESSIONS})
    assert only[1] == "tier in (a,b),x.example/y notin (c),there,!not"


def test_other_namespaces_are_the_owners_to_allow() -> None:
    assert [where for where, _ in selected(FREE, namespaces=["shop-a", "team", "shop-a"])] == ["shop-a", "team"]
    with pytest.raises(InvalidPlan, match="SCANPLAN_DISCOVERY_NAMESPACES"):
        selected(namespaces=["shop-a"])


@pytest.mark.parametrize("key", ["a,b", "a=b", "a in (b)", "/a", "", "x" * 400, "a\n"])
def test_a_label_that_can_be_none_means_nothing_else(key: str) -> None:
    with pytest.raises(InvalidPlan):
        selected(FREE, selector={"matchLabels": {key: "x"}})


# what becomes of it

HERE = Selection(Kind.INGRESS, "team", "scanplan.dev/scan=true", False)
DISCOVERS: Object = {"endpoints": [], "endpointsFrom": [{"ingresses": {}}]}


def inputs(*endpoints: str, left_out: int = 0) -> sources.Inputs:
    found = tuple(Found(endpoint, f"Ingress team/{position}") for position, endpoint in enumerate(endpoints))
    skipped = tuple(Skipped("Ingress team/x", "a rule without a host") for _ in range(min(left_out, 10)))
    return {CLAIM: INPUTS[CLAIM], HERE: Input(found=found, left_out=skipped, left_out_count=left_out)}


def test_it_is_asked_for() -> None:
    of = plan(**DISCOVERS)
    assert sources.needed(of.spec, of.namespace, POLICY.claim_name, POLICY) == (CLAIM, HERE)


def test_what_is_denied_or_wrong_is_left_out_and_told() -> None:
    """Lost otherwise: a scan of the metadata service, or every scan to one wrong Ingress."""
    made = task(
        plan(**DISCOVERS), inputs=inputs("http://a.example.com", "http://169.254.169.254", "http://a b", left_out=12)
    )
    assert made.document.endpoints == ("http://a.example.com",)
    told = made.document.discovery
    assert told is not None
    assert (told.found, told.left_out, len(told.examples)) == (1, 14, 10)
    assert made.document.discovery == msgspec.json.decode(msgspec.json.encode(told), type=DiscoveryReport)


def test_it_is_on_the_job_and_so_on_the_status_after_a_restart() -> None:
    of = plan(**DISCOVERS)
    made = task(of, inputs=inputs("http://a.example.com", left_out=3))
    manifest = jobs.build(made, of, POLICY)
    manifest["metadata"] |= {"uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-11-24T06:00:00Z"}
    assert job_view(manifest).discovery == made.document.discovery
    for forged in ("{", '{"found":-1}', '{"examples":["' + "x" * 600 + '"]}', "[" * 100_000):
        manifest["metadata"]["annotations"]["scanplan.dev/discovery"] = forged
        assert job_view(manifest).discovery is None


@pytest.mark.parametrize("found", [(), ("http://127.0.0.1",)])
def test_nothing_found_is_looked_for_again(found: tuple[str, ...]) -> None:
    """In GitOps the Ingress may simply come later."""
    with pytest.raises(InputUnavailable):
        task(plan(**DISCOVERS), inputs=inputs(*found))


def test_the_same_hosts_are_the_same_scan_in_any_order() -> None:
    of = plan(**DISCOVERS)
    one, other = (
        inputs("http://a.example.com", "http://b.example.com"),
        inputs("http://b.example.com/", "http://a.example.com"),
    )
    assert task(of, inputs=one).key == task(of, inputs=other).key
