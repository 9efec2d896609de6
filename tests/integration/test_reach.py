"""A plan that names objects of another namespace: refused by the CRD, by the operator, and by each request of its own."""

from __future__ import annotations

import asyncio
import base64
import functools
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scanplan.controller.reads.inputs import InputReader
from scanplan.core.planning.sources import Input, Kind, Reference
from scanplan.kube.api import Api
from scanplan.kube.connection import connect
from tests.cluster import LocalCluster
from tests.deploy import OPERATOR_ACCOUNT
from tests.fixtures.control_plane import is_served
from tests.fixtures.operators import StartOperator
from tests.integration import audit
from tests.integration.apiserver import CONFIG_MAPS, PLANS, ApiServer, Object, Refused
from tests.integration.scene import Scene, condition, scanplan
from tests.kubectl import Kubectl

pytestmark = pytest.mark.integration

OTHERS = "reach-others"
CONTENT = "the-others-own-words"
DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/scanplans.scanplan.dev"
TARGETS = [f"../../{OTHERS}/configmaps/app-config", f"../../{OTHERS}/secrets/app-secret", "../secrets/own-secret"]

REFERENCES: dict[str, Callable[[str], dict[str, Any]]] = {
    "endpointsFrom, ConfigMap": lambda name: {"endpointsFrom": [{"configMapKeyRef": {"name": name, "key": "app"}}]},
    "endpointsFrom, Secret": lambda name: {"endpointsFrom": [{"secretKeyRef": {"name": name, "key": "app"}}]},
    "templatesFrom": lambda name: {"templatesFrom": [{"configMap": {"name": name}}]},
    "headersFrom": lambda name: {"scanner": {"headersFrom": {"secretRef": {"name": name}}}},
    "variablesFrom": lambda name: {"scanner": {"variablesFrom": {"secretRef": {"name": name}}}},
    "clientCertificateFrom": lambda name: {"scanner": {"clientCertificateFrom": {"secretRef": {"name": name}}}},
    "credentialsFrom": lambda name: {"scanner": {"credentialsFrom": {"secretRef": {"name": name}}}},
    "interactsh": lambda name: {
        "scanner": {"interactsh": {"server": "oast.example", "tokenFrom": {"secretRef": {"name": name}}}}
    },
    "requestsFrom": lambda name: {
        "scanner": {"dast": True, "requestsFrom": {"mode": "openapi", "configMapKeyRef": {"name": name, "key": "app"}}}
    },
    "claimName": lambda name: {"artifacts": {"claimName": name}},
}
"""Each field that makes the operator read an object."""
NAMES: dict[str, Callable[[str], dict[str, Any]]] = {
    **REFERENCES,
    "key of a ConfigMap": lambda name: {"endpointsFrom": [{"configMapKeyRef": {"name": "list", "key": name}}]},
    "key of a Secret": lambda name: {"endpointsFrom": [{"secretKeyRef": {"name": "list", "key": name}}]},
    "imagePullSecrets": lambda name: {"podTemplate": {"imagePullSecrets": [{"name": name}]}},
    "serviceAccountName": lambda name: {"podTemplate": {"serviceAccountName": name}},
    "priorityClassName": lambda name: {"podTemplate": {"priorityClassName": name}},
    "queueName": lambda name: {"queueName": name},
    "queuePriorityClassName": lambda name: {"queueName": "queue", "queuePriorityClassName": name},
}
"""Each field that names an object, or a key of one."""


@pytest.mark.parametrize("name", [*TARGETS, "..", ".", "a/b", "%2e%2e", "a\\b", "a?b", "a#b", "a\nb", "ä"])
@pytest.mark.parametrize("reference", NAMES)
def test_the_crd_takes_no_path_for_a_name(reference: str, name: str, api: ApiServer, administrator: Kubectl) -> None:
    """Lost otherwise: the first hold, and the message where the mistake is made."""
    del administrator  # it serves the CRD
    with pytest.raises(Refused, match="should match") as refusal:
        api.create(f"{PLANS.format('default')}?dryRun=All", scanplan("plan", **NAMES[reference](name)))
    assert refusal.value.status == 422


@pytest.fixture
def others(api: ApiServer, administrator: Kubectl, alone: Scene) -> str:
    """A namespace that the plan's author has no right to, with a ConfigMap and a Secret; the operator may read both.

    Returns the words that no plan of another namespace may bring to light.
    """
    if api.get(f"/api/v1/namespaces/{OTHERS}") is None:
        api.create("/api/v1/namespaces", {"metadata": {"name": OTHERS}})
        api.create(CONFIG_MAPS.format(OTHERS), {"metadata": {"name": "app-config"}, "data": {"app": f"{CONTENT} a,b"}})
    for namespace, name in ((OTHERS, "app-secret"), (alone.namespace, "own-secret")):
        if api.get(f"/api/v1/namespaces/{namespace}/secrets/{name}") is None:
            secret = {"metadata": {"name": name}, "stringData": {"app": f"{CONTENT} a,b"}}
            api.create(f"/api/v1/namespaces/{namespace}/secrets", secret)
            administrator.in_namespace(namespace).allow(OPERATOR_ACCOUNT, "reach", "get", "secrets")
    return CONTENT


@pytest.fixture
def without_patterns(api: ApiServer, administrator: Kubectl) -> Any:
    """The CRD as an older one: it takes every text for a name."""
    del administrator
    served = api.get(DEFINITION)
    assert served
    whole = served["spec"]["versions"]
    api.patch(DEFINITION, {"spec": {"versions": json.loads(json.dumps(whole), object_hook=_without_pattern)}})
    yield
    api.patch(DEFINITION, {"spec": {"versions": whole}})
    assert is_served(api.get(DEFINITION))


