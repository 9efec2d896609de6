"""Keys of labels and annotations on pods: ours are reserved, and those that autoscalers, meshes and clouds read are not."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from scanplan.api import labels
from scanplan.api.v1alpha1.plan.pod_template import RESERVED_KEYS
from scanplan.core.manifests import jobs
from tests.unit.core.objects import POLICY, plan, task

OPEN = replace(POLICY, allowed_priority_classes=("*",))
ALLOWED = [
    "cluster-autoscaler.kubernetes.io/safe-to-evict",
    "karpenter.sh/do-not-disrupt",
    "sidecar.istio.io/inject",
    "proxy.istio.io/config",
    "linkerd.io/inject",
    "config.linkerd.io/proxy-enable-native-sidecar",
    "azure.workload.identity/use",
    "eks.amazonaws.com/skip-containers",
    "cloud.google.com/matching-node",
    "kubernetes.io/description",
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/instance",
    "topology.kubernetes.io/zone",
    "kueue.x-k8s.io/podset-required-topology",
    "team",
    "billing.example.com/centre",
    "notscanplan.dev/x",
    "job-names",
]
RESERVED = [
    "scanplan.dev/task",
    "pin.scanplan.dev/uid",
    "a.b.scanplan.dev/x",
    "batch.kubernetes.io/job-name",
    "batch.kubernetes.io/controller-uid",
    "job-name",
    "controller-uid",
    "container.apparmor.security.beta.kubernetes.io/scanner",
    "container.seccomp.security.alpha.kubernetes.io/scanner",
    "seccomp.security.alpha.kubernetes.io/pod",
]


@pytest.mark.parametrize("key", ALLOWED)
def test_autoscalers_and_meshes_may_be_told_what_to_do(key: str) -> None:
    assert not re.search(RESERVED_KEYS, key)


@pytest.mark.parametrize("key", RESERVED)
def test_what_others_write_or_what_restricts_a_pod_is_reserved(key: str) -> None:
    assert re.search(RESERVED_KEYS, key)


def test_every_key_that_the_operator_writes_is_reserved() -> None:
    """Else a plan could move its pods out of the sight of the operator, of a NetworkPolicy or of a queue."""
    of = plan(queueName="team", queuePriorityClassName="urgent", rerun="1")
    for build in (jobs.build, jobs.build_collector):
        job = build(task(of, OPEN), of, OPEN)
        written = [
            *job["metadata"]["labels"],
            *job["metadata"]["annotations"],
            *job["spec"]["template"]["metadata"]["labels"],
            *job["spec"]["template"]["metadata"]["annotations"],
        ]
        assert labels.TASK in written
        assert not [key for key in written if not re.search(RESERVED_KEYS, key)]
