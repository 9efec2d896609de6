"""Checks of the operator: whether one works on the namespace, and what its owner sets for all plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scanplan.cli import operator_settings
from scanplan.cli.checks import images
from scanplan.cli.checks.check import SETTINGS_UNREAD, Check, Verdict

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster
    from scanplan.kube.objects import Object

OPERATOR = "operator"
SCAN_DEFAULTS = "scan defaults"


@dataclass(frozen=True, slots=True)
class Operators:
    """The Deployments of operators in a cluster."""

    everywhere: tuple[Object, ...]
    here: tuple[Object, ...]
    """Those that work on the current namespace."""

    @classmethod
    def of(cls, cluster: Cluster) -> Operators:
        """Look for them in all namespaces.

        Raises:
            Forbidden: the user may not list Deployments.
        """
        found = tuple(operator_settings.deployments(cluster))
        here = [each for each in found if operator_settings.works_here(cluster, operator_settings.environment(each))]
        return cls(found, tuple(here))

    @property
    def chosen(self) -> Object:
        """The first one that works here, or else the first of all. There is one."""
        return (self.here or self.everywhere)[0]

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of the chosen one; empty if there is none."""
        return operator_settings.environment(self.chosen) if self.everywhere else {}


def working(cluster: Cluster, operators: Operators) -> Check:
    """Whether one operator, and only one, runs and works on the current namespace."""
    if not operators.everywhere:
        return Check(
            OPERATOR,
            Verdict.FAILED,
            "no Deployment of it in any namespace",
            "kubectl apply -k examples/install, or the Helm chart",
        )
    deployment = operators.chosen
    metadata = deployment["metadata"]
    where = f"{metadata['namespace']}/{metadata['name']}"
    if not deployment.get("status", {}).get("readyReplicas"):
        matched = deployment["spec"]["selector"]["matchLabels"]
        selector = {"labelSelector": ",".join(f"{key}={value}" for key, value in matched.items())}
        if missing := images.unpulled(cluster, metadata["namespace"], selector):
            return Check(OPERATOR, Verdict.FAILED, f"{where}: {missing}", images.PUSH)
        return Check(
            OPERATOR,
            Verdict.FAILED,
            f"{where} is not ready",
            f"kubectl -n {metadata['namespace']} describe deployment {metadata['name']}",
        )
    if len(operators.here) > 1:
        return Check(
            OPERATOR,
            Verdict.WARNING,
            f"{len(operators.here)} work on {cluster.namespace}: {where} and others",
            "give each its own namespaces: SCANPLAN_NAMESPACES, or SCANPLAN_NAMESPACE_SELECTOR",
        )
    if not operators.here:
        environment = operators.environment
        return Check(
            OPERATOR,
            Verdict.FAILED,
            f"{where} watches {operator_settings.namespaces_in(environment)}, not {cluster.namespace}",
            "label the namespace so that the selector finds it"
            if environment.get("SCANPLAN_NAMESPACE_SELECTOR")
            else "add it to SCANPLAN_NAMESPACES",
        )
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    return Check(OPERATOR, Verdict.WELL, f"{where}, {container['image']}")


def scan_defaults(environment: Mapping[str, str]) -> Check:
    """What the owner sets for all plans, and who their pods run as. `environment` is the operator's; empty: it can't be read."""
    if not environment:
        return Check(SCAN_DEFAULTS, Verdict.UNKNOWN, SETTINGS_UNREAD)
    words = operator_settings.defaults_in(environment)
    return Check(SCAN_DEFAULTS, Verdict.WELL, words or "none: plans have the values of the reference")
