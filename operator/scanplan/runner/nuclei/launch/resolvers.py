"""Finds the machine's own DNS servers, for Nuclei.

Nuclei asks public resolvers unless it is told otherwise. They don't know a cluster's names. Where there is no way out, every
request waits for them in vain until it fails. So it gets the servers of `resolv.conf` by file. Where these have no answer, it
asks the system's resolver, which also knows search domains and the hosts file.
"""

from __future__ import annotations

import contextlib
import ipaddress
from pathlib import Path

_CONFIGURATION = Path("/etc/resolv.conf")
_PORT = 53


def own(configuration: Path = _CONFIGURATION) -> list[str]:
    """The name servers as ``address:port``, in their order; none where the file is missing or names none."""
    try:
        lines = configuration.read_text(errors="replace").splitlines()
    except OSError:
        return []
    servers = []
    for line in lines:
        match line.split():
            case ["nameserver", server, *_]:
                with contextlib.suppress(ValueError):
                    address = ipaddress.ip_address(server)
                    servers.append(f"[{address}]:{_PORT}" if address.version == 6 else f"{address}:{_PORT}")
    return servers
