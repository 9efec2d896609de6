"""Admission that changes or refuses what is around a Job: ConfigMaps and Secrets of its document, and its pods.

Policies of the API server itself, as in `test_admission`, which has the Jobs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.deploy import OPERATOR_ACCOUNT
from tests.e2e import admission
from tests.integration.apiserver import ApiServer
from tests.integration.scene import Scene, condition, hosts
from tests.integration.test_admission import SIDECAR, Row, patches_of_jobs, pod_of, policies
from tests.kubectl import Kubectl, KubectlError, eventually

pytestmark = pytest.mark.integration

LONG = hosts(1000, "a-host-with-a-long-name-that-fills-the-document-")
KINDS = {"configmaps": ("ConfigMap", "binaryData"), "secrets": ("Secret", "data")}
FILE = "task.json.gz.00"


def document_in(scene: Scene, resource: str) -> dict[str, Any]:
    """The fields of a plan whose document is in ConfigMaps, or in Secrets that the operator may create."""
    if resource == "configmaps":
        return {"endpoints": LONG}
    scene.kubectl("create", "secret", "generic", "targets", "--from-literal=hosts=https://hidden.example")
    scene.kubectl("label", "secret/targets", "scanplan.dev/use=endpoints")
    scene.kubectl.allow(OPERATOR_ACCOUNT, "get", "get", "secrets", names=["targets"])
    scene.kubectl.allow(OPERATOR_ACCOUNT, "create", "create", "secrets")
    return {"endpoints": [], "endpointsFrom": [{"secretKeyRef": {"name": "targets", "key": "hosts"}}]}


def accepted(resource: str) -> list[tuple[tuple[str, str, Any], str]]:
    """Changes with which the pods still read their task, and the path that is told."""
    more = [(("add", "/data", {"note": "x"}), "data[note] (added)")] if resource == "configmaps" else []
    return [
        *more,
        (("add", "/metadata/labels/team", "red"), "metadata.labels[team] (added)"),
        (("add", "/metadata/annotations", {"note": "red"}), "metadata.annotations (added)"),
        (("replace", "/immutable", False), "immutable"),
        (
            ("replace", "/metadata/labels/app.kubernetes.io~1managed-by", "red"),
            "metadata.labels[app.kubernetes.io/managed-by]",
        ),
    ]


@pytest.mark.parametrize("resource", KINDS)
def test_what_admission_makes_of_a_document_is_accepted_and_told_once(
    administrator: Kubectl, api: ApiServer, alone: Scene, start_operator: Callable[..., Any], resource: str
) -> None:
    """Lost otherwise: the scan, because a policy labels every ConfigMap; or why the object is another than was written."""
    kind, _ = KINDS[resource]
    changes = accepted(resource)
    row = Row("plan", tuple(patch for patch, _ in changes), "")
    spec = document_in(alone, resource)
    with policies(administrator, api, alone.namespace, [row], resource, ""):
        start_operator()
        alone.apply(**spec)
        status = alone.until(lambda plan: "AdmissionChanged" in json.dumps(plan.get("status", {})))["status"]
        told = condition(status, "AdmissionChanged")["message"]
        for _, path in changes:
            assert path in told, (path, told)
        assert f"{kind} scan-" in told
        assert alone.kubelet.pending(alone.started())
        time.sleep(1)  # whatever else would be written
        assert alone.writes().count(f"create {resource}") == 1
        assert [
            each for each in alone.writes() if each in {f"patch {resource}", f"update {resource}", "patch jobs"}
        ] == []


REFUSED: dict[str, tuple[str, str, Any]] = {
    "changed": ("replace", f"/{FILE}", "eA=="),
    "removed": ("remove", f"/{FILE}", None),
    "all-removed": ("remove", "", None),
    "a-part-more": ("add", "/task.json.gz.01", "eA=="),
}
"""Operation, path in the object's content, and value."""


@pytest.mark.parametrize("resource", KINDS)
@pytest.mark.parametrize("change", REFUSED)
def test_a_document_that_pods_could_not_read_is_refused_once(
    administrator: Kubectl,
    api: ApiServer,
    alone: Scene,
    start_operator: Callable[..., Any],
    resource: str,
    change: str,
) -> None:
    """Lost otherwise: attempts that all end with a document that can't be read, and nobody told why."""
    kind, content = KINDS[resource]
    operation, path, value = REFUSED[change]
    row = Row(change, ((operation, f"/{content}{path}", value),), "")
    spec = document_in(alone, resource)
    with policies(administrator, api, alone.namespace, [row], resource, ""):
        start_operator()
        alone.apply(**spec)
        status = alone.phase("Failed", reason="JobAltered")
        told = condition(status, "Stalled")["message"]
        assert f"{kind} scan-" in told
        assert f"-task-00: {content}" in told
        alone.eventually(lambda: not alone.jobs())
        time.sleep(1)  # whatever the Job's end has set off
        assert alone.writes().count("create jobs") == 1


