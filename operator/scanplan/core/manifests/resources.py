"""Requests and limits of scan pods: the plan's, and the operator's defaults for what the plan leaves out.

Kubernetes refuses a pod whose request is above its limit. So a default gives way to what the plan says of the other one. A
default request is never above the plan's limit, and a default limit never below the plan's request.
"""

from __future__ import annotations

from collections.abc import Mapping

from scanplan.api.v1alpha1.plan.pod_template import Resources
from scanplan.core.planning import quantities

Quantities = Mapping[str, str | int]

_ORDINARY = {"cpu", "memory", "ephemeral-storage"}
"""Resources that each node has. Others have rules of their own."""


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


def usable(own: Resources) -> Resources:
    """What a plan says of its resources, without what Kubernetes would refuse: for a pod that must come, whatever was written.

    Only quantities of `_ORDINARY` resources are left, and a request is no larger than its limit.
    """
    limits = _readable(own.limits)
    requests = {name: _smaller(value, limits.get(name, value)) for name, value in _readable(own.requests).items()}
    return Resources(requests=requests, limits=limits)


def _readable(amounts: Quantities) -> dict[str, str | int]:
    return {name: value for name, value in amounts.items() if name in _ORDINARY and _is_amount(value)}


def _smaller(one: str | int, other: str | int) -> str | int:
    return other if _above(one, other) else one


def _is_amount(value: str | int) -> bool:
    try:
        return quantities.quantity(str(value)) >= 0
    except ValueError:
        return False


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
