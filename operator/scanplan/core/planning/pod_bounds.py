"""What a plan may say about its pods: the owner's bounds on the fields of podTemplate that give power over others.

| field | power | bound |
|---|---|---|
| serviceAccountName | image pull Secrets, admission by account | allow-list |
| priorityClassName | pods of others are preempted for it | allow-list |
| tolerations | nodes that were set apart, such as the control plane's | allow-list |
| labels, annotations | what controllers, Services and policies read: cloud roles, networks, injected Secrets | allow-list of keys |
| affinity | with a term about other namespaces: no pod of theirs is scheduled beside it | never about other namespaces |
| nodeSelector, topologySpreadConstraints | nodes whose taints let everybody in | none needed |
| imagePullSecrets | images that the scanner's allow-list names already | none needed |
| resources | what quotas and LimitRanges count | of the namespace |

Fields that aren't in the model don't exist for a plan: nodeName, hostAliases, runtimeClassName, dnsConfig, volumes and the rest.
Kueue's queuePriorityClassName is bounded like priorityClassName.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from scanplan.api import wire
from scanplan.api.v1alpha1.plan.pod_template import PodTemplate, Toleration


@dataclass(frozen=True, slots=True, kw_only=True)
class PodBounds:
    """Allow-lists of shell patterns; closed by default, but for the service account that every namespace has."""

    allowed_service_accounts: tuple[str, ...] = ("default",)
    allowed_priority_classes: tuple[str, ...] = ()
    """PriorityClasses, and WorkloadPriorityClasses of Kueue."""
    allowed_tolerations: tuple[str, ...] = ()
    """Tolerations as `spelled` writes them."""
    allowed_pod_metadata: tuple[str, ...] = ()
    """Keys of labels and annotations."""

    def allows_service_account(self, name: str | None) -> bool:
        return not name or matches(name, self.allowed_service_accounts)

    def allows_priority_class(self, name: str | None) -> bool:
        return not name or matches(name, self.allowed_priority_classes)

    def allows_toleration(self, toleration: Toleration) -> bool:
        return matches(spelled(toleration), self.allowed_tolerations)

    def allows_pod_metadata(self, key: str) -> bool:
        return matches(key, self.allowed_pod_metadata)


def refusals(template: PodTemplate, bounds: PodBounds) -> Iterator[str]:
    """What a template asks for beyond its bounds: a message for each, which names the setting."""
    account, priority = template.service_account_name, template.priority_class_name
    if not bounds.allows_service_account(account):
        yield _refusal(f"serviceAccountName {account!r}", "SCANPLAN_ALLOWED_SERVICE_ACCOUNTS")
    if not bounds.allows_priority_class(priority):
        yield _refusal(f"priorityClassName {priority!r}", "SCANPLAN_ALLOWED_PRIORITY_CLASSES")
    for toleration in template.tolerations:
        if not bounds.allows_toleration(toleration):
            yield _refusal(f"toleration {spelled(toleration)!r}", "SCANPLAN_ALLOWED_TOLERATIONS")
    for kind, pairs in (("label", template.labels), ("annotation", template.annotations)):
        for key in pairs:
            if not bounds.allows_pod_metadata(key):
                yield _refusal(f"{kind} {key!r}", "SCANPLAN_ALLOWED_POD_METADATA")
    if _about_others(template.affinity):
        yield "podTemplate.affinity names other namespaces, whose pods it would keep off nodes: leave these terms out"


def within(template: PodTemplate, bounds: PodBounds) -> PodTemplate:
    """What is left of a template within the bounds: for pods that must come, whatever has been written since.

    They are few, so nothing spreads them. An affinity that Kubernetes would refuse for its shape is left out.
    """
    return template.model_copy(
        update={
            "service_account_name": (
                template.service_account_name if bounds.allows_service_account(template.service_account_name) else None
            ),
            "priority_class_name": (
                template.priority_class_name if bounds.allows_priority_class(template.priority_class_name) else None
            ),
            "tolerations": [each for each in template.tolerations if bounds.allows_toleration(each)],
            "labels": {key: value for key, value in template.labels.items() if bounds.allows_pod_metadata(key)},
            "annotations": {k: value for k, value in template.annotations.items() if bounds.allows_pod_metadata(k)},
            "affinity": template.affinity
            if _has_shape(template.affinity) and not _about_others(template.affinity)
            else None,
            "topology_spread_constraints": [],
        }
    )


def spelled(toleration: Toleration) -> str:
    """A toleration as kubectl writes a taint: `key=value:effect`. `*` stands for all keys, and for all effects.

    Without a value it tolerates all values: `key:effect`. Lt and Gt stand before theirs: `key<5:effect`.
    """
    sign = {"Exists": "", "Lt": "<", "Gt": ">"}.get(toleration.operator or "Equal", "=")
    value = f"{sign}{toleration.value or ''}" if sign else ""
    return f"{toleration.key or '*'}{value}:{toleration.effect or '*'}"


def matches(value: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of the shell patterns matches all of a value; upper and lower case differ."""
    return any(fnmatch.fnmatchcase(value, pattern) for pattern in patterns)


def _refusal(what: str, setting: str) -> str:
    return f"podTemplate.{what} is not on the operator's allow-list ({setting})"


class _NodeSelector(msgspec.Struct, rename="camel"):
    node_selector_terms: list[dict[str, Any]]


class _NodeAffinity(msgspec.Struct, rename="camel"):
    required_during_scheduling_ignored_during_execution: _NodeSelector | None = None
    preferred_during_scheduling_ignored_during_execution: list[dict[str, Any]] | None = None


class _PodAffinity(msgspec.Struct, rename="camel"):
    required_during_scheduling_ignored_during_execution: list[dict[str, Any]] | None = None
    preferred_during_scheduling_ignored_during_execution: list[dict[str, Any]] | None = None


class _Affinity(msgspec.Struct, rename="camel"):
    """The shape of an affinity down to its terms, as Kubernetes has it."""

    node_affinity: _NodeAffinity | None = None
    pod_affinity: _PodAffinity | None = None
    pod_anti_affinity: _PodAffinity | None = None


def _has_shape(affinity: dict[str, Any] | None) -> bool:
    try:
        wire.convert(affinity or {}, _Affinity)
    except msgspec.ValidationError:
        return False
    return True


def _about_others(affinity: Any) -> bool:
    """Whether a term about pods looks beyond the plan's namespace. Kubernetes checks the shape, so any shape may come."""
    pods = [affinity.get(kind) for kind in ("podAffinity", "podAntiAffinity")] if isinstance(affinity, dict) else []
    return any(_names_namespaces(each) for each in pods)


def _names_namespaces(part: Any) -> bool:
    if isinstance(part, list):
        return any(_names_namespaces(each) for each in part)
    if not isinstance(part, dict):
        return False
    # An empty list is the plan's own namespace, but an empty selector is all namespaces.
    if part.get("namespaces") or part.get("namespaceSelector") is not None:
        return True
    return any(_names_namespaces(value) for key, value in part.items() if key != "labelSelector")
