"""The scan pod: everything on it that users need, and nothing that would make it less restricted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from scanplan.api import environment, labels
from scanplan.api.documents.task import decode_task
from scanplan.core.manifests import document, pod
from scanplan.core.planning import sources
from tests.unit.core.objects import CLAIM, INPUTS, POLICY, plan, task

RICH: dict[str, Any] = {
    "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "1Gi"}},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "scan", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 60}],
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}},
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
    "priorityClassName": "low",
    "serviceAccountName": "default",
    "imagePullSecrets": [{"name": "registry"}],
    "labels": {"team": "red"},
    "annotations": {"example.com/note": "x"},
}

GENEROUS = replace(POLICY, allowed_priority_classes=("*",), allowed_tolerations=("*",), allowed_pod_metadata=("*",))
"""Of an owner who lets plans say all that they can."""


def build(template: dict[str, Any] | None = None, inputs: sources.Inputs = INPUTS, **spec: Any) -> dict[str, Any]:
    of = plan(podTemplate=template or {}, **spec)
    made = task(of, GENEROUS, inputs)
    return pod.build(made, of.spec.pod_template, GENEROUS, document.pack(made, made.job_name))


def check_restricted(template: dict[str, Any]) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and what we promise beyond it."""
    spec = template["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers"} & spec.keys()
    assert "ports" not in container
    allowed = {"persistentVolumeClaim", "emptyDir", "downwardAPI", "projected", "configMap", "secret", "image"}
    assert all(set(volume) - {"name"} <= allowed for volume in spec["volumes"])
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False


@pytest.mark.parametrize(
    "template",
    [
        {},
        RICH,
        # fields of a pod that a plan may not set are not there to be set
        {"securityContext": {"runAsUser": 0}, "hostNetwork": True, "containers": [{"name": "x", "image": "y"}]},
        {
            "resources": {"limits": {"memory": "1Gi"}},
            "automountServiceAccountToken": True,
            "volumes": [{"hostPath": {"path": "/"}}],
        },
        {"affinity": {"hostNetwork": True, "securityContext": {"privileged": True}}},
    ],
)
def test_pods_are_restricted_whatever_the_plan_says(template: dict[str, Any]) -> None:
    check_restricted(build(template))


@pytest.mark.parametrize("levels", [33, 300, 5_000])
@pytest.mark.parametrize("field", ["affinity", "topologySpreadConstraints"])
def test_what_nests_deeper_than_any_pod_is_no_spec(field: str, levels: int) -> None:
    """Lost otherwise: the words to say so, since no digest of such a plan can be made."""
    value: Any = {}
    for _ in range(levels):
        value = {"a": [value]}
    with pytest.raises(ValidationError, match="it has more than 32 levels"):
        plan(podTemplate={field: value if field == "affinity" else [value]})


def test_everything_that_users_need_is_on_it() -> None:
    made = build(RICH)
    spec = made["spec"]
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux", "disk": "ssd"}
    assert spec["tolerations"] == RICH["tolerations"]
    assert spec["affinity"] == RICH["affinity"]
    assert spec["topologySpreadConstraints"] == RICH["topologySpreadConstraints"]
    assert (spec["priorityClassName"], spec["serviceAccountName"]) == ("low", "default")
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["containers"][0]["resources"] == RICH["resources"]
    assert made["metadata"]["labels"]["team"] == "red"
    assert made["metadata"]["annotations"]["example.com/note"] == "x"


def test_what_a_plan_leaves_out_is_not_there() -> None:
    """Defaults are the cluster's: an empty affinity or selector would be ours. But the images are for Linux."""
    spec = build()["spec"]
    assert set(RICH) & spec.keys() == {"nodeSelector"}
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert "resources" not in spec["containers"][0]


def test_a_plan_can_not_take_our_labels_or_the_document() -> None:
    stolen = {
        "labels": {labels.TASK: "x", labels.MANAGED_BY: "x", labels.CLAIM: "x"},
        "annotations": {labels.TASK_DOCUMENT: "{}"},
    }
    metadata = build(stolen)["metadata"]
    assert metadata["labels"][labels.TASK] == task().job_name
    assert metadata["labels"][labels.MANAGED_BY] == labels.MANAGED_BY_VALUE
    assert metadata["labels"][labels.CLAIM] == "scanplan-artifacts"
    assert decode_task(metadata["annotations"][labels.TASK_DOCUMENT].encode()) == task().document


def test_a_pod_sees_its_own_run_on_the_claim_and_no_other() -> None:
    (mount,) = [each for each in build()["spec"]["containers"][0]["volumeMounts"] if each["name"] == "claim"]
    assert mount["subPath"] == "ui_projects/nightly"
    assert mount["mountPath"] == environment.RUN_MOUNT


def test_the_runner_has_time_to_publish_when_it_is_told_to_end() -> None:
    assert build()["spec"]["terminationGracePeriodSeconds"] == pod.GRACE_SECONDS


def test_the_document_is_a_file_of_the_pod() -> None:
    spec = build()["spec"]
    (volume,) = [each for each in spec["volumes"] if each["name"] == "task"]
    (item,) = volume["downwardAPI"]["items"]
    assert item["fieldRef"]["fieldPath"] == f"metadata.annotations['{labels.TASK_DOCUMENT}']"
    variables = {each["name"]: each.get("value") for each in spec["containers"][0]["env"]}
    assert variables[environment.TASK_DIRECTORY] == pod.TASK_DIRECTORY
    assert environment.TASK_DIGEST not in variables