def _without_pattern(schema: Object) -> Object:
    return {name: value for name, value in schema.items() if name != "pattern" or not isinstance(value, str)}


def test_the_operator_takes_no_path_for_a_name(
    api: ApiServer, alone: Scene, others: str, without_patterns: None, start_operator: StartOperator
) -> None:
    """Lost otherwise: every namespace's ConfigMaps and granted Secrets, where the CRD is older than the operator."""
    del without_patterns
    specs = [spec(target) for spec in REFERENCES.values() for target in TARGETS]
    plans = {f"plan-{number}": spec for number, spec in enumerate(specs)}
    for name, spec in plans.items():
        manifest = scanplan(name, **spec)
        alone.eventually(functools.partial(_created, api, alone.namespace, manifest))
    operator = start_operator()
    for name in plans:
        status = alone.until(lambda plan: plan["status"]["observedGeneration"] == 1, name)["status"]
        assert (status["phase"], condition(status, "Stalled")["reason"]) == ("Failed", "InvalidSpec"), name
        assert others not in json.dumps(status)
    assert alone.jobs() == []
    assert others not in alone.kubectl("get", "events", "-o", "json")
    assert others not in operator.text()
    asked = [request for request in alone.requests() if request.resource in {"secrets", "configmaps"}]
    assert asked == []


def _created(api: ApiServer, namespace: str, manifest: Object) -> bool:
    try:
        api.create(PLANS.format(namespace), manifest)
    except Refused as refusal:
        if refusal.status != 422:  # the CRD's change is not served yet
            raise
        return False
    return True


@pytest.mark.parametrize("target", [*TARGETS, "..", ".", "", "%2e%2e", "..%2f..%2f", "a\\b", "a;b", "a?b", "a#b"])
@pytest.mark.parametrize("kind", [Kind.CONFIG_MAP, Kind.SECRET, Kind.CLAIM])
def test_a_request_of_the_operator_takes_no_path_for_a_name(
    kind: Kind, target: str, alone: Scene, others: str, cluster: LocalCluster, identity: Path, monkeypatch: Any
) -> None:
    """Lost otherwise: the last hold, beneath every check of a plan."""
    monkeypatch.setenv("KUBECONFIG", str(identity))

    async def read() -> Input:
        client = await connect()
        try:
            reference = Reference(kind, target)
            return (await InputReader(Api(client)).read(alone.namespace, (reference,)))[reference]
        finally:
            await client.close()

    found = asyncio.run(read())
    assert (found.files, found.labels) == ({}, {})
    assert found.problem
    assert others not in found.problem
    assert not [request for request in audit.requests(cluster.audit_log, OTHERS) if request.name]


def test_a_viewer_sees_no_endpoint_of_a_secret(scene: Scene, administrator: Kubectl) -> None:
    """Lost otherwise: a Secret's endpoints, to everybody who may look at Jobs, pods and ConfigMaps."""
    del administrator
    hidden = "hidden-host"
    scene.kubectl("create", "secret", "generic", "targets", f"--from-literal=hosts=https://{hidden}.example")
    scene.kubectl("label", "secret/targets", "scanplan.dev/use=endpoints")
    scene.kubectl.allow(OPERATOR_ACCOUNT, "reads", "get", "secrets", names=["targets"])
    scene.apply(endpoints=[], endpointsFrom=[{"secretKeyRef": {"name": "targets", "key": "hosts"}}])
    refused = scene.phase("Pending", reason="JobRejected")
    assert 'cannot create resource "secrets"' in condition(refused, "Ready")["message"]
    scene.kubectl.allow(OPERATOR_ACCOUNT, "creates", "create", "secrets")
    job = scene.started()
    seen = scene.kubectl("get", "scanplans,jobs,pods,configmaps,events", "-o", "json")
    assert job in seen
    assert hidden not in seen
    made = scene.api.get(f"/api/v1/namespaces/{scene.namespace}/secrets/{job}-task-00")
    assert made
    assert made["immutable"]
    assert [owner["name"] for owner in made["metadata"]["ownerReferences"]] == [job]
    document = gzip.decompress(b"".join(base64.b64decode(part) for part in made["data"].values()))
    assert json.loads(document)["endpoints"] == [f"https://{hidden}.example"]
    scene.delete()
    scene.gone(job)
    scene.eventually(lambda: scene.api.get(f"/api/v1/namespaces/{scene.namespace}/secrets/{job}-task-00") is None)


def test_a_secret_named_as_a_list_of_targets_is_not_told(scene: Scene) -> None:
    """Lost otherwise: any granted Secret, by a plan whose error quotes it."""
    words = "a-session-cookie"
    scene.kubectl("create", "secret", "generic", "headers", f"--from-literal=Cookie=session={words}; path=/")
    scene.kubectl("label", "secret/headers", "scanplan.dev/use=headers")
    scene.kubectl.allow(OPERATOR_ACCOUNT, "reads", "get", "secrets", names=["headers"])
    reference = {"secretKeyRef": {"name": "headers", "key": "Cookie"}}
    scene.apply(endpoints=[], endpointsFrom=[reference])
    status = scene.phase("Failed", reason="InputUnavailable")
    assert words not in json.dumps(status)
    scene.kubectl("label", "--overwrite", "secret/headers", "scanplan.dev/use=endpoints")
    status = scene.phase("Failed", reason="InvalidEndpoint")
    assert condition(status, "Stalled")["message"].startswith("Secret 'headers', key 'Cookie', line 1: ")
    assert words not in scene.kubectl("get", "scanplans,events", "-o", "json")
