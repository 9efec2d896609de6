"""Stand-ins for what other platforms admit: policies of the API server itself, for the namespaces that a test names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.kubectl import Manifest

GROUP = "admissionregistration.k8s.io/v1"
ASSIGNED = 1000680000
"""The user that the stand-in for OpenShift gives to pods."""


def rules(resources: Iterable[str] = ("pods",), group: str = "", operations: Iterable[str] = ("CREATE",)) -> Manifest:
    """What a policy looks at."""
    rule = {
        "apiGroups": [group],
        "apiVersions": ["v1"],
        "operations": list(operations),
        "resources": list(resources),
    }
    return {"resourceRules": [rule]}


def bound(kind: str, name: str, namespaces: Iterable[str], spec: dict[str, Any]) -> list[Manifest]:
    """A policy, and its binding to namespaces."""
    selector = {
        "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": list(namespaces)}]
    }
    binding: dict[str, Any] = {"policyName": name, "matchResources": {"namespaceSelector": selector}}
    if kind == "ValidatingAdmissionPolicy":
        binding["validationActions"] = ["Deny"]
    return [
        {"apiVersion": GROUP, "kind": kind, "metadata": {"name": name}, "spec": {"failurePolicy": "Fail", **spec}},
        {"apiVersion": GROUP, "kind": f"{kind}Binding", "metadata": {"name": name}, "spec": binding},
    ]


def refusing(name: str, namespaces: Iterable[str], checks: dict[str, str]) -> list[Manifest]:
    """Pods for which one of these CEL expressions is false are refused, with its message."""
    validations = [{"message": message, "expression": expression} for message, expression in checks.items()]
    return bound(
        "ValidatingAdmissionPolicy", name, namespaces, {"matchConstraints": rules(), "validations": validations}
    )


def changing(name: str, namespaces: Iterable[str], mutation: str, condition: str = "true") -> list[Manifest]:
    """Pods are changed by an apply configuration, a CEL expression, where the condition holds."""
    spec = {
        "matchConstraints": rules(),
        "matchConditions": [{"name": "condition", "expression": condition}],
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": mutation}}],
    }
    return bound("MutatingAdmissionPolicy", name, namespaces, spec)


def sidecar(name: str, namespaces: Iterable[str], image: str, native: bool) -> list[Manifest]:
    """A container that runs for ever, injected into scan pods as a mesh does it."""
    restart = '"restartPolicy": dyn("Always"), ' if native else ""
    program = "import signal; signal.signal(signal.SIGTERM, lambda *_: exit()); signal.pause()"
    container = (
        f'{{"name": dyn("proxy"), "image": dyn("{image}"), {restart}"command": dyn(["python3", "-c", "{program}"]), '
        '"securityContext": dyn({"allowPrivilegeEscalation": dyn(false), "capabilities": dyn({"drop": ["ALL"]})})}'
    )
    path, value = ("/spec/initContainers", f"[{container}]") if native else ("/spec/containers/-", container)
    spec = {
        "matchConstraints": rules(),
        "matchConditions": [
            {"name": "scan", "expression": "'scanplan.dev/task' in object.metadata.?labels.orValue({})"}
        ],
        "reinvocationPolicy": "Never",
        "mutations": [
            {
                "patchType": "JSONPatch",
                "jsonPatch": {"expression": f'[JSONPatch{{op: "add", path: "{path}", value: {value}}}]'},
            }
        ],
    }
    return bound("MutatingAdmissionPolicy", name, namespaces, spec)


def openshift(*namespaces: str) -> list[Manifest]:
    """The group of security context constraints, and what `restricted-v2` does to pods that name a user, and that name none."""
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "securitycontextconstraints.security.openshift.io"},
        "spec": {
            "group": "security.openshift.io",
            "scope": "Cluster",
            "names": {
                "plural": "securitycontextconstraints",
                "singular": "securitycontextconstraints",
                "kind": "SecurityContextConstraints",
            },
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                }
            ],
        },
    }
    context = "object.spec.?securityContext"
    mutations = [
        manifest
        for field in ("runAsUser", "fsGroup")
        for manifest in changing(
            f"restricted-v2-{field.lower()}",
            namespaces,
            f"Object{{spec: Object.spec{{securityContext: Object.spec.securityContext{{{field}: {ASSIGNED}}}}}}}",
            f"!{context}.{field}.hasValue()",
        )
    ]
    in_range = f"{{field}} >= {ASSIGNED} && {{field}} < {ASSIGNED + 10_000}"
    checks = {
        f"{field} is not in the namespace's range": in_range.format(field=f"{context}.{field}.orValue(0)")
        for field in ("runAsUser", "fsGroup")
    }
    own = ("runAsUser", "runAsGroup")
    for field in own:
        checks[f"a container's {field} is not the platform's"] = (
            f"object.spec.containers.all(c, !c.?securityContext.{field}.hasValue())"
        )
    checks["runAsGroup is not the platform's"] = f"!{context}.runAsGroup.hasValue()"
    checks["capabilities must be dropped"] = (
        "object.spec.containers.all(c, c.?securityContext.capabilities.drop.orValue([]) == ['ALL'])"
    )
    return [definition, *mutations, *refusing("restricted-v2", namespaces, checks)]
