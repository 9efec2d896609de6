"""The target guard: what may not be scanned, decided by the operator's owner and never by a plan's author.

A scanner that runs inside a cluster sees what no outsider does: the node's loopback, cloud metadata, the API server.
The planner refuses endpoints that are written as such an address in any form. Of names the scan pod asks DNS before it
scans, and refuses those that have such an address among theirs. Nuclei refuses the same ranges when it dials, after
redirects and where DNS answers differently then. The list is the task document's `denied_targets`; by default
`scanplan.core.planning.targets.denied`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable

from scanplan.api.errors import InvalidEndpoint, TargetDenied
from scanplan.core.planning import shards
from scanplan.core.planning.targets import endpoints, ranges

_EMBEDDING = tuple(
    ipaddress.IPv6Network(prefix) for prefix in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "2002::/16")
)
"""Prefixes that an IPv4 address follows: compatible (RFC 4291), translated (RFC 2765), NAT64 (RFC 6052), 6to4 (RFC 3056)."""

_HIDING = tuple(ipaddress.IPv6Network(prefix) for prefix in ("::ffff:0:0/96", "2001::/32"))
"""The others that hide an IPv4 address: mapped, and Teredo."""

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

    def canonical(self, endpoint: str, where: str = "") -> str:
        """The canonical form of an endpoint that is not on the list; `where` as in `endpoints.canonical`.

        Raises:
            InvalidEndpoint: it can't be read.
            TargetDenied: it is on the list.
        """
        target = endpoints.canonical(endpoint, where)
        self.check((target,), lambda named: where or endpoints.quoted(named))
        return target

    def covering(self, address: Address) -> str | None:
        """The range that denies an address, or the IPv4 address that it leads to; None where none does."""
        for candidate in (address, *_embedded(address)):
            for network in self._ranges:
                if candidate in network:
                    return str(network)
        return None

    def check_ranges(self, written: Iterable[tuple[ranges.Network, str]]) -> None:
        """Raise TargetDenied for the first range that has a denied address; the text says where the range is written."""
        for network, where in written:
            if entry := self.covering_range(network):
                raise TargetDenied(
                    f"{where} has addresses in {entry}, which may not be scanned from this cluster; leave them out, or ask the "
                    "operator's owner to allow the range"
                )

    def covering_range(self, network: ranges.Network) -> str | None:
        """The range that denies some address of a network, or the IPv4 address that it leads to; None where none does."""
        if isinstance(network, ipaddress.IPv4Network):
            return next((str(denied) for denied in self._ranges if denied.overlaps(network)), None)
        near = (*map(ipaddress.ip_network, self.ranges()), *_HIDING)
        if not any(each.overlaps(network) for each in near):
            return None
        return next(filter(None, map(self.covering, network)), None)

    def ranges(self) -> list[str]:
        """All denied ranges in CIDR notation, with those that lead to a denied IPv4 address by a gateway or a tunnel.

        For Nuclei, which knows neither of these. It takes an address without a prefix length, or a name, for a pattern that is
        looked for anywhere in a host: ``10.96.0.1`` would deny 10.96.0.10 too.
        """
        found: dict[str, None] = {}
        for network in self._ranges:
            found[str(network)] = None
            if isinstance(network, ipaddress.IPv4Network):
                for prefix in _EMBEDDING:
                    length = prefix.prefixlen + network.prefixlen
                    first = int(prefix.network_address) | int(network.network_address) << (96 - prefix.prefixlen)
                    found[str(ipaddress.IPv6Network((first, length)))] = None
        return list(found)

    def _match(self, host: str) -> str | None:
        address = endpoints.parse_address(host)
        if address is not None:
            return self.covering(address)
        for name in self._names:
            if host == name or host.endswith(f".{name}") or host.startswith(f"{name}."):
                return name
        return None


def _embedded(address: Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address leads to, where a gateway or a tunnel takes it."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    found: list[ipaddress.IPv4Address] = [address.teredo[1]] if address.teredo else []
    prefixes = [prefix for prefix in _EMBEDDING if address in prefix and int(address) > 0xFFFF]
    return found + [ipaddress.IPv4Address(int(address) >> 96 - prefix.prefixlen & 0xFFFFFFFF) for prefix in prefixes]
