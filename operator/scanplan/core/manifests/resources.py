"""Requests and limits of scan pods: the plan's, and the operator's defaults for what the plan leaves out.

Kubernetes refuses a pod whose request is above its limit. So a default gives way to what the plan says of the other one: a
default request is never above the plan's limit, and a default limit never below the plan's request.
"""

from __future__ import annotations

from collections.abc import Mapping

from scanplan.api.v1alpha1.plan.pod_template import Resources
from scanplan.core.planning import quantities

Quantities = Mapping[str, str | int]


def of_container(plan: Resources, requests: Mapping[str, str], limits: Mapping[str, str]) -> dict[str, Quantities]:
    """The container's resources, without what nobody sets; the last two are the defaults."""
    requested, limited = {**requests, **plan.requests}, {**limits, **plan.limits}
    for name in requested.keys() & limited.keys():
        if not _above(requested[name], limited[name]):
            continue
        if name not in plan.requests:
            requested[name] = limited[name]
        elif name not in plan.limits:
            limited[name] = requested[name]
    pairs = {"requests": requested, "limits": limited}
    return {name: quantities_of for name, quantities_of in pairs.items() if quantities_of}


def with_browser(limits: Mapping[str, str], memory: str) -> dict[str, str]:
    """The default limits of a pod with a browser: at least so much memory; empty: as they are."""
    own = limits.get("memory")
    return {**limits, "memory": memory} if memory and (own is None or _above(memory, own)) else dict(limits)


def _above(one: str | int, other: str | int) -> bool:
    """Whether one quantity is larger; False where one is no quantity, which the API server refuses with a message."""
    try:
        return quantities.quantity(str(one)) > quantities.quantity(str(other))
    except ValueError:
        return False
