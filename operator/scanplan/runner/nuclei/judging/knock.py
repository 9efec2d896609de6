"""Whether anybody listens at an endpoint: one TCP connection, where Nuclei's own evidence can't say.

Of a TLS handshake that failed Nuclei says the same whether the port was closed or speaks no TLS. The target guard holds here
as it does in Nuclei: an address that is denied is not dialled.
"""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from scanplan.core.planning import endpoints
from scanplan.core.planning.guard import Guard

_TLS_PORT = 443


def listens(endpoint: str, guard: Guard, timeout: float) -> bool:
    """Whether a TCP connection to the endpoint succeeds.

    Args:
        endpoint: as the plan has it; without a port the one of TLS.
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
    """A TCP connection to the first address of a host that is not denied and takes it; None where there is none.

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
