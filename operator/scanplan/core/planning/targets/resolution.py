"""Resolvers and host aliases of a plan: what the owner allows, under the target guard, and as fields of a pod."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from scanplan.api.errors import InvalidEndpoint, InvalidPlan, TargetDenied
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.core.planning.pod_bounds import matches
from scanplan.core.planning.policy import Policy


def options(spec: ScanPlanSpec) -> dict[str, Any]:
    """Their part of the task's key, since they change what is found; nothing where the plan has none."""
    found: dict[str, Any] = {}
    if spec.dns_config:
        found["dnsConfig"] = {"nameservers": spec.dns_config.nameservers, "searches": spec.dns_config.searches}
    if spec.host_aliases:
        found["hostAliases"] = sorted((alias.ip, sorted(alias.hostnames)) for alias in spec.host_aliases)
    return found


def pod_fields(spec: ScanPlanSpec, owners: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a scan pod. Nuclei gets the resolvers of its pod, by `-r`.

    Args:
        owners: `dnsConfig` of the owner's defaults. What the plan names takes the place of the same there; the rest stays.
    """
    fields: dict[str, Any] = {}
    if spec.dns_config:
        named = {"nameservers": spec.dns_config.nameservers, "searches": spec.dns_config.searches}
        own = {name: value for name, value in named.items() if value}
        fields = {"dnsPolicy": "None", "dnsConfig": {**owners, **own}}
    if spec.host_aliases:
        fields["hostAliases"] = [{"ip": alias.ip, "hostnames": alias.hostnames} for alias in spec.host_aliases]
    return fields


def check(spec: ScanPlanSpec, policy: Policy) -> None:
    """Refuse what the owner doesn't allow, and addresses that are denied.

    Raises:
        InvalidPlan: a resolver that is not on the allow-list.
        InvalidEndpoint: something that is no address.
        TargetDenied: a denied address.
    """
    for server in spec.dns_config.nameservers if spec.dns_config else ():
        _check_address(server, f"dnsConfig.nameservers {server!r}", policy)
        if not matches(server, policy.allowed_resolvers):
            raise InvalidPlan(
                Reason.INVALID_SPEC,
                f"dnsConfig.nameservers {server!r} is not on the operator's allow-list (SCANPLAN_ALLOWED_RESOLVERS)",
            )
    for alias in spec.host_aliases:
        _check_address(alias.ip, f"hostAliases {alias.ip!r}", policy)


def _check_address(text: str, where: str, policy: Policy) -> None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise InvalidEndpoint(f"{where} is not an address") from None
    if denied := policy.guard.covering(address):
        raise TargetDenied(
            f"{where} is in {denied}, which may not be reached from this cluster; remove it, or ask the operator's owner to "
            "allow the range"
        )
