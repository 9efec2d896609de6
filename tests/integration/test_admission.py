"""Admission that changes what the operator writes: MutatingAdmissionPolicies of the API server itself, a field each.

What the API server answers is what there is. The plan runs with it, a condition says what differs, and the operator writes no
field a second time. A Job that could not be scanned rightly is refused once, with the reason.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import pytest

from tests.integration.apiserver import JOBS, ApiServer, Object, Refused
from tests.integration.scene import Scene, condition, condition_types, hosts
from tests.kubectl import Kubectl, eventually

pytestmark = pytest.mark.integration

PROBE = "probe.example.com"
SIDECAR = {
    "image": "proxy:1",
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}
POD = "/spec/template/spec"


class Row(NamedTuple):
    """One policy: JSON patch operations, and the path that the condition names."""

    name: str
    patches: tuple[tuple[str, str, Any], ...]
    path: str
    operations: tuple[str, ...] = ("CREATE",)


ALWAYS = ("CREATE", "UPDATE")
MUTABLE = [
    Row("ttl", (("add", "/spec/ttlSecondsAfterFinished", 600),), "spec.ttlSecondsAfterFinished (", ALWAYS),
    Row("deadline", (("add", "/spec/activeDeadlineSeconds", 1234),), "spec.activeDeadlineSeconds (", ALWAYS),
    Row("parallelism", (("add", "/spec/parallelism", 7),), "spec.parallelism (7", ALWAYS),
]
ACCEPTED = [
    *(row for row in MUTABLE if row.name != "parallelism"),
    Row("backoff", (("add", "/spec/backoffLimitPerIndex", 9),), "spec.backoffLimitPerIndex"),
    Row("label", (("add", "/metadata/labels/team", "red"),), "metadata.labels[team] (added)", ALWAYS),
    Row("annotation", (("add", "/metadata/annotations/note", "red"),), "metadata.annotations[note] (added)", ALWAYS),
    Row("finalizer", (("add", "/metadata/finalizers", ["example.com/hold"]),), "metadata.finalizers (added)"),
    Row("image", (("replace", f"{POD}/containers/0/image", "mirror.example/x:1"),), "containers[scanner].image"),
    Row("pull", (("add", f"{POD}/containers/0/imagePullPolicy", "Always"),), "containers[scanner].imagePullPolicy"),
    Row("resources", (("add", f"{POD}/containers/0/resources", {"limits": {"memory": "3Gi"}}),), "resources"),
    Row("env", (("add", f"{POD}/containers/0/env/-", {"name": "HTTPS_PROXY", "value": "x"}),), "env[HTTPS_PROXY]"),
    Row("user", (("add", f"{POD}/securityContext/runAsUser", 1000),), "spec.securityContext.runAsUser"),
    Row(
        "toleration",
        (("add", f"{POD}/tolerations", [{"key": "spot", "operator": "Exists"}]),),
        "spec.tolerations (added)",
    ),
    Row("selector", (("add", f"{POD}/nodeSelector/disk", "ssd"),), "spec.nodeSelector"),
    Row(
        "alias",
        (("add", f"{POD}/hostAliases", [{"ip": "192.0.2.1", "hostnames": ["a"]}]),),
        "spec.hostAliases (added)",
    ),
    Row("pull-secret", (("add", f"{POD}/imagePullSecrets", [{"name": "r"}]),), "spec.imagePullSecrets (added)"),
    Row("account", (("add", f"{POD}/serviceAccountName", "default"),), "spec.serviceAccountName (added)"),
    Row("pod-label", (("add", "/spec/template/metadata/labels/mesh", "on"),), "template.metadata.labels[mesh] (added)"),
    Row("sidecar", (("add", f"{POD}/containers/-", {**SIDECAR, "name": "proxy"}),), "containers[proxy] (added)"),
    Row(
        "native-sidecar",
        (("add", f"{POD}/initContainers", [{**SIDECAR, "name": "mesh", "restartPolicy": "Always"}]),),
        "initContainers (added)",
    ),
    Row("pod-deadline", (("add", f"{POD}/activeDeadlineSeconds", 999),), "template.spec.activeDeadlineSeconds (added)"),
    Row("scheduler", (("add", f"{POD}/schedulerName", "other"),), "spec.schedulerName (added)"),
    Row("dns", (("add", f"{POD}/dnsPolicy", "Default"),), "spec.dnsPolicy (added)"),
    Row("tmpfs", (("add", f"{POD}/volumes/1/emptyDir/medium", "Memory"),), "volumes[scratch].emptyDir.medium (added)"),
    Row("grace", (("add", f"{POD}/terminationGracePeriodSeconds", 5),), "spec.terminationGracePeriodSeconds"),
    Row("failure-policy", (("remove", "/spec/podFailurePolicy", None),), "spec.podFailurePolicy"),
]
REFUSED = [
    Row("completions", (("replace", "/spec/completions", 5),), "spec.completions"),
    Row("no-owner", (("remove", "/metadata/ownerReferences", None),), "metadata.ownerReferences"),
    Row("no-key", (("remove", "/metadata/annotations/scanplan.dev~1task-key", None),), "scanplan.dev/task-key"),
    Row("no-record", (("remove", "/metadata/annotations/scanplan.dev~1asked", None),), "scanplan.dev/asked"),
    Row("no-label", (("remove", "/metadata/labels/app.kubernetes.io~1managed-by", None),), "managed-by"),
    Row("no-task", (("remove", "/metadata/labels/scanplan.dev~1task", None),), "metadata.labels[scanplan.dev/task]"),
    Row("pod-task", (("replace", "/spec/template/metadata/labels/scanplan.dev~1task", "x"),), "template.metadata"),
    Row("command", (("add", f"{POD}/containers/0/command", ["true"]),), "containers[scanner].command (added)"),
    Row("claim", (("replace", f"{POD}/volumes/0/persistentVolumeClaim/claimName", "x"),), "volumes[claim]"),
    Row(
        "read-only", (("add", f"{POD}/containers/0/volumeMounts/0/readOnly", True),), "volumeMounts[/scan/run].readOnly"
    ),
    Row("multikueue", (("add", "/spec/managedBy", "kueue.x-k8s.io/multikueue"),), "spec.managedBy (added)"),
]


def literal(value: Any) -> str:
    """A value in CEL: as in JSON, but for values of different types in one map."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: dyn({literal(each)})" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value)


