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
    assert alterations.of({"apiVersion": "batch/v1", "kind": "Job", "immutable": True, **SENT}, SENT) == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata__uid": "x", "spec__selector": {"a": "b"}, "spec__template__spec__dnsPolicy": "ClusterFirst"},
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
    ],
)
def test_a_change_is_named_and_judged(changes: dict[str, Any], path: str, essential: bool) -> None:
    found = answer(**changes)
    paths = alterations.of(SENT, found)
    assert path in paths
    assert (path in alterations.essential(paths, found)) is essential
