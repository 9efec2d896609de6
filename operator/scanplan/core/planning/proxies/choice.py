"""Which proxy a scan takes, and which targets go direct.

Where the owner names a proxy, a plan may name no other targets that go direct than the owner does: else the proxy would hold
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from scanplan.api.errors import InvalidEndpoint, InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.proxies import place
from scanplan.core.planning.proxies.no_proxy import NoProxy


def of(spec: ScanPlanSpec, policy: Policy) -> tuple[str, tuple[str, ...]]:
    """The proxy of a plan's scan, empty: none, and the entries of targets that go direct."""
    if spec.scanner.proxy:
        return spec.scanner.proxy, tuple(sorted(set(spec.scanner.no_proxy)))
    if policy.proxy:
        return policy.proxy, tuple(sorted({*policy.no_proxy, *spec.scanner.no_proxy}))
    return "", ()


def check(spec: ScanPlanSpec, own: ScanPlanSpec, policy: Policy) -> None:
    """Refuse what the owner doesn't allow.

    Args:
        own: the spec as its author wrote it; `spec` also has the owner's defaults.

    Raises:
        InvalidPlan: a proxy that is not on the allow-list, an entry that can't be read, or one past the owner's proxy.
        TargetDenied: a proxy at a denied address.
    """
    if not policy.allows_proxy(own.scanner.proxy or ""):
        raise InvalidPlan(
            Reason.INVALID_SPEC,
            f"scanner.proxy {own.scanner.proxy!r} is not on the operator's allow-list (SCANPLAN_ALLOWED_PROXIES)",
        )
    for entry in own.scanner.no_proxy:
        try:
            NoProxy([entry])
        except InvalidEndpoint as error:
            raise InvalidPlan(Reason.INVALID_SPEC, f"scanner.noProxy {entry!r}: {error.message}") from None
    owners = _owners(policy)
    if owners is not None and (more := sorted(set(own.scanner.no_proxy).difference(owners))):
        raise InvalidPlan(
            Reason.INVALID_SPEC,
            f"scanner.noProxy {more[0]!r} would go past the proxy that the operator's owner has set for all plans; ask for it "
            "to be listed there (SCANPLAN_NO_PROXY)",
        )
    proxy, _ = of(spec, policy)
    if proxy:
        policy.guard.check((place.of(proxy),), lambda _: f"the proxy {proxy}")


def _owners(policy: Policy) -> Sequence[str] | None:
    """The entries of the owner, where the owner names a proxy; None: only plans do."""
    default = policy.scan_defaults.scanner if policy.scan_defaults else None
    if not (policy.proxy or (default and default.proxy)):
        return None
    return (*policy.no_proxy, *(default.no_proxy if default else ()))
