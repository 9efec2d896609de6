"""Endpoints in one canonical form, so that the same target has the same key however it was written.

Accepted are hosts, ``host:port``, http(s) URLs and CIDR ranges. A range is expanded here (`targets.ranges`), so that the target
guard, the key and the shards see each address. What else Nuclei would expand by itself (AS numbers, comma lists, files) is
refused: a task's endpoints are what the plan says, no more. Numeric addresses are read as inet_aton(3) reads them: decimal,
octal, hex, short. The HTTP client under the scanner reads them so, and the target guard must see the address that will be
dialled.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

from scanplan.api.errors import InvalidEndpoint
from scanplan.core.planning.targets import ranges

DEFAULT_PORTS = {"http": 80, "https": 443}

_FORBIDDEN = re.compile(r'[\s,\\"`]')
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_ASN = re.compile(r"as[0-9]+")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+", re.IGNORECASE)


def canonical(endpoint: str, where: str = "") -> str:
    """The canonical form of one endpoint.

    Scheme and host are lower case. A trailing dot, a default port, an empty path and the fragment are gone. International names
    are in punycode, numeric addresses dotted (or compressed IPv6). A canonical form is its own canonical form.

    Args:
        where: what a message says instead of the endpoint, which may come from a Secret; empty: the endpoint itself.

    Raises:
        InvalidEndpoint: not a host, host:port or http(s) URL; the message says what to write instead.
    """
    try:
        return _canonical(endpoint)
    except _Unreadable as error:
        why = (
            f"{where}: the host, or the port (1 to 65535), can't be read"
            if where
            else f"{quoted(endpoint)}: {error.message}"
        )
        raise InvalidEndpoint(why) from None
    except InvalidEndpoint as error:
        raise InvalidEndpoint(f"{where or quoted(endpoint)}: {error.message}") from None


def quoted(endpoint: str) -> str:
    """An endpoint of the plan itself, as messages name it."""
    return f"endpoint {endpoint!r}"


class _Unreadable(InvalidEndpoint):
    """The message is Python's, and may quote the endpoint."""


def _canonical(endpoint: str) -> str:
    """The same; no message repeats any part of the endpoint, except that of `_Unreadable`."""
    if not endpoint.isprintable() or _FORBIDDEN.search(endpoint):
        raise InvalidEndpoint("whitespace, commas, quotes and backslashes are not allowed; one endpoint an entry")
    has_scheme = "://" in endpoint
    try:
        parts = urlsplit(endpoint if has_scheme else f"//{endpoint}")
        port = parts.port
    except ValueError as error:
        raise _Unreadable(str(error)) from None
    if has_scheme and parts.scheme not in DEFAULT_PORTS:
        raise InvalidEndpoint("scheme must be http or https")
    if "@" in parts.netloc:
        raise InvalidEndpoint("user information is not allowed; pass credentials as headers from a Secret")
    if not has_scheme and (parts.path or parts.query or parts.fragment):
        raise InvalidEndpoint("a path needs a scheme (https://…), and a range an address (10.1.0.0/24)")
    if port == 0:
        raise InvalidEndpoint("a port is 1 to 65535")
    host = canonical_host(parts.hostname or "")
    netloc = f"[{host}]" if ":" in host else host
    if port is not None and port != DEFAULT_PORTS.get(parts.scheme):
        netloc += f":{port}"
    if not has_scheme:
        return netloc
    # RFC 3986, 6.2.3: an empty path and "/" are the same; a query needs the slash to be unambiguous.
    path = parts.path if parts.path not in {"", "/"} else "/" if parts.query else ""
    return urlunsplit((parts.scheme, netloc, path, parts.query, ""))


def canonical_all(endpoints: Iterable[str]) -> tuple[str, ...]:
    """All endpoints in canonical form, with each address of a range; sorted, without doubles.

    Raises:
        InvalidEndpoint: the first that can't be parsed, or ranges with more than `ranges.MAX_ADDRESSES` in all.
    """
    budget = ranges.Budget(ranges.MAX_ADDRESSES)
    found: set[str] = set()
    for endpoint in endpoints:
        network = range_of(endpoint, budget)
        found.update(ranges.addresses(network) if network else (canonical(endpoint),))
    return tuple(sorted(found))


def range_of(endpoint: str, budget: ranges.Budget, where: str = "") -> ranges.Network | None:
    """The range that an endpoint is, counted in the budget; None: it is a single one. `where` as in `canonical`.

    Raises:
        InvalidEndpoint: it is written as a range, and can't be read, or has too many addresses.
    """
    try:
        network = ranges.parse(endpoint)
        if network:
            budget.take(network)
    except InvalidEndpoint as error:
        raise InvalidEndpoint(f"{where or quoted(endpoint)}: {error.message}") from None
    return network


def canonical_host(host: str) -> str:
    """The canonical form of a name or an address (IPv6 without its brackets).

    Raises:
        InvalidEndpoint: neither; the message says what is wrong, without the host.
    """
    try:
        # First of all: full-width digits and dots, or letters of "AS", must not get past the checks below.
        name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        raise InvalidEndpoint("this is not a host name") from None
    name = name.removesuffix(".").lower()
    if not name:
        raise InvalidEndpoint("there is no host")
    # As browsers do (https://url.spec.whatwg.org/#ends-in-a-number-checker): what ends in a number is an address or wrong.
    if ":" in name or _NUMBER.fullmatch(name.rpartition(".")[2]):
        address = parse_address(name)
        if address is None or "%" in name:
            raise InvalidEndpoint("this is not an address")
        return str(address)
    if _ASN.fullmatch(name):
        raise InvalidEndpoint("AS numbers are not expanded; list the hosts, or ranges such as 10.1.0.0/24")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise InvalidEndpoint("this is not a host name")
    return name


def parse_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that `host` is written as, or None for a name.

    IPv4 in all forms of inet_aton(3); an IPv4-mapped IPv6 address gives the IPv4 address, since that is what is dialled.
    """
    if ":" in host:
        try:
            address = ipaddress.IPv6Address(host.partition("%")[0])
        except ValueError:
            return None
        return address.ipv4_mapped or address
    parts = host.split(".")
    if not 1 <= len(parts) <= 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    try:
        numbers = [_number(part) for part in parts]
    except ValueError:
        return None
    *leading, last = numbers
    if any(number > 255 for number in leading) or last >= 256 ** (4 - len(leading)):
        return None
    value = last
    for position, number in enumerate(leading):
        value += number << (8 * (3 - position))
    return ipaddress.IPv4Address(value)


def _number(text: str) -> int:
    if text.lower().startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8) if text.startswith("0") and len(text) > 1 else int(text)
