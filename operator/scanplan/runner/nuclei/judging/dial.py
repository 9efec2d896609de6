"""Tests by one TCP connection whether an endpoint listens, where Nuclei's output does not show it.

Nuclei reports a failed TLS handshake in the same way for a closed port and for a port without TLS. The target guard applies as
in Nuclei: a denied address is not dialled.
"""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from scanplan.core.planning.targets import endpoints
from scanplan.core.planning.targets.guard import Guard

_TLS_PORT = 443


def listens(endpoint: str, guard: Guard, timeout: float) -> bool:
    """Whether a TCP connection to the endpoint succeeds.

    Args:
        endpoint: as in the plan. Without a port, it is 80 for http:// and 443 otherwise.
        guard: what must not be dialled.
        timeout: seconds for each of its addresses.
    """
    try:
        parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
        port = parts.port or (80 if parts.scheme == "http" else _TLS_PORT)
    except ValueError:
        return False
    connection = connected(parts.hostname or "", port, guard, timeout)
    if connection is not None:
        connection.close()
    return connection is not None


def connected(host: str, port: int, guard: Guard, timeout: float) -> socket.socket | None:
    """Connect to the first allowed address of a host that accepts a connection; None where none does.

    Args:
        guard: what must not be dialled.
        timeout: seconds for each of its addresses.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        return None
    for family, kind, protocol, _, where in found:
        address = endpoints.parse_address(str(where[0]).partition("%")[0])
        if address is None or guard.covering(address) is not None:
            continue
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(timeout)
        try:
            connection.connect(where)
        except OSError:
            connection.close()
            continue
        return connection
    return None
