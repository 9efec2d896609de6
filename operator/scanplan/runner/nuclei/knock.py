"""Whether anybody listens at an endpoint: one TCP connection, where Nuclei's own evidence can't say.

Of a TLS handshake that failed Nuclei says the same whether the port was closed or speaks no TLS. The target guard holds here
as it does in Nuclei: an address that is denied is not dialled.
"""

from __future__ import annotations

import contextlib
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
        found = socket.getaddrinfo(parts.hostname or "", port, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        return False
    for family, kind, protocol, _, where in found:
        address = endpoints.parse_address(str(where[0]).partition("%")[0])
        if address is None or guard.covering(address) is not None:
            continue
        with contextlib.suppress(OSError), socket.socket(family, kind, protocol) as connection:
            connection.settimeout(timeout)
            connection.connect(where)
            return True
    return False
