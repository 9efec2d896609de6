"""How names are found in a real scan pod: `dnsConfig`, the owner's defaults of it, and `hostAliases`."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests import deploy, images
from tests.cluster import Cluster
from tests.e2e.stage import EXPOSED, Images, Stage, templates
from tests.kubectl import Kubectl

pytestmark = pytest.mark.e2e

NAMESPACE = "names"
ALIAS = "shop.example"
SUFFIX = f"{NAMESPACE}.svc.cluster.local"
DEFAULTS = {
    "podTemplate": {"dnsConfig": {"searches": ["owner.example"], "options": [{"name": "ndots", "value": "3"}]}},
}
_READ = "import sys; print(open(sys.argv[1]).read())"


@pytest.fixture(scope="module")
def node(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with deploy.node("names", request.session) as made:
        yield made


@pytest.fixture(scope="module")
def stage(node: Cluster, archives: dict[str, images.Archive]) -> Stage:
    """A namespace with an application and a gate, under an owner who allows all resolvers."""
    settings = {"SCANPLAN_ALLOWED_RESOLVERS": "*", "SCANPLAN_SCAN_DEFAULTS": json.dumps(DEFAULTS)}
    kubectl = deploy.install(node, archives, settings)
    references = Images(*(archives[name].reference for name in ("scanner", "webapp")))
    made = Stage(kubectl.in_namespace(NAMESPACE), references, NAMESPACE)
    made.set_up()
    made.web_application("app")
    made.gate("gate", "second-gate")
    return made


@pytest.fixture(scope="module")
def resolver(node: Cluster) -> str:
    """The cluster's own, by its address."""
    return str(Kubectl(node.kubeconfig).in_namespace("kube-system").get("service", "kube-dns")["spec"]["clusterIP"])


def directives(text: str) -> dict[str, list[str]]:
    """The lines of a resolv.conf; the values of all lines of one name together."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            name, *values = line.split()
            found.setdefault(name, []).extend(values)
    return found


def test_resolvers_and_aliases_are_those_of_the_pod_and_the_scan_finds_by_them(stage: Stage, resolver: str) -> None:
    """Lost otherwise: names that only the company's resolver knows, or that no resolver knows."""
    address = stage.kubectl.get("service", "app")["spec"]["clusterIP"]
    plan = stage.gated("own")
    plan["spec"]["endpoints"] = [f"http://{ALIAS}:8080", f"http://gate.{SUFFIX}:8080"]
    plan["spec"] |= {
        "dnsConfig": {"nameservers": [resolver], "searches": ["corp.example", SUFFIX]},
        "hostAliases": [{"ip": address, "hostnames": [ALIAS, "api.example"]}],
    }
    stage.apply(plan)
    pod = stage.standing("own")["metadata"]["name"]
    assert directives(stage.inside(pod, _READ, "/etc/resolv.conf")) == {
        "nameserver": [resolver],
        "search": ["corp.example", SUFFIX],
        "options": ["ndots:3"],
    }
    assert [address, ALIAS, "api.example"] in [
        line.split() for line in stage.inside(pod, _READ, "/etc/hosts").splitlines()
    ]
    stage.open()
    status = stage.ends("own", "Completed")
    found = stage.findings(status)
    assert templates(found) == sorted(EXPOSED)
    assert {each["host"] for each in found} == {ALIAS}


def test_without_them_a_pod_has_the_clusters_resolver_and_the_owners_options(stage: Stage, resolver: str) -> None:
    stage.apply(stage.gated("plain", "app", "second-gate"))
    pod = stage.standing("plain")["metadata"]["name"]
    found = directives(stage.inside(pod, _READ, "/etc/resolv.conf"))
    assert found["nameserver"] == [resolver]
    assert "owner.example" in found["search"]
    assert "ndots:3" in found["options"]
    stage.open("second-gate")
    stage.ends("plain", "Completed")
