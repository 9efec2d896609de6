"""Targets that go direct although there is a proxy."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator

from scanplan.api.errors import InvalidEndpoint
from scanplan.core.planning import shards
from scanplan.core.planning.targets import endpoints

_PORT = re.compile(r"(?P<host>\[.*\]|[^:]*):(?P<port>[0-9]{1,5})")
_PORT_OF_ENDPOINT = re.compile(r"(?:(?P<scheme>https?)://)?(?:\[[^\]]*\]|[^:/?#]*)(?::(?P<port>[0-9]+))?")
_PORTS = {"http": "80", "https": "443"}


class NoProxy:
    """Targets that go direct, in the entries of the usual NO_PROXY (https://pkg.go.dev/golang.org/x/net/http/httpproxy).

    | entry | targets |
    |---|---|
    | ``example.com`` | the host and all its subdomains |
    | ``.example.com``, ``*.example.com`` | its subdomains alone |
    | ``192.0.2.1``, ``2001:db8::1`` | the address |
    | ``10.0.0.0/8``, ``fd00::/8`` | targets that are written as an address of the range |
    | ``*`` | all |

    All but ranges and ``*`` may end with a port. Names are not resolved: the proxy knows other addresses than the pod.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        """Raises InvalidEndpoint for an entry that is none of these: it would never match."""
        self._all = False
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        self._hosts: list[tuple[str, str]] = []
        """Host and port; the host of all subdomains begins with a dot, and the port may be empty."""
        for entry in entries:
            self._take(entry.strip())

    def covers(self, endpoint: str) -> bool:
        """Whether an endpoint in canonical form goes direct."""
        if self._all:
            return True
        host, port = shards.host_of(endpoint), _port_of(endpoint)
        address = endpoints.parse_address(host)
        if address is not None and any(address in network for network in self._networks):
            return True
        return any(
            (host.endswith(name) if name.startswith(".") else host == name) and wanted in {"", port}
            for name, wanted in self._hosts
        )

    def _take(self, entry: str) -> None:
        if entry == "*":
            self._all = True
            return
        if "/" in entry:
            try:
                self._networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                raise InvalidEndpoint("this is not a range") from None
            return
        bare_address = entry.count(":") > 1 and not entry.startswith("[")
        match = None if bare_address else _PORT.fullmatch(entry)
        name, port = (match["host"], str(int(match["port"]))) if match else (entry, "")
        domain = re.sub(r"^(\*)?\.", "", name)
        host = endpoints.canonical_host(domain.removeprefix("[").removesuffix("]"))
        if endpoints.parse_address(host) is not None:
            self._hosts.append((host, port))
            return
        self._hosts.append((f".{host}", port))
        if domain == name:
            self._hosts.append((host, port))


def _port_of(endpoint: str) -> str:
    match = _PORT_OF_ENDPOINT.match(endpoint)
    return (match and (match["port"] or _PORTS.get(match["scheme"] or "", ""))) or ""


def readable(entries: Iterable[str]) -> Iterator[str]:
    """Those of some entries that `NoProxy` takes: an environment may have any."""
    for entry in entries:
        try:
            NoProxy([entry])
        except InvalidEndpoint:
            continue
        yield entry