def policy(namespace: str, row: Row, resource: str = "jobs", group: str = "batch") -> list[Object]:
    """A policy for the objects of one plan, and its binding."""
    probe = (
        ("add", f"/metadata/annotations/{PROBE}", row.name)
        if resource == "jobs"
        else ("add", "/metadata/labels/probe", "x")
    )
    operations = ", ".join(
        f'JSONPatch{{op: "{op}", path: "{path}"' + (f", value: {literal(value)}}}" if op != "remove" else "}")
        for op, path, value in (*row.patches, probe)
    )
    owned = f"object.metadata.?ownerReferences[0].name.orValue('') == '{row.name}'"
    old = f"oldObject.metadata.?ownerReferences[0].name.orValue('') == '{row.name}'"
    of_row = {
        "jobs": f"{owned} || (oldObject != null && {old})",
        "pods": f"object.spec.?nodeSelector[?'row'].orValue('') == '{row.name}'",
    }
    name = f"{namespace}-{row.name}"
    return [
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": [group],
                            "apiVersions": ["v1"],
                            "operations": list(row.operations),
                            "resources": [resource],
                        }
                    ]
                },
                "matchConditions": [{"name": "row", "expression": of_row[resource]}] if resource in of_row else [],
                "failurePolicy": "Fail",
                "reinvocationPolicy": "Never",
                "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": f"[{operations}]"}}],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
            },
        },
    ]


