"""What a tenant may make in a namespace to take the operator away from all others; nothing of it is refused by Kubernetes."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from scanplan.api import labels
from tests.integration.apiserver import JOBS, PLANS, PODS, ApiServer, Object
from tests.integration.scene import scanplan

CONFIG_MAPS = "/api/v1/namespaces/{}/configmaps"
OBJECT_BYTES = 1_000_000
SHARED = 16
"""ConfigMaps of a megabyte, which all plans name."""
CONNECTIONS = 4
LARGE = "large"
"""The value of the label `size` of plans of a megabyte."""


def text(length: int, seed: int) -> str:
    """Letters and digits that no compression makes much shorter."""
    chance = random.Random(seed)  # noqa: S311 - no secret depends on it
    return "".join(chance.choices(string.ascii_lowercase + string.digits, k=length))


def config_maps() -> Iterator[Object]:
    """Lists of some 28,000 endpoints each."""
    for number in range(SHARED):
        lines = (f"https://h{number}-{line}.{text(12, line)}.example" for line in range(OBJECT_BYTES // 39))
        yield {"metadata": {"name": f"large-{number}"}, "data": {"list": "\n".join(lines)}}


def large(plan: Object) -> Object:
    """Mark a plan that is too large for whoever only wants to see how all plans fare."""
    plan["metadata"]["labels"] = {"size": LARGE}
    return plan


def long_plan(number: int) -> Object:
    """A suspended plan of 1.2 MB, which says nothing that could be kept shorter."""
    noise = text(1_200_000, number)
    endpoints = [f"https://a.example/{noise[start : start + 1_200]}" for start in range(0, len(noise), 1_200)]
    return large(scanplan(f"long-{number}", suspend=True, endpoints=endpoints))


def nested_plan(number: int) -> Object:
    """A suspended plan of a third of a million empty objects."""
    affinity: Object = {"x": [{} for _ in range(330_000)]}
    return large(scanplan(f"nested-{number}", suspend=True, podTemplate={"affinity": affinity}))


def plan_of(name: str, *sources: str, **spec: Any) -> Object:
    references = [{"configMapKeyRef": {"name": source, "key": "list"}} for source in sources]
    return scanplan(name, endpoints=[], endpointsFrom=references, **spec)


def missing_plan(number: int) -> Object:
    """A plan that names fifteen lists of a megabyte, and one that is missing."""
    return plan_of(f"missing-{number}", *(f"large-{each}" for each in range(15)), "missing")


def huge_plan(number: int) -> Object:
    """A plan that names more than a plan may."""
    return plan_of(f"huge-{number}", *(f"large-{each}" for each in range(SHARED)))


def wide_plan(number: int) -> Object:
    """A suspended plan of as many endpoints as there may be; its task is resolved, and never run."""
    lists = [f"large-{(number + each) % SHARED}" for each in range(3)]
    return plan_of(f"wide-{number}", *lists, suspend=True)


def tiny_plan(number: int) -> Object:
    return scanplan(f"tiny-{number}", suspend=True, runId=f"tiny-{number}")


def forged_job(number: int) -> Object:
    """A Job with our labels, and as many annotations as there may be."""
    return {
        "metadata": {
            "name": f"forged-{number}",
            "labels": {labels.TASK: f"forged-{number}", labels.MANAGED_BY: labels.MANAGED_BY_VALUE},
            "annotations": {labels.TASK_KEY: text(125_000, number), labels.CREATOR: text(125_000, number)},
        },
        "spec": {"suspend": True, "template": {"spec": pod_spec()}},
    }


def forged_pod(number: int) -> Object:
    """A pod with our label that no node takes, and as many annotations as there may be."""
    return {
        "metadata": {
            "name": f"forged-{number}",
            "labels": {labels.TASK: "scan-forged"},
            "annotations": {"example.com/noise": text(250_000, number)},
        },
        "spec": {**pod_spec(), "nodeSelector": {"example.com/none": "none"}},
    }


def pod_spec() -> Object:
    security = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {"name": "x", "image": "registry.example/x:1", "securityContext": security}
    return {"restartPolicy": "Never", "containers": [container]}


def attack(api: ApiServer, namespace: str, **counts: int) -> None:
    """Make so many of each kind: `long`, `nested`, `missing`, `huge`, `wide`, `tiny` plans, forged `jobs` and `pods`."""
    plans = {"long": long_plan, "nested": nested_plan, "missing": missing_plan, "huge": huge_plan}
    plans |= {"wide": wide_plan, "tiny": tiny_plan}
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda each: api.create(CONFIG_MAPS.format(namespace), each), config_maps()))
        for kind, count in counts.items():
            path, make = {"jobs": (JOBS, forged_job), "pods": (PODS, forged_pod)}.get(kind) or (PLANS, plans[kind])
            list(pool.map(lambda number: api.create(path.format(namespace), make(number)), range(count)))  # noqa: B023
