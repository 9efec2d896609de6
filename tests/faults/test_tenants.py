"""Attacks of one tenant on the others and on the node: each tries to get in, and has to fail.

A tenant is somebody who may create ScanPlans, Jobs and ConfigMaps in a namespace of his own, and nothing elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scanplan.api import labels
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.core.manifests import jobs
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.sources import Input, Kind, Reference
from scanplan.core.planning.targets.denied import DEFAULT_DENIED
from scanplan.core.planning.targets.guard import Guard
from scanplan.core.planning.task import Plan, resolve
from tests.faults.case import Laboratory
from tests.fixtures.control_plane import make_namespace
from tests.integration.apiserver import JOBS, PODS, Refused
from tests.integration.scene import scanplan

pytestmark = pytest.mark.timeout(600)

_NAMES = st.sampled_from(["team", "example.com/team", "app", "sidecar.istio.io/inject", "a/b"])
_TEXTS = st.sampled_from(["", "x", "true", "unconfined", "root", "0"])
_TOLERATIONS = st.fixed_dictionaries(
    {"operator": st.sampled_from(["Exists"]), "effect": st.sampled_from(["NoSchedule", "NoExecute"])}
)
POD_TEMPLATES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "labels": st.dictionaries(_NAMES, _TEXTS, max_size=3),
        "annotations": st.dictionaries(_NAMES, _TEXTS, max_size=3),
        "nodeSelector": st.dictionaries(_NAMES, _TEXTS, max_size=2),
        "tolerations": st.lists(_TOLERATIONS, max_size=2),
        "resources": st.sampled_from([{}, {"limits": {"memory": "1Gi"}}, {"requests": {"cpu": "1m"}}]),
        "serviceAccountName": st.sampled_from(["default"]),
        "imagePullSecrets": st.lists(st.fixed_dictionaries({"name": st.sampled_from(["a", "b"])}), max_size=2),
        # None of these is a field: where validation lets one through, the pod must not have it.
        "hostNetwork": st.just(True),
        "hostPID": st.just(True),
        "securityContext": st.just({"runAsUser": 0, "runAsNonRoot": False}),
        "containers": st.just([{"name": "scanner", "securityContext": {"privileged": True}}]),
        "volumes": st.just([{"name": "root", "hostPath": {"path": "/"}}]),
    },
)


@pytest.fixture(scope="module")
def restricted(laboratory: Laboratory) -> str:
    """A namespace that enforces the restricted Pod Security Standard."""
    make_namespace(laboratory.api, "tenants-restricted")
    return "tenants-restricted"


def test_no_pod_template_gets_beyond_the_restricted_standard(laboratory: Laboratory, restricted: str) -> None:
    """Lost otherwise: the node. Judged by the API server's own admission, for whatever validation lets through."""
    policy = Policy(
        scanner_image="registry.example/scanner:1",
        guard=Guard(DEFAULT_DENIED),
        allowed_tolerations=("*",),
        allowed_pod_metadata=("*",),
    )
    judged = 0

    @settings(max_examples=150, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(POD_TEMPLATES)
    def attempt(template: dict[str, Any]) -> None:
        nonlocal judged
        manifest = scanplan("plan", podTemplate=template)
        try:
            stored = laboratory.api.create(_PLANS.format(restricted), manifest)
        except Refused:
            return
        spec = ScanPlanSpec.model_validate(stored["spec"])
        plan = Plan(
            namespace=restricted, name="plan", uid="u", generation=1, created=_NOW, spec=spec, status=ScanPlanStatus()
        )
        claim = Reference(Kind.CLAIM, "scanplan-artifacts")
        task = resolve(plan, policy, _NOW, {claim: Input(access_modes=("ReadWriteMany",))})
        pod = jobs.build(task, plan, policy)["spec"]["template"]
        pod["metadata"]["generateName"] = "scan-"
        try:
            laboratory.api.create(f"{PODS.format(restricted)}?dryRun=All", pod)
            judged += 1
        except Refused as error:
            if "PodSecurity" in str(error):
                raise  # anything else is Kubernetes' own rule about a field
        text = str(pod["spec"])
        assert not any(word in text for word in ("hostPath", "hostNetwork", "hostPID", "'privileged': True")), template

    attempt()
    assert judged > 50


_NOW = datetime(2026, 11, 24, tzinfo=UTC)
_PLANS = "/apis/scanplan.dev/v1alpha1/namespaces/{}/scanplans?dryRun=All"


def forged(uid: str, name: str, key: str) -> dict[str, Any]:
    """A Job as the operator would have made it, with a foreign plan as its owner."""
    container = {
        "name": labels.CONTAINER,
        "image": "registry.example/evil:1",
        "securityContext": {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return {
        "metadata": {
            "name": name,
            "labels": {labels.TASK: name, labels.MANAGED_BY: labels.MANAGED_BY_VALUE},
            "annotations": {labels.TASK_KEY: key, labels.CREATOR: uid, f"{labels.PIN_PREFIX}{uid}": "0" * 16},
            "ownerReferences": [{"apiVersion": labels.API_VERSION, "kind": labels.KIND, "name": "plan", "uid": uid}],
        },
        "spec": {"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }


def test_a_forged_job_in_another_namespace_changes_nothing(laboratory: Laboratory) -> None:
    """Lost otherwise: other tenants' results, by a Job that names their plan as its owner."""
    with laboratory.case("victim", SCANPLAN_NAMESPACES="") as victim:
        victim.node.hold = True
        victim.apply()
        status = victim.running()
        attacker = f"{victim.namespace}-attacker"
        make_namespace(laboratory.api, attacker)
        uid = victim.plan()["metadata"]["uid"]
        laboratory.api.create(JOBS.format(attacker), forged(uid, status["taskId"], status["taskKey"]))
        laboratory.api.create(JOBS.format(attacker), forged(uid, "scan-forged", "scan:x"))
        victim.edit(priority=7)
        victim.node.hold = False
        done = victim.phase("Completed")
        assert done["jobRef"] == status["jobRef"]
        victim.fault_ends()
        victim.judge(10)


def test_the_same_scan_in_two_namespaces_is_two_scans(laboratory: Laboratory) -> None:
    """Lost otherwise: the wall between tenants. Equal keys share a Job only within a namespace."""
    with laboratory.case("tenant") as case:
        case.apply()
        mine = case.phase("Completed")
        with laboratory.case("other tenant") as other:
            other.apply()
            theirs = other.phase("Completed")
            assert mine["taskKey"] == theirs["taskKey"]
            assert mine["jobRef"]["uid"] != theirs["jobRef"]["uid"]
            assert _reasons(theirs) == _reasons(mine) == ["Completed"]


def _reasons(status: dict[str, Any]) -> list[str]:
    return [condition["reason"] for condition in status["conditions"] if condition["type"] == "Ready"]


LABELLED: dict[str, Callable[[str], dict[str, Any]]] = {
    "an owner that is no text": lambda uid: {"annotations": {f"{labels.PIN_PREFIX}{uid}": "\u202e"}},
    "numbers that are none": lambda _: {"annotations": {labels.DOCUMENT_PARTS: "9" * 400, labels.ENDPOINT_COUNT: "-1"}},
    "a time that is none": lambda _: {"annotations": {labels.FIRST_SEEN: "0000-99-99T99:99:99Z"}},
    "an empty key": lambda _: {"annotations": {labels.TASK_KEY: ""}},
}


def test_a_jobs_labels_and_annotations_cannot_stop_the_operator(laboratory: Laboratory) -> None:
    """Lost otherwise: everybody's scans, by one tenant's annotation."""
    with laboratory.case("annotated") as case:
        case.node.hold = True
        case.apply("victim")
        uid = case.plan("victim")["metadata"]["uid"]
        for number, change in enumerate(LABELLED.values()):
            job = forged(uid, f"scan-annotated-{number}", "scan:x")
            del job["metadata"]["ownerReferences"]
            job["metadata"]["annotations"].update(change(uid)["annotations"])
            case.api.create(JOBS.format(case.namespace), job)
        case.running("victim")
        case.node.hold = False
        case.phase("Completed", "victim")
        assert case.deployment.starts == 1
        assert "Traceback" not in case.log()
