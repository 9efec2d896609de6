"""Where a proxy listens."""

from __future__ import annotations

from urllib.parse import urlsplit

from scanplan.core.planning.targets import endpoints

_PORTS = {"http": 80, "https": 443, "socks5": 1080}


def of(proxy: str) -> str:
    """Where it listens, as an endpoint in canonical form, so that the target guard can look at it.

    Raises:
        InvalidEndpoint: it is no URL of a proxy.
    """
    try:
        parts = urlsplit(proxy)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        host, port = "", 0
    host = f"[{host}]" if ":" in host else host
    return endpoints.canonical(f"{host}:{port}", f"the proxy {proxy}")
