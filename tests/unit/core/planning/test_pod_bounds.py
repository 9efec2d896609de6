"""Bounds on a plan's pods: lost otherwise are other tenants' pods, nodes that were set apart, and roles that annotations give."""

from __future__ import annotations

from typing import Any

import pytest

from scanplan.api.errors import InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.plan.pod_template import PodTemplate, Toleration
from scanplan.client.cluster import reader
from scanplan.core.manifests import jobs
from scanplan.core.planning import pod_bounds
from scanplan.core.planning.pod_bounds import PodBounds
from tests.unit.core.objects import POLICY, plan, task
from tests.unit.core.planning.test_task import resolved

CLOSED = PodBounds()
OPEN = PodBounds(
    allowed_service_accounts=("default", "scan-*"),
    allowed_priority_classes=("low", "batch-?"),
    allowed_tolerations=("dedicated=scans:NoSchedule", "spot:*", "gpu=*:NoSchedule"),
    allowed_pod_metadata=("team", "billing.example.com/*"),
)

PEERS = {"labelSelector": {}, "topologyKey": "kubernetes.io/hostname"}
OTHERS = {**PEERS, "namespaceSelector": {}}
REQUIRED, PREFERRED = (f"{kind}DuringSchedulingIgnoredDuringExecution" for kind in ("required", "preferred"))

