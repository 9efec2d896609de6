"""CIDR ranges as endpoints: all addresses of a range, each a host of its own.

A prefix here is a block of addresses, not a subnet with a mask. So the first and the last address count, as they do for Nuclei:
in a larger subnet both are hosts. A range has neither scheme nor port; its hosts are scanned as any host without a port.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from scanplan.api.errors import InvalidEndpoint

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_ADDRESSES = 65_536
"""Of all ranges of a plan together, where the owner sets no other bound."""
IN_BYTES = re.compile(rb"(?m)^\s*[0-9a-fA-F:.]+/[0-9]")
"""A line that may be a range."""

_HOST = re.compile(r"\[.*\].*|[0-9a-f]*:[0-9a-f:.]*(%.*)?|([^:]*\.)?(0x[0-9a-f]*|[0-9]+)(:[0-9]*)?", re.IGNORECASE)
"""An address in any form, or what ends in a number, which no host name does."""
_PORT = re.compile(r"[^:]*:[0-9]+|\[.*\]:.*")
_FROM_TO = re.compile(
    r"[0-9]+(\.[0-9]+){3}\s*-\s*[0-9.]+|[0-9a-f]*:[0-9a-f]*:[0-9a-f:.]*\s*-\s*[0-9a-f:.]+", re.IGNORECASE
)
_BRACKETED = re.compile(r"\[[^\]]*/[0-9]*\].*")
_BRACKETS = "a range has no brackets: 2001:db8::/120"


def parse(text: str) -> Network | None:
    """The range that an endpoint is; None where it is not written as one.

    Raises:
        InvalidEndpoint: it is, and can't be read. The message says what to write, without the endpoint.
    """
    if _FROM_TO.fullmatch(text):
        raise InvalidEndpoint("write a range as a prefix, such as 10.1.0.0/24")
    if _BRACKETED.fullmatch(text):
        raise InvalidEndpoint(_BRACKETS)
    host, slash, length = text.partition("/")
    if not slash or "://" in text or not _HOST.fullmatch(host):
        return None
    if _PORT.fullmatch(host) or re.fullmatch(r"[0-9]+:[0-9]+", length):
        raise InvalidEndpoint("a range has no port; list the hosts as host:port")
    if host.startswith("["):
        raise InvalidEndpoint(_BRACKETS)
    try:
        first = ipaddress.ip_address(host)
    except ValueError:
        raise InvalidEndpoint(
            "a range begins with a whole address, four decimal numbers or IPv6: 10.1.0.0/24"
        ) from None
    if isinstance(first, ipaddress.IPv6Address) and (first.ipv4_mapped or first.scope_id):
        raise InvalidEndpoint("write the range in IPv4, and without a zone")
    if not re.fullmatch(r"0|[1-9][0-9]{0,2}", length) or int(length) > first.max_prefixlen:
        raise InvalidEndpoint(f"the prefix length is a number from 0 to {first.max_prefixlen}")
    network = ipaddress.ip_network((first, int(length)), strict=False)
    if network.network_address != first:
        raise InvalidEndpoint("the address has bits after the prefix; write the first address of the range")
    return network


def addresses(network: Network) -> Iterator[str]:
    """The canonical endpoint of each address."""
    for address in network:
        yield str(address) if isinstance(address, ipaddress.IPv4Address) else f"[{address}]"


class Budget:
    """How many addresses the ranges of one plan may still have."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    def take(self, network: Network) -> None:
        """Count a range.

        Raises:
            InvalidEndpoint: there are too many addresses, or ranges are not allowed; the range is not counted.
        """
        if not self._most:
            raise InvalidEndpoint(
                "the operator's owner allows no ranges (SCANPLAN_MAX_RANGE_ADDRESSES); list the hosts"
            )
        if self._taken + network.num_addresses > self._most:
            raise InvalidEndpoint(
                f"the plan's ranges have more than {self._most:,} addresses (SCANPLAN_MAX_RANGE_ADDRESSES); make several plans"
            )
        self._taken += network.num_addresses

    def give_back(self, network: Network) -> None:
        """No longer count a range, which is left out for another cause."""
        self._taken -= network.num_addresses
