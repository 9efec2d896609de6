"""Kubernetes 1.33 to 1.37: what we create has no field that an older API server would drop without a word.

Each manifest is read strictly into the API's own types of each version (k8s.io/api). What the versions do with known fields,
such as feature gates, is `scanplan.core.planning.server_version`'s: the operator names it at its start.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from scanplan.api.v1alpha1.scan_defaults import ScanDefaults
from scanplan.client.cluster import reader
from scanplan.core.manifests import jobs
from scanplan.core.planning import server_version
from scanplan.core.planning.pod_security import PodSecurityContext
from scanplan.core.planning.task import Plan
from tests.chart.chart import ROOT, render
from tests.integration import api_types
from tests.unit.core.objects import POLICY, plan, task

pytestmark = pytest.mark.integration

EVERYTHING: dict[str, Any] = {
    "watchNamespaces": ["red", "blue"],
    "artifacts": {"create": True},
    "retention": {"enabled": True, "keepRuns": 3},
    "podDisruptionBudget": {"enabled": True},
    "replicas": 2,
    "api": {"enabled": True, "readerPods": True, "replicas": 2},
    "redis": {"url": "redis://redis:6379/0"},
    "worker": {"enabled": True},
    "networkPolicy": {
        "enabled": True,
        "apiServer": ["10.96.0.1/32"],
        "redis": [{"podSelector": {}}],
        "api": [{"podSelector": {}}],
    },
    "discovery": {"ingresses": True, "services": True, "httpRoutes": True},
    "rbac": {"kueue": True, "secrets": {"red": ["targets"]}},
}
POD = {
    "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
    "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}],
    "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
    "priorityClassName": "low",
    "serviceAccountName": "default",
    "imagePullSecrets": [{"name": "mirror"}],
    "labels": {"team": "red"},
    "annotations": {"karpenter.sh/do-not-disrupt": "true"},
}
OWNERS = ScanDefaults.model_validate(
    {"podTemplate": {"runtimeClassName": "gvisor", "dnsConfig": {"options": [{"name": "ndots", "value": "1"}]}}}
)
POLICIES = replace(
    POLICY,
    scan_defaults=OWNERS,
    tmp_size_limit="1Gi",
    allowed_priority_classes=("*",),
    allowed_tolerations=("*",),
    allowed_pod_metadata=("*",),
    allowed_images=("*",),
    pod_security_context=PodSecurityContext.model_validate(
        {
            "runAsUser": 1000,
            "fsGroup": 1000,
            "fsGroupChangePolicy": "Always",
            "supplementalGroups": [5],
            "supplementalGroupsPolicy": "Strict",
            "seLinuxOptions": {"level": "s0"},
        }
    ),
)


def made_by_the_operator() -> list[dict[str, Any]]:
    """Jobs, documents and readers of a plan that uses every field."""
    sources = [{"image": {"reference": "templates:1", "pullPolicy": "Always"}}]
    of: Plan = plan(
        podTemplate=POD, templatesFrom=sources, queueName="team", endpoints=[f"h{n}.example" for n in range(900)]
    )
    of = of.with_defaults(OWNERS)
    scan, collector = (build(task(of, POLICIES), of, POLICIES) for build in (jobs.build, jobs.build_collector))
    body = {"metadata": {"name": "p", "namespace": "team", "uid": "u"}, "spec": {"podTemplate": POD}}
    read = reader.manifest(body, "claim", "image", None, POLICIES.pod_security_context.of_reader(), OWNERS.pod_template)
    return [scan, collector, read]


def plain_manifests() -> list[dict[str, Any]]:
    found = [
        each
        for path in sorted((ROOT / "examples/install").glob("*.yaml"))
        for each in yaml.safe_load_all(path.read_text())
        if path.name != "kustomization.yaml"
    ]
    return [each for each in found if each]


@pytest.mark.parametrize("version", api_types.MODULES)
def test_no_version_would_drop_a_field_of_what_we_create(version: str) -> None:
    chart = [each for each in render(EVERYTHING).values() if each["kind"] != "CustomResourceDefinition"]
    assert api_types.complaints(version, [*made_by_the_operator(), *plain_manifests(), *chart]) == []


def test_a_field_that_a_version_does_not_have_is_named() -> None:
    """Else the test above would show nothing."""
    (job, *_) = made_by_the_operator()
    job["spec"]["template"]["spec"]["containers"][0]["hologram"] = True
    (complaint,) = api_types.complaints("1.33", [job])
    assert 'unknown field "hologram"' in complaint


def test_the_versions_are_those_that_the_operator_works_with() -> None:
    spelled = [server_version.spelled(version) for version in (server_version.OLDEST, server_version.NEWEST)]
    oldest, *_, newest = api_types.MODULES
    assert [oldest, newest] == spelled
