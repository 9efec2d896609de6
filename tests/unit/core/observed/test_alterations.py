"""What of the API server's answer counts as a change of ours."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from scanplan.core.observed import alterations

SENT: dict[str, Any] = {
    "metadata": {"name": "a", "labels": {"team": "red"}, "ownerReferences": [{"uid": "u", "name": "p"}]},
    "spec": {
        "ttlSecondsAfterFinished": 5,
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "scanner",
                        "image": "i",
                        "env": [{"name": "SCANPLAN_X", "value": ""}],
                        "volumeMounts": [
                            {"name": "claim", "mountPath": "/scan/run"},
                            {"name": "scratch", "mountPath": "/tmp"},
                        ],
                        "resources": {"limits": {"memory": "1024Mi", "cpu": "1"}},
                    }
                ],
                "volumes": [{"name": "scratch", "emptyDir": {}}],
            }
        },
    },
}


def answer(**changes: Any) -> dict[str, Any]:
    found = copy.deepcopy(SENT)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place: Any = found
        for each in parents:
            place = place[int(each) if each.isdigit() else each]
        place[last] = value
    return found


CONTAINER = "spec__template__spec__containers__0"


def test_what_is_not_decoded_of_an_answer_is_no_change() -> None:
    """Lost otherwise: the meaning of the condition, which every plan would have."""
    assert alterations.of({"apiVersion": "batch/v1", "kind": "Job", **SENT}, SENT) == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata__uid": "x", "spec__selector": {"a": "b"}, "spec__template__spec__dnsPolicy": "ClusterFirst"},
        {"spec__template__spec__schedulerName": "default-scheduler"},
        {"spec__template__spec__aFieldOfTomorrow": "x"},
        {f"{CONTAINER}__resources": {"limits": {"memory": "1Gi", "cpu": "1000m"}}},
        {f"{CONTAINER}__env": [{"name": "SCANPLAN_X"}]},
        {"metadata__labels": {"team": "red", "batch.kubernetes.io/job-name": "a", "controller-uid": "u"}},
        {"spec__ttlSecondsAfterFinished": 9},
    ],
)
def test_defaults_and_other_spellings_are_no_change(changes: dict[str, Any]) -> None:
    assert alterations.of(SENT, answer(**changes)) == ()


@pytest.mark.parametrize(
    ("changes", "path", "essential"),
    [
        ({f"{CONTAINER}__image": "j"}, "spec.template.spec.containers[scanner].image", False),
        ({f"{CONTAINER}__command": ["x"]}, "spec.template.spec.containers[scanner].command (added)", True),
        ({f"{CONTAINER}__env": []}, "spec.template.spec.containers[scanner].env[SCANPLAN_X]", True),
        ({f"{CONTAINER}__name": "other"}, "spec.template.spec.containers[scanner]", True),
        ({"metadata__labels": {}}, "metadata.labels[team]", False),
        ({"metadata__ownerReferences": None}, "metadata.ownerReferences", True),
        ({"spec__managedBy": "kueue.x-k8s.io/multikueue"}, "spec.managedBy (added)", True),
        ({"spec__managedBy": "kubernetes.io/job-controller"}, "spec.managedBy (added)", False),
        ({"spec__template__spec__volumes": []}, "spec.template.spec.volumes[scratch]", True),
        ({"spec__template__spec__activeDeadlineSeconds": 9}, "spec.template.spec.activeDeadlineSeconds (added)", False),
        ({"spec__template__spec__schedulerName": "other"}, "spec.template.spec.schedulerName (added)", False),
        ({"spec__template__spec__dnsPolicy": "Default"}, "spec.template.spec.dnsPolicy (added)", False),
        ({"spec__template__spec__hostNetwork": True}, "spec.template.spec.hostNetwork (added)", False),
        ({f"{CONTAINER}__stdin": True}, "spec.template.spec.containers[scanner].stdin (added)", False),
        (
            {"spec__template__spec__volumes": [{"name": "scratch", "emptyDir": {"medium": "Memory"}}]},
            "spec.template.spec.volumes[scratch].emptyDir.medium (added)",
            False,
        ),
        (
            {f"{CONTAINER}__volumeMounts__0__readOnly": True},
            "spec.template.spec.containers[scanner].volumeMounts[/scan/run].readOnly (added)",
            True,
        ),
        (
            {f"{CONTAINER}__volumeMounts__1__readOnly": True},
            "spec.template.spec.containers[scanner].volumeMounts[/tmp].readOnly (added)",
            False,
        ),
    ],
)
def test_a_change_is_named_and_judged(changes: dict[str, Any], path: str, essential: bool) -> None:
    found = answer(**changes)
    paths = alterations.of(SENT, found)
    assert path in paths
    assert (path in alterations.essential(paths, found)) is essential


PART: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "a-task-00", "labels": {"team": "red"}, "ownerReferences": [{"uid": "u", "name": "p"}]},
    "immutable": True,
    "binaryData": {"task.json.gz.00": "eA=="},
}


@pytest.mark.parametrize(
    ("changes", "path", "essential"),
    [
        ({"binaryData": {"task.json.gz.00": "eQ=="}}, "binaryData[task.json.gz.00]", True),
        ({"binaryData": {}}, "binaryData[task.json.gz.00]", True),
        ({"binaryData": None}, "binaryData", True),
        (
            {"binaryData": {"task.json.gz.00": "eA==", "task.json.gz.01": "eA=="}},
            "binaryData[task.json.gz.01] (added)",
            True,
        ),
        ({"binaryData": {"task.json.gz.00": "eA==", "note": "eA=="}}, "binaryData[note] (added)", False),
        ({"data": {"note": "x"}}, "data[note] (added)", False),
        ({"data": {"task.json": "x"}}, "data[task.json] (added)", True),
        ({"metadata__name": "b"}, "metadata.name", True),
        ({"immutable": None}, "immutable", False),
        ({"metadata__labels": {"team": "blue"}}, "metadata.labels[team]", False),
        ({"metadata__annotations": {"note": "x"}}, "metadata.annotations (added)", False),
        ({"metadata__ownerReferences": None}, "metadata.ownerReferences", False),
        ({"metadata__finalizers": ["a/b"]}, "metadata.finalizers (added)", False),
    ],
)
def test_a_change_of_a_part_of_the_document_is_named_and_judged(
    changes: dict[str, Any], path: str, essential: bool
) -> None:
    found = copy.deepcopy(PART)
    for name, value in changes.items():
        holder, _, last = name.rpartition("__")
        (found[holder] if holder else found)[last] = value
    paths = alterations.of(PART, found)
    assert paths == (path,)
    assert alterations.essential_of_document(paths) == ((path,) if essential else ())


def test_what_the_api_server_adds_to_a_secret_is_no_change() -> None:
    secret = {**PART, "kind": "Secret", "data": PART["binaryData"]}
    del secret["binaryData"]
    assert alterations.of(secret, {**secret, "type": "Opaque", "metadata": {**PART["metadata"], "uid": "x"}}) == ()


@pytest.mark.parametrize("value", [{"a": 1}, [1], 7])
def test_a_list_of_any_shape_is_compared(value: Any) -> None:
    """Lost otherwise: a plan whose affinity has a field that Kubernetes does not know, and drops."""
    terms = [{"weight": 1, "name": value}, {"weight": 2, "name": value}]
    sent = {"spec": {"template": {"spec": {"affinity": {"terms": terms}}}}}
    answered = {"spec": {"template": {"spec": {"affinity": {"terms": [{"weight": 1}, {"weight": 2}]}}}}}
    assert alterations.of(sent, answered) == tuple(f"spec.template.spec.affinity.terms[{n}].name" for n in (0, 1))