class TestClaimsOfOneNode:
    """Pods of a ReadWriteOnce claim have to be where the first of them is; elsewhere they would never start."""

    @pytest.mark.parametrize(
        ("modes", "together"),
        [
            (("ReadWriteOnce",), True),
            (("ReadWriteOnce", "ReadWriteMany"), False),
            (("ReadWriteMany",), False),
            ((), False),
        ],
    )
    def test_by_access_mode(self, modes: tuple[str, ...], together: bool) -> None:
        spec = build(inputs={CLAIM: sources.Input(access_modes=modes)})["spec"]
        assert ("affinity" in spec) is together

    def test_beside_the_plans_own_affinity(self) -> None:
        own = {
            "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]},
            "nodeAffinity": {"x": 1},
        }
        affinity = build({"affinity": own}, {CLAIM: sources.Input(access_modes=("ReadWriteOnce",))})["spec"]["affinity"]
        first, second = affinity["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert first == {"topologyKey": "zone"}
        assert second["labelSelector"] == {"matchLabels": {labels.CLAIM: "scanplan-artifacts"}}
        assert affinity["nodeAffinity"] == {"x": 1}

    @pytest.mark.parametrize(
        "own",
        [
            {"podAffinity": ["x"]},
            {"podAffinity": "x"},
            {"podAffinity": 1},
            {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": 1}},
            {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"a": 1}}},
            {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": "x"}},
        ],
        ids=str,
    )
    def test_a_wrong_shape_is_left_for_the_api_server_to_refuse(self, own: dict[str, Any]) -> None:
        """Lost otherwise: what is wrong, and the plan, which would be an internal error for ever."""
        claim: sources.Inputs = {CLAIM: sources.Input(access_modes=("ReadWriteOnce",))}
        assert build({"affinity": own}, claim)["spec"]["affinity"] == own

    @pytest.mark.parametrize("pods", [None, {}, {"requiredDuringSchedulingIgnoredDuringExecution": None}])
    def test_what_says_nothing_is_taken(self, pods: Any) -> None:
        claim: sources.Inputs = {CLAIM: sources.Input(access_modes=("ReadWriteOnce",))}
        affinity = build({"affinity": {"podAffinity": pods}}, claim)["spec"]["affinity"]
        assert len(affinity["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]) == 1

    def test_a_long_claim_name_still_makes_a_label(self) -> None:
        long = replace(task(), claim="c" * 62 + "-" + "d" * 100)
        made = pod.build(long, plan().spec.pod_template, POLICY, document.pack(long, "scan-x"))
        assert made["metadata"]["labels"][labels.CLAIM] == "c" * 62


def test_template_sources_are_mounted_read_only_in_their_order() -> None:
    config_map = sources.Reference(sources.Kind.CONFIG_MAP, "own")
    inputs = {**INPUTS, config_map: sources.Input(files={"a.yaml": b"id: a"})}
    own: dict[str, Any] = {"templatesFrom": [{"configMap": {"name": "own"}}, {"image": {"reference": "scanner:1"}}]}
    spec = build(inputs=inputs, **own)["spec"]
    volumes = {each["name"]: each for each in spec["volumes"]}
    assert volumes["templates-0"]["configMap"] == {"name": "own"}
    assert volumes["templates-1"]["image"] == {"reference": "scanner:1", "pullPolicy": "IfNotPresent"}
    mounts = [each for each in spec["containers"][0]["volumeMounts"] if each["name"].startswith("templates-")]
    assert [each["mountPath"] for each in mounts] == ["/etc/scanplan/templates/0", "/etc/scanplan/templates/1"]
    assert all(each["readOnly"] for each in mounts)
    variables = {each["name"]: each.get("value") for each in spec["containers"][0]["env"]}
    folders = str(variables[environment.TEMPLATES_DIRECTORY]).split(":")
    assert folders[:2] == ["/etc/scanplan/templates/0", "/etc/scanplan/templates/1"]
    assert len(folders) == 3, "the image's own come last"


def test_the_template_is_json_that_the_same_task_gives_again() -> None:
    assert json.dumps(build(RICH)) == json.dumps(build(RICH))


@pytest.mark.parametrize("confidential", [False, True])
@pytest.mark.parametrize("endpoints", [2, 3_000])
def test_exceptions_reach_the_pod_as_a_file_beside_the_document(endpoints: int, confidential: bool) -> None:
    """However long the document is: lost otherwise are the counts of the status."""
    of = plan(
        endpoints=[f"https://a-host-of-the-long-list-{number}.example" for number in range(min(endpoints, 1_000))]
    )
    made = task(of, GENEROUS, INPUTS)
    long = tuple(f"https://a-host-of-the-long-list-{number}.example" for number in range(endpoints))
    made = replace(made, document=msgspec.structs.replace(made.document, endpoints=long, confidential=confidential))
    packed = document.pack(made, made.job_name)
    plain = pod.build(made, of.spec.pod_template, GENEROUS, packed)
    template = pod.build(made, of.spec.pod_template, GENEROUS, packed, '{"time":"x"}')
    assert template["metadata"]["annotations"].pop(labels.EXCEPTIONS) == '{"time":"x"}'
    assert template["metadata"] == plain["metadata"]
    volume, before = (each["spec"]["volumes"][2] for each in (template, plain))
    files = volume.get("downwardAPI") or volume["projected"]["sources"][-1]["downwardAPI"]
    reference = {"fieldPath": f"metadata.annotations['{labels.EXCEPTIONS}']"}
    assert files["items"].pop() == {"path": pod.EXCEPTIONS_FILE, "fieldRef": reference}
    if not files["items"]:
        volume["projected"]["sources"].pop()
    assert volume == before
