"""The target guard: what may not be scanned, decided by the operator's owner and never by a plan's author.

A scanner that runs inside a cluster sees what no outsider does: the node's loopback, cloud metadata, the API server.
The planner refuses endpoints that are written as such an address in any form; names that only resolve to one are
stopped by the scanner itself at dial time, from the same list (the task document's `denied_targets`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable

from scanplan.api.errors import InvalidEndpoint, TargetDenied
from scanplan.core.planning import endpoints, shards

DEFAULT_DENIED = (
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "::/128",
    "::1/128",
    "fe80::/10",
    "fd00:ec2::254/128",
    "100.100.100.200/32",
    "localhost",
    "ip6-localhost",
    "ip6-loopback",
    "metadata.google.internal",
    "kubernetes.default",
)
"""Loopback (with the names that every pod's /etc/hosts has for it), link-local and cloud metadata services; the shell
adds the API server's address."""

_EMBEDDING = tuple(ipaddress.IPv6Network(prefix) for prefix in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96"))
"""Prefixes whose last 32 bits are an IPv4 address: compatible (RFC 4291), translated (RFC 2765), NAT64 (RFC 6052)."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Guard:
    """The parsed deny list: CIDR ranges, and names that stand for themselves and all their subdomains.

    A name such as ``kubernetes.default`` also covers its longer forms (``kubernetes.default.svc.cluster.local``).
    """

    def __init__(self, denied: Iterable[str]) -> None:
        """Raises ValueError for an entry that is neither a range nor a name: one that never matches would protect nothing."""
        self.entries = tuple(denied)
        self._ranges: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        self._names: list[str] = []
        for entry in self.entries:
            if "/" in entry:
                self._ranges.append(ipaddress.ip_network(entry, strict=False))
                continue
            try:
                host = endpoints.canonical_host(entry)
            except InvalidEndpoint:
                raise ValueError(f"{entry!r} is neither an address, nor a CIDR range, nor a host name") from None
            if endpoints.parse_address(host):
                self._ranges.append(ipaddress.ip_network(host))
            else:
                self._names.append(host)

    def check(self, canonical_endpoints: Iterable[str], where: Callable[[str], str] = endpoints.quoted) -> None:
        """Raise TargetDenied for the first endpoint (in canonical form) that is on the list.

        Args:
            where: what the message says instead of an endpoint, which may come from a Secret.
        """
        for endpoint in canonical_endpoints:
            host = shards.host_of(endpoint)
            entry = self._match(host)
            if entry:
                raise TargetDenied(
                    f"{where(endpoint)} is in {entry}, which may not be scanned from this cluster; "
                    "remove it, or ask the operator's owner to allow the range"
                )

    def _match(self, host: str) -> str | None:
        address = endpoints.parse_address(host)
        if address is not None:
            for candidate in (address, *_embedded(address)):
                for network in self._ranges:
                    if candidate in network:
                        return str(network)
            return None
        for name in self._names:
            if host == name or host.endswith(f".{name}") or host.startswith(f"{name}."):
                return name
        return None


def _embedded(address: Address) -> list[Address]:
    """The IPv4 addresses that an IPv6 address leads to, where a gateway or a tunnel takes it."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    found: list[Address | None] = [address.sixtofour, address.teredo[1] if address.teredo else None]
    if int(address) > 0xFFFF and any(address in network for network in _EMBEDDING):
        found.append(last)
    return [each for each in found if each is not None]