@contextmanager
def policies(
    administrator: Kubectl,
    api: ApiServer,
    namespace: str,
    rows: list[Row],
    resource: str = "jobs",
    group: str = "batch",
) -> Iterator[None]:
    """Have these policies at work."""
    manifests = [manifest for row in rows for manifest in policy(namespace, row, resource, group)]
    administrator.apply(*manifests)
    try:
        for row in rows:
            eventually(partial(is_at_work, api, namespace, row, resource), interval=0.1)
        yield
    finally:
        for manifest in manifests:
            administrator.delete(manifest["kind"], manifest["metadata"]["name"])


def pod_of(row: Row) -> Object:
    """A pod that the policy of a row changes, and Pod Security admits."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "spec": {
            "nodeSelector": {"row": row.name},
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "a", "image": "a", "securityContext": security}],
        }
    }


def is_at_work(api: ApiServer, namespace: str, row: Row, resource: str) -> bool:
    """Whether a policy changes an object like ours: it does so some time after it was made, or says that it can't."""
    metadata = {"name": "probe", "annotations": {"a": "b"}, "labels": {"a": "b"}}
    if resource != "jobs":
        bodies = {"pods": pod_of(row), "configmaps": {"immutable": True}, "secrets": {"immutable": True}}
        path = f"/api/v1/namespaces/{namespace}/{resource}?dryRun=All"
        try:
            return "probe" in api.create(path, {"metadata": metadata, **bodies[resource]})["metadata"]["labels"]
        except Refused as error:
            return f"{namespace}-{row.name}" in str(error)  # the probe hasn't what the policy changes
    owner = {"apiVersion": "example.com/v1", "kind": "Probe", "name": row.name, "uid": "u"}
    pod = {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}
    job = {"metadata": {**metadata, "ownerReferences": [owner]}, "spec": {"template": {"spec": pod}}}
    try:
        return PROBE in api.create(f"{JOBS.format(namespace)}?dryRun=All", job)["metadata"]["annotations"]
    except Refused as error:
        return (
            f"{namespace}-{row.name}" in str(error) or error.status == 422
        )  # the probe hasn't what the policy changes


def patches_of_jobs(scene: Scene) -> int:
    return scene.writes().count("patch jobs")


