"""Checks of what scans wait for: quota of the namespace, and the queues of Kueue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanplan.cli import quotas
from scanplan.cli.checks.check import Check, Verdict
from scanplan.kube import resources
from scanplan.kube.resources import RESOURCE_QUOTAS

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster

QUOTA, KUEUE = "quota", "Kueue"


def quota(cluster: Cluster) -> Check:
    """Whether the namespace has quota left."""
    found = list(cluster.each(cluster.path(RESOURCE_QUOTAS, namespace=cluster.namespace)))
    full = [f"{resource} ({used} of {hard})" for each in found for resource, used, hard in quotas.used_up(each)]
    if full:
        return Check(QUOTA, Verdict.WARNING, f"used up: {', '.join(full)}", "scans wait until some is free")
    return Check(
        QUOTA, Verdict.WELL, f"{len(found)} in the namespace, none used up" if found else "none in the namespace"
    )


def kueue(cluster: Cluster) -> Check:
    """Whether Kueue is installed, and its LocalQueues in the namespace."""
    group = cluster.find(resources.group(resources.KUEUE))
    if group is None:
        return Check(KUEUE, Verdict.WELL, "not installed; only plans with queueName need it")
    local_queues = resources.local_queues(group["preferredVersion"]["groupVersion"])
    path = cluster.path(local_queues, namespace=cluster.namespace)
    queues = [queue["metadata"]["name"] for queue in cluster.each(path)]
    return Check(
        KUEUE,
        Verdict.WELL,
        f"LocalQueues {', '.join(queues)}" if queues else "installed, no LocalQueue in the namespace",
    )
