"""Who scan pods run as: lost otherwise is every scan where the platform refuses a fixed user."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from scanplan.client.cluster import reader
from scanplan.core.manifests import jobs
from scanplan.core.planning.pod_security import FIXED, OF_THE_PLATFORM, PodSecurityContext, chosen
from tests.unit.core.objects import POLICY, plan, task

RESTRICTED = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
OURS = {"runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch"}
NFS = {"runAsUser": 1000, "supplementalGroups": [5000], "seLinuxOptions": {"level": "s0:c1,c2"}}


@pytest.mark.parametrize(
    ("configured", "assigns_users", "expected"),
    [
        (None, False, OURS),
        (None, True, {}),
        ({}, False, {}),
        ({"runAsUser": 1000}, True, {"runAsUser": 1000}),
        ({"fsGroup": 2000}, False, {"fsGroup": 2000}),
        (NFS, False, NFS),
    ],
)
def test_openshift_the_owners_choice_holds_then_the_platforms_then_ours(
    configured: dict[str, Any] | None, assigns_users: bool, expected: dict[str, Any]
) -> None:
    owners = None if configured is None else PodSecurityContext.model_validate(configured)
    policy = replace(POLICY, pod_security_context=chosen(owners, assigns_users))
    for build in (jobs.build, jobs.build_collector):
        spec = build(task(), plan(), policy)["spec"]["template"]["spec"]
        assert spec["securityContext"] == {**expected, **RESTRICTED}


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (FIXED, {"runAsUser": 65532, "runAsGroup": 65532}),
        (OF_THE_PLATFORM, {}),
        (PodSecurityContext(fs_group=2000), {"supplementalGroups": [2000]}),
        (PodSecurityContext.model_validate({**NFS, "fsGroup": 5000}), NFS),
        (
            PodSecurityContext(supplemental_groups=[1], fs_group=2, fs_group_change_policy="Always"),
            {"supplementalGroups": [1, 2]},
        ),
    ],
)
def test_a_reader_is_in_the_group_of_the_files_and_changes_none(
    of: PodSecurityContext, expected: dict[str, Any]
) -> None:
    """A reader with fsGroup would have the kubelet change a volume that it only reads."""
    made = reader.manifest(
        {"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": {}}, "c", "i", None, of.of_reader()
    )
    assert made["spec"]["securityContext"] == {**expected, **RESTRICTED}


@pytest.mark.parametrize(
    "wrong", [{"runAsUser": 0}, {"runAsUser": -1}, {"runAsNonRoot": False}, {"sysctls": []}, {"fsGroup": "many"}]
)
def test_no_choice_makes_a_pod_less_restricted(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PodSecurityContext.model_validate(wrong)
