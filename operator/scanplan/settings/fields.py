"""Types of settings: lists and quantities as one environment variable, checked when they are read."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, RedisDsn, TypeAdapter

from scanplan.api.errors import InvalidEndpoint
from scanplan.api.v1alpha1.plan.pod_template import Resources
from scanplan.api.v1alpha1.scan_defaults import ScanDefaults
from scanplan.core.planning import quantities
from scanplan.core.planning.nuclei.protocols import BY_LEAVE
from scanplan.core.planning.pod_security import PodSecurityContext
from scanplan.core.planning.proxies.no_proxy import NoProxy
from scanplan.core.planning.targets.guard import Guard

_REDIS = TypeAdapter(RedisDsn)
_KEY = r"(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9](?:[-\w.]{0,61}[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[-\w.]{0,61}[A-Za-z0-9])?)?"
_REQUIREMENT = (
    rf"\s*(?:!?{_KEY}|{_KEY}\s*(?:=|==|!=)\s*{_VALUE}|{_KEY}\s+(?:not)?in\s*\(\s*{_VALUE}(?:\s*,\s*{_VALUE})*\s*\))\s*"
)
_SELECTOR = re.compile(rf"{_REQUIREMENT}(?:,{_REQUIREMENT})*", re.ASCII)
"""https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors"""


def items(text: str) -> tuple[str, ...]:
    """The items of a comma-separated list, without surrounding spaces; empty ones are left out."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _items(value: Any) -> Any:
    return items(value) if isinstance(value, str) else value


def _denied(value: tuple[str, ...]) -> tuple[str, ...]:
    Guard(value)
    return value


def _no_proxy(value: tuple[str, ...]) -> tuple[str, ...]:
    for entry in value:
        try:
            NoProxy([entry])
        except InvalidEndpoint as error:
            raise ValueError(f"{entry!r}: {error.message}") from None
    return value


def _label_selector(value: str) -> str:
    if value and not _SELECTOR.fullmatch(value):
        raise ValueError(
            f"{value!r} is no label selector: write it as for kubectl -l, such as team=red or team in (red, blue)"
        )
    return value


def _unguarded(value: tuple[str, ...]) -> tuple[str, ...]:
    if wrong := [protocol for protocol in value if protocol not in BY_LEAVE]:
        raise ValueError(f"{wrong[0]!r} is none of {', '.join(BY_LEAVE)}")
    return value


NameList = Annotated[tuple[str, ...], BeforeValidator(_items)]
"""Comma-separated in the environment."""
DeniedTargets = Annotated[NameList, AfterValidator(_denied)]
"""Entries that a Guard takes: addresses, CIDRs, names."""
NoProxyList = Annotated[NameList, AfterValidator(_no_proxy)]
"""Entries that a NoProxy takes."""
LabelSelector = Annotated[str, AfterValidator(_label_selector)]
"""As `kubectl --selector` takes it; may be empty."""
UnguardedProtocols = Annotated[NameList, AfterValidator(_unguarded)]
"""Protocols that are off unless they are named."""


def _tolerations(value: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in value:
        if ":" not in pattern and not pattern.endswith("*"):
            raise ValueError(f"{pattern!r} has no effect: write key=value:effect, and key=value:* for all effects")
    return value


Tolerations = Annotated[NameList, AfterValidator(_tolerations)]
"""Patterns for what `scanplan.core.planning.pod_bounds.spelled` writes."""


def _size(value: str) -> str:
    if value and not quantities.quantity(value) > 0:
        raise ValueError(f"{value!r} is no quantity above zero")
    return value


def _amounts(value: tuple[str, ...]) -> tuple[str, ...]:
    for amount in value:
        name, _, size = amount.partition("=")
        if not name or not size:
            raise ValueError(f"{amount!r} is not resource=quantity")
        _size(size)
    return value


Amounts = Annotated[NameList, AfterValidator(_amounts)]
"""Pairs such as ``memory=256Mi``."""
Size = Annotated[str, AfterValidator(_size)]
"""A Kubernetes quantity above zero, such as ``1Gi``; may be empty."""


def _json(value: Any) -> Any:
    return (json.loads(value) if value.strip() else None) if isinstance(value, str) else value


OptionalPodSecurityContext = Annotated[PodSecurityContext | None, BeforeValidator(_json)]
"""A JSON object; empty: None."""


def _amounts_of(defaults: ScanDefaults | None) -> ScanDefaults | None:
    resources = defaults.pod_template.resources if defaults else Resources()
    for kind, amounts in (("requests", resources.requests), ("limits", resources.limits)):
        for name, amount in amounts.items():
            try:
                quantities.quantity(str(amount))
            except ValueError as error:
                raise ValueError(f"podTemplate.resources.{kind}.{name}: {error}") from None
    return defaults


OptionalScanDefaults = Annotated[ScanDefaults | None, BeforeValidator(_json), AfterValidator(_amounts_of)]
"""A JSON object; empty: None."""


def _redis_url(url: str) -> str:
    if not url.startswith("unix://"):
        _REDIS.validate_python(url)
    return url


RedisUrl = Annotated[str, AfterValidator(_redis_url)]
"""``redis://``, ``rediss://`` or ``unix://``; it may hold a password."""