PODS = [
    Row("image", (("replace", "/spec/containers/0/image", "mirror.example/x:1"),), ""),
    Row("pull", (("add", "/spec/containers/0/imagePullPolicy", "Always"),), ""),
    Row("resources", (("add", "/spec/containers/0/resources", {"limits": {"memory": "3Gi"}}),), ""),
    Row("env", (("add", "/spec/containers/0/env", [{"name": "HTTPS_PROXY", "value": "x"}]),), ""),
    Row("user", (("add", "/spec/securityContext/runAsUser", 1000),), ""),
    Row("toleration", (("add", "/spec/tolerations/-", {"key": "spot", "operator": "Exists"}),), ""),
    Row("selector", (("add", "/spec/nodeSelector/disk", "ssd"),), ""),
    Row("alias", (("add", "/spec/hostAliases", [{"ip": "192.0.2.1", "hostnames": ["a"]}]),), ""),
    Row("dns", (("add", "/spec/dnsConfig", {"options": [{"name": "ndots", "value": "1"}]}),), ""),
    Row("pull-secret", (("add", "/spec/imagePullSecrets", [{"name": "r"}]),), ""),
    Row("scheduler", (("replace", "/spec/schedulerName", "other"),), ""),
    Row("grace", (("replace", "/spec/terminationGracePeriodSeconds", 5),), ""),
    Row("spread", (("add", "/spec/topologySpreadConstraints", []),), ""),
    Row("gate", (("add", "/spec/readinessGates", [{"conditionType": "example.com/ready"}]),), ""),
    Row("sidecar", (("add", "/spec/containers/-", {**SIDECAR, "name": "proxy"}),), ""),
    Row("first-sidecar", (("add", "/spec/containers/0", {**SIDECAR, "name": "proxy"}),), ""),
    Row(
        "native-sidecar",
        (("add", "/spec/initContainers", [{**SIDECAR, "name": "mesh", "restartPolicy": "Always"}]),),
        "",
    ),
    Row("label", (("add", "/metadata/labels/mesh", "on"),), ""),
    Row("annotation", (("add", "/metadata/annotations/note", "on"),), ""),
    Row("claim-label", (("remove", "/metadata/labels/scanplan.dev~1claim", None),), ""),
]
"""A policy each, of what meshes, registries, clouds and autoscalers change on pods."""


def test_plans_are_complete_whatever_admission_makes_of_their_pods(
    administrator: Kubectl, api: ApiServer, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    """Lost otherwise: the scans of a cluster with a mesh, a registry's mirror, or defaults of its own."""
    with policies(administrator, api, alone.namespace, PODS, "pods", ""):
        start_operator(WORKER_CONCURRENCY="100")
        for row in PODS:
            alone.apply(row.name, runId=row.name, podTemplate={"nodeSelector": {"row": row.name}})
        for row in PODS:
            (pod,) = alone.kubelet.pending(alone.started(row.name))
            assert pod["metadata"]["labels"]["probe"] == "x", f"the policy {row.name} is at work"
            alone.complete(row.name)
        assert patches_of_jobs(alone) == 0
        assert alone.writes().count("create jobs") == len(PODS)


def test_a_policy_that_refuses_the_pods_is_told_and_nothing_is_tried_by_the_operator(
    administrator: Kubectl, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    """Lost otherwise: why nothing happens."""
    name = f"{alone.namespace}-refused"
    administrator.apply(
        *admission.refusing(name, [alone.namespace], {"pods need a team": "'team' in object.metadata.labels"})
    )
    probe = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe", "labels": {"a": "b"}},
        **pod_of(Row("x", (), "")),
    }

    def refused() -> bool:
        try:
            alone.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(probe))
        except KubectlError as error:
            return "denied request" in str(error)
        return False

    eventually(refused)
    start_operator()
    alone.apply()
    alone.until(lambda plan: "may refuse it" in json.dumps(plan.get("status", {})))
    assert alone.writes().count("create jobs") == 1
    assert patches_of_jobs(alone) == 0
    for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
        administrator("delete", kind, name)


@pytest.mark.parametrize("resource", ["configmaps", "secrets", "jobs"])
def test_a_policy_that_refuses_an_object_is_told_in_its_words(
    administrator: Kubectl, alone: Scene, start_operator: Callable[..., Any], resource: str
) -> None:
    """Lost otherwise: what to write to the policy's owner."""
    spec = document_in(alone, "secrets" if resource == "secrets" else "configmaps")
    name, words = f"{alone.namespace}-refused", f"{resource} need a team"
    match = admission.rules([resource], "batch" if resource == "jobs" else "")
    validations = [{"message": words, "expression": "has(object.metadata.labels) && 'team' in object.metadata.labels"}]
    manifests = admission.bound(
        "ValidatingAdmissionPolicy", name, [alone.namespace], {"matchConstraints": match, "validations": validations}
    )
    administrator.apply(*manifests)
    pod = {"restartPolicy": "Never", **pod_of(Row("x", (), ""))["spec"]}
    probes: dict[str, tuple[str, dict[str, Any]]] = {
        "jobs": ("batch/v1", {"kind": "Job", "spec": {"template": {"spec": pod}}}),
        "configmaps": ("v1", {"kind": "ConfigMap"}),
        "secrets": ("v1", {"kind": "Secret"}),
    }
    version, body = probes[resource]

    def refused() -> bool:
        probe = {"apiVersion": version, "metadata": {"name": "probe"}, **body}
        try:
            alone.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(probe))
        except KubectlError as error:
            return words in str(error)
        return False

    eventually(refused)
    start_operator()
    alone.apply(**spec)
    status = alone.until(lambda plan: words in json.dumps(plan.get("status", {})))["status"]
    assert condition(status, "Ready")["reason"] == "JobRejected"
    assert alone.writes().count("create jobs") <= 2
    for manifest in reversed(manifests):
        administrator("delete", manifest["kind"], manifest["metadata"]["name"])
    if resource != "jobs":
        alone.eventually(lambda: "JobRejected" not in json.dumps(alone.plan()["status"]))
