"""The operator's policy: what its owner decided, as the core sees it.

Read from the environment by `scanplan.controller.settings`; every decision that depends on it takes it as an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scanplan.api.times import format_time
from scanplan.api.v1alpha1.scan_defaults import ScanDefaults
from scanplan.core.planning import pod_security
from scanplan.core.planning.pod_bounds import PodBounds, matches
from scanplan.core.planning.pod_security import PodSecurityContext
from scanplan.core.planning.targets import ranges
from scanplan.core.planning.targets.denied import DEFAULT_DENIED
from scanplan.core.planning.targets.guard import Guard

IDEMPOTENCY_WINDOW_SECONDS = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy(PodBounds):
    """Defaults for plans, and bounds on what a plan's author may ask; those on pods are inherited."""

    scanner_image: str
    """Image of plans that name none; always allowed."""
    image_pull_policy: str = "IfNotPresent"
    claim_name: str = "scanplan-artifacts"
    """Claim of plans that name none; always allowed."""
    allowed_images: tuple[str, ...] = ()
    """Further scanner images, as shell patterns."""
    allowed_claims: tuple[str, ...] = ("*",)
    """Further claims, as shell patterns."""
    proxy: str = ""
    """Proxy of plans that name none; empty: no proxy. Always allowed."""
    no_proxy: tuple[str, ...] = ()
    """Targets that go past `proxy`, as entries of NO_PROXY."""
    allowed_proxies: tuple[str, ...] = ()
    """Further proxies, as shell patterns. A proxy dials for the scan, where the guard can't look."""
    allowed_resolvers: tuple[str, ...] = ()
    """Addresses of DNS resolvers that plans may name, as shell patterns."""
    allowed_interactsh_servers: tuple[str, ...] = ()
    """Out-of-band servers that plans may name, as shell patterns."""
    allow_code: bool = False
    """Plans may have templates run that are programs."""
    discovery_any_selector: bool = False
    """Selectors of plans choose freely: objects need no label that says yes."""
    discovery_namespaces: tuple[str, ...] = ()
    """Namespaces besides a plan's own in which it may discover endpoints, as shell patterns."""
    max_range_addresses: int = ranges.MAX_ADDRESSES
    """Addresses that the CIDR ranges of one plan may have together; 0: no ranges."""
    export_hosts: tuple[str, ...] = ()
    """Hosts that exports may name, with or without port, as shell patterns."""
    guard: Guard = field(default_factory=lambda: Guard(DEFAULT_DENIED))
    unguarded_protocols: tuple[str, ...] = ()
    """Protocols that are switched on although the guard can't hold them."""
    default_requests: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Requests of scan pods, by resource, where a plan sets none."""
    headless_memory: str = "2Gi"
    """Least memory limit of scan pods with a browser, where the plan sets none; empty: as of others."""
    default_limits: Mapping[str, str] = field(default_factory=dict, hash=False)
    tmp_size_limit: str = ""
    """Quantity that a scan pod's /tmp may hold; empty: no limit."""
    pod_security_context: PodSecurityContext = field(default=pod_security.FIXED, hash=False)
    """Who scan pods run as."""
    scan_defaults: ScanDefaults | None = field(default=None, hash=False)
    """The owner's values for all plans."""
    lifecycle_events: bool = False
    """Record an Event where a scan starts, and where it is complete."""
    worker_concurrency: int = 4
    """Jobs active at the same time in one namespace."""
    exception_max_days: int = 365
    """Days after it was written until which a ScanException may last."""
    idempotency_window_seconds: int = IDEMPOTENCY_WINDOW_SECONDS
    """How old a published shard may be to be taken over by a task that is made again."""

    def allows_image(self, image: str) -> bool:
        return image == self.scanner_image or matches(image, self.allowed_images)

    def allows_proxy(self, proxy: str) -> bool:
        return proxy in {"", self.proxy} or matches(proxy, self.allowed_proxies)

    def allows_interactsh_server(self, server: str) -> bool:
        return matches(server, self.allowed_interactsh_servers)

    def allows_claim(self, claim: str) -> bool:
        return claim == self.claim_name or matches(claim, self.allowed_claims)

    def allows_discovery_in(self, namespace: str) -> bool:
        return matches(namespace, self.discovery_namespaces)

    def replay_not_before(self, first_seen: datetime) -> str:
        """RFC 3339 time from which on published shards count, of a task that was first seen at `first_seen`."""
        return format_time(first_seen - timedelta(seconds=self.idempotency_window_seconds))