ALLOWED: list[dict[str, Any]] = [
    {},
    {"serviceAccountName": "scan-egress"},
    {"priorityClassName": "low"},
    {"priorityClassName": "batch-1"},
    {"tolerations": [{"key": "dedicated", "value": "scans", "effect": "NoSchedule"}]},
    {"tolerations": [{"key": "dedicated", "operator": "Equal", "value": "scans", "effect": "NoSchedule"}]},
    {"tolerations": [{"key": "spot", "operator": "Exists"}]},
    {"tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}]},
    {"labels": {"team": "red"}},
    {"annotations": {"billing.example.com/centre": "7"}},
    {"nodeSelector": {"disk": "ssd"}},
    {"affinity": {"podAntiAffinity": {REQUIRED: [PEERS]}}},
    {"affinity": {"podAffinity": {PREFERRED: [{"weight": 1, "podAffinityTerm": {**PEERS, "namespaces": []}}]}}},
    {"affinity": {"podAffinity": {REQUIRED: [{"labelSelector": {"matchLabels": {"namespaces": "a"}}}]}}},
]

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"serviceAccountName": "admin"}, "SCANPLAN_ALLOWED_SERVICE_ACCOUNTS"),
    ({"priorityClassName": "system-node-critical"}, "SCANPLAN_ALLOWED_PRIORITY_CLASSES"),
    ({"priorityClassName": "system-cluster-critical"}, "SCANPLAN_ALLOWED_PRIORITY_CLASSES"),
    ({"priorityClassName": "lowest"}, "SCANPLAN_ALLOWED_PRIORITY_CLASSES"),
    ({"tolerations": [{"operator": "Exists"}]}, "SCANPLAN_ALLOWED_TOLERATIONS"),
    ({"tolerations": [{"key": "", "operator": "Exists"}]}, "SCANPLAN_ALLOWED_TOLERATIONS"),
    ({"tolerations": [{"operator": "Exists", "effect": "NoSchedule"}]}, "SCANPLAN_ALLOWED_TOLERATIONS"),
    ({"tolerations": [{"key": "dedicated", "operator": "Exists"}]}, "SCANPLAN_ALLOWED_TOLERATIONS"),
    ({"tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}]}, "ALLOWED_TOLERATIONS"),
    ({"tolerations": [{"key": "dedicated", "value": "scans"}]}, "SCANPLAN_ALLOWED_TOLERATIONS"),
    ({"tolerations": [{"key": "dedicated", "value": "scans", "effect": "NoExecute"}]}, "ALLOWED_TOLERATIONS"),
    ({"tolerations": [{"key": "gpu", "operator": "Lt", "value": "9", "effect": "NoSchedule"}]}, "gpu<9:NoSchedule"),
    (
        {"tolerations": [{"key": "spot", "operator": "Exists"}, {"key": "node-role.kubernetes.io/control-plane"}]},
        "node-role.kubernetes.io/control-plane=:*",
    ),
    ({"labels": {"aadpodidbinding": "admin"}}, "SCANPLAN_ALLOWED_POD_METADATA"),
    ({"labels": {"app": "shop"}}, "SCANPLAN_ALLOWED_POD_METADATA"),
    ({"annotations": {"iam.amazonaws.com/role": "admin"}}, "SCANPLAN_ALLOWED_POD_METADATA"),
    ({"annotations": {"k8s.v1.cni.cncf.io/networks": "management"}}, "SCANPLAN_ALLOWED_POD_METADATA"),
    ({"annotations": {"vault.hashicorp.com/agent-inject": "true"}}, "SCANPLAN_ALLOWED_POD_METADATA"),
    ({"affinity": {"podAntiAffinity": {REQUIRED: [OTHERS]}}}, "other namespaces"),
    ({"affinity": {"podAntiAffinity": {REQUIRED: [PEERS, {**PEERS, "namespaces": ["kube-system"]}]}}}, "other"),
    ({"affinity": {"podAffinity": {PREFERRED: [{"weight": 1, "podAffinityTerm": OTHERS}]}}}, "other namespaces"),
    ({"affinity": {"podAffinity": {REQUIRED: [OTHERS]}, "nodeAffinity": {}}}, "other namespaces"),
]


@pytest.mark.parametrize("fields", ALLOWED, ids=str)
def test_what_is_on_the_lists_is_allowed_and_kept(fields: dict[str, Any]) -> None:
    template = PodTemplate.model_validate(fields)
    assert not list(pod_bounds.refusals(template, OPEN))
    assert pod_bounds.within(template, OPEN) == template


@pytest.mark.parametrize("affinity", [{"nodeAffinity": 1}, {"podAffinity": "x"}, {"podAffinity": [PEERS]}], ids=str)
def test_a_shape_that_kubernetes_does_not_have_is_left_to_it_and_out_of_pods_that_must_come(affinity: Any) -> None:
    template = PodTemplate.model_validate({"affinity": affinity})
    assert not list(pod_bounds.refusals(template, OPEN))
    assert pod_bounds.within(template, OPEN).affinity is None


@pytest.mark.parametrize(("fields", "named"), REFUSED, ids=str)
def test_what_is_not_is_refused_with_its_setting_and_left_out(fields: dict[str, Any], named: str) -> None:
    template = PodTemplate.model_validate(fields)
    (refusal,) = pod_bounds.refusals(template, OPEN)
    assert named in refusal
    assert not list(pod_bounds.refusals(pod_bounds.within(template, OPEN), OPEN))


@pytest.mark.parametrize("fields", [fields for fields, _ in REFUSED], ids=str)
def test_by_default_the_lists_are_closed_and_the_plan_stalls(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidPlan) as refused:
        resolved(POLICY, {"podTemplate": fields})
    assert refused.value.reason is Reason.INVALID_SPEC


def test_a_priority_of_kueue_is_bounded_as_one_of_kubernetes_is() -> None:
    with pytest.raises(InvalidPlan, match="SCANPLAN_ALLOWED_PRIORITY_CLASSES"):
        resolved(POLICY, {"queueName": "team", "queuePriorityClassName": "urgent"})


@pytest.mark.parametrize(
    ("toleration", "spelled"),
    [
        ({"key": "a", "value": "b", "effect": "NoSchedule"}, "a=b:NoSchedule"),
        ({"key": "a", "operator": "Exists", "effect": "NoExecute"}, "a:NoExecute"),
        ({"key": "a", "operator": "Exists"}, "a:*"),
        ({"operator": "Exists"}, "*:*"),
        ({"key": "a"}, "a=:*"),
        ({"key": "a", "operator": "Gt", "value": "5", "effect": "NoSchedule"}, "a>5:NoSchedule"),
    ],
)
def test_tolerations_are_spelled_as_taints(toleration: dict[str, str], spelled: str) -> None:
    assert pod_bounds.spelled(Toleration.model_validate(toleration)) == spelled


BOUNDED = {"service_account_name", "priority_class_name", "tolerations", "labels", "annotations", "affinity"}
HARMLESS = {"node_selector", "topology_spread_constraints", "image_pull_secrets", "resources"}


def test_each_field_of_the_template_has_its_bound_or_needs_none() -> None:
    """A new field is a new power until somebody has thought about it: scanplan.core.planning.pod_bounds has the table."""
    assert PodTemplate.model_fields.keys() == BOUNDED | HARMLESS


BEYOND: dict[str, Any] = {
    "serviceAccountName": "admin",
    "priorityClassName": "system-node-critical",
    "tolerations": [{"operator": "Exists"}],
    "labels": {"app": "shop"},
    "annotations": {"iam.amazonaws.com/role": "admin"},
    "affinity": {"podAntiAffinity": {REQUIRED: [OTHERS]}},
}


def test_a_collector_comes_without_what_was_written_since_the_scan_began() -> None:
    """The running Job is out of an edit's reach, but the collector is made after it, and nothing may refuse that."""
    pod = jobs.build_collector(task(), plan(podTemplate=BEYOND), POLICY)["spec"]["template"]
    assert not pod["spec"].keys() & {"serviceAccountName", "priorityClassName", "tolerations"}
    assert "podAntiAffinity" not in pod["spec"].get("affinity", {})
    assert "app" not in pod["metadata"]["labels"]
    assert "iam.amazonaws.com/role" not in pod["metadata"]["annotations"]


@pytest.mark.parametrize("template", [BEYOND, {**BEYOND, "tolerations": "unreadable"}], ids=["read", "unreadable"])
def test_a_reader_that_the_api_makes_is_bounded_too(template: dict[str, Any]) -> None:
    """It is made with the operator's rights, for a plan that may have been edited since it was scanned."""
    of: dict[str, Any] = {
        "metadata": {"name": "plan", "namespace": "team", "uid": "uid"},
        "spec": {"podTemplate": {**template, "nodeSelector": {"disk": "ssd"}}},
    }
    made = reader.manifest(of, "claim", "image", CLOSED)
    spec = made["spec"]
    assert "app" not in made["metadata"]["labels"]
    assert not made["metadata"]["annotations"]
    assert not spec.keys() & {"serviceAccountName", "priorityClassName", "tolerations"}
    assert ("disk" in spec["nodeSelector"]) == (template is BEYOND)
    assert reader.manifest(of, "claim", "image")["spec"]["priorityClassName"] == "system-node-critical"
