"""Checks of the network: which NetworkPolicies of a namespace bound what scan pods reach.

Policies add up: one that allows everything undoes the others. Whether the cluster's network enforces policies can't be seen here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from scanplan.api import labels
from scanplan.cli.checks.check import Check, Verdict
from scanplan.kube.resources import NETWORK_POLICIES

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster
    from scanplan.kube.objects import Object

NETWORK = "network"
SCAN_POD = {
    labels.NAME: labels.NAME_VALUE,
    labels.COMPONENT: labels.COMPONENT_SCANNER,
    labels.MANAGED_BY: labels.MANAGED_BY_VALUE,
    labels.TASK: "scan-0",
}
"""The labels that each scan pod has; only the task's name differs."""


def egress(cluster: Cluster) -> Check:
    """Whether a NetworkPolicy in this namespace bounds the egress of its scan pods."""
    found = bounding(cluster.each(cluster.path(NETWORK_POLICIES, namespace=cluster.namespace)))
    if not found:
        return Check(
            NETWORK,
            Verdict.WARNING,
            f"no NetworkPolicy bounds what scan pods of namespace {cluster.namespace} reach; the target guard does",
            "networkPolicy.enabled and scanNamespaces of the Helm chart",
        )
    return Check(NETWORK, Verdict.WELL, f"scan pods are under {', '.join(found)}, where the network enforces policies")


def bounding(policies: Iterable[Object]) -> list[str]:
    """The names of the policies that bound the egress of scan pods; empty where one of them allows everything."""
    ours = [each for each in policies if _egress(each) and _selects(each["spec"].get("podSelector") or {}, SCAN_POD)]
    if any(_everything(rule) for each in ours for rule in each["spec"].get("egress") or ()):
        return []
    return sorted(each["metadata"]["name"] for each in ours)


def _egress(policy: Object) -> bool:
    return "Egress" in policy["spec"].get("policyTypes", ())


def _everything(rule: Object) -> bool:
    """Whether an egress rule allows every peer and every port."""
    return not rule.get("to") and not rule.get("ports")


def _selects(selector: Object, pod: Mapping[str, str]) -> bool:
    """Whether a label selector matches a pod (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/)."""
    wanted = selector.get("matchLabels") or {}
    return all(pod.get(key) == value for key, value in wanted.items()) and all(
        _matches(each, pod) for each in selector.get("matchExpressions") or ()
    )


def _matches(expression: Object, pod: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return pod.get(key) in values
        case "NotIn":
            return pod.get(key) not in values
        case "Exists":
            return key in pod
        case _:  # DoesNotExist
            return key not in pod