def test_what_admission_makes_of_a_job_is_accepted_and_told(
    administrator: Kubectl, api: ApiServer, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    """Lost otherwise: the scan, while operator and policy write against each other."""
    with policies(administrator, api, alone.namespace, ACCEPTED):
        start_operator(WORKER_CONCURRENCY="100")
        for row in ACCEPTED:
            alone.apply(row.name, runId=row.name, podTemplate={"nodeSelector": {"disk": "hdd"}})
        for row in ACCEPTED:
            alone.started(row.name)
            status = alone.complete(row.name)
            told = condition(status, "AdmissionChanged")
            assert (told["status"], told["reason"]) == ("True", "FieldsChanged"), row.name
            assert row.path in told["message"], (row.name, told["message"])
            assert f"metadata.annotations[{PROBE}] (added)" in told["message"]
        assert patches_of_jobs(alone) == 0
        assert alone.writes().count("create jobs") == len(ACCEPTED)


def test_what_can_not_be_scanned_rightly_is_refused_once(
    administrator: Kubectl, api: ApiServer, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    """Lost otherwise: shards that no pod scans, or a Job that nobody finds again."""
    with policies(administrator, api, alone.namespace, REFUSED):
        start_operator(WORKER_CONCURRENCY="100")
        for row in REFUSED:
            alone.apply(row.name, runId=row.name)
        for row in REFUSED:
            status = alone.phase("Failed", row.name, reason="JobAltered")
            assert row.path in condition(status, "Stalled")["message"], (row.name, status["conditions"])
        alone.eventually(lambda: not alone.jobs())
        time.sleep(1)  # whatever the Jobs' ends have set off
        assert alone.writes().count("create jobs") == len(REFUSED)
        assert patches_of_jobs(alone) == 0


def test_an_edit_is_written_once_whatever_becomes_of_it(
    administrator: Kubectl, api: ApiServer, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    """Lost otherwise: an API server that is busy with one plan (534 patches in four minutes)."""
    with policies(administrator, api, alone.namespace, MUTABLE):
        operator = start_operator()
        edits: dict[str, Object] = {
            "ttl": {"ttlSecondsAfterFinished": 7200},
            "deadline": {"deadlineSeconds": 5000},
            "parallelism": {"sharding": {"maxEndpointsPerShard": 1, "parallelism": 2}},
        }
        for name in edits:
            alone.apply(name, runId=name, endpoints=hosts(3), sharding={"maxEndpointsPerShard": 1, "parallelism": 3})
        for name, edit in edits.items():
            alone.run(name, 3)
            alone.phase("Running", name)
            alone.edit(name, **edit)
            alone.phase("Running", name)
        for row in MUTABLE:
            alone.until(lambda plan: "AdmissionChanged" in condition_types(plan["status"]), row.name)
        assert patches_of_jobs(alone) == len(edits)
        operator.kill()
        start_operator()
        alone.apply("later", runId="later")
        alone.started("later")
        assert patches_of_jobs(alone) == len(edits), "nor does a new operator write it again"


def test_a_job_that_somebody_else_suspends_is_not_resumed(
    administrator: Kubectl, api: ApiServer, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    """Lost otherwise: what Kueue's `manageJobsWithoutQueueName` is for; 295 writes of ours in 30 s were seen."""
    held = [Row("held", (("add", "/spec/suspend", True),), "spec.suspend (")]
    with policies(administrator, api, alone.namespace, held):
        start_operator()
        alone.apply("held")
        status = alone.phase("Queued", "held")
        assert "spec.suspend (true where false was asked)" in condition(status, "AdmissionChanged")["message"]
        job = alone.job_of("held")["metadata"]["name"]
        api.patch(f"{JOBS.format(alone.namespace)}/{job}", {"spec": {"suspend": False}})
        assert alone.complete("held")["phase"] == "Completed"
        assert patches_of_jobs(alone) == 0


def test_a_long_task_reaches_its_pods_whatever_is_added_to_its_config_maps(
    administrator: Kubectl, api: ApiServer, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    """Lost otherwise: the scan, because a policy labels every ConfigMap."""
    labelled = [Row("plan", (("add", "/metadata/labels/team", "red"),), "metadata.labels[team] (added)")]
    with policies(administrator, api, alone.namespace, labelled, "configmaps", ""):
        start_operator()
        alone.apply(endpoints=hosts(1000, "a-host-with-a-long-name-that-fills-the-document-"))
        status = alone.complete()
        told = condition(status, "AdmissionChanged")["message"]
        assert "ConfigMap scan-" in told
        assert "metadata.labels[team] (added)" in told


def test_a_webhook_that_is_down_is_told_at_once(
    administrator: Kubectl, alone: Scene, start_operator: Callable[..., Any]
) -> None:
    """Lost otherwise: why a plan waits; only the operator's log would tell."""
    webhook = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": alone.namespace},
        "webhooks": [
            {
                "name": "down.example.com",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "timeoutSeconds": 1,
                "clientConfig": {"url": "https://127.0.0.1:1/"},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": alone.namespace}},
                "rules": [
                    {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}
                ],
            }
        ],
    }
    administrator.apply(webhook)
    try:
        start_operator()
        alone.apply()
        status = alone.phase("Pending", reason="ApiRequestFailed")
        assert "down.example.com" in condition(status, "Reconciling")["message"]
    finally:
        administrator("delete", "mutatingwebhookconfiguration", alone.namespace)
    assert alone.complete()["phase"] == "Completed"
