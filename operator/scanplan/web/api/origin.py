"""Refuses requests for another name (Host) and requests that another site makes a browser send (Origin).

With DNS rebinding, a site's own name resolves to this address, and a browser lets that site read answers that need no token. The
Host header shows that name. A request that another site makes a browser send has that site as its Origin. No site can choose
either header.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

from aiohttp import web

from scanplan.web.api.problems import Handler

_HOST = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::[0-9]{1,5})?")


class Hosts:
    """The names by which this API is reached."""

    def __init__(self, names: Collection[str]) -> None:
        """`names`: beside localhost, its subdomains, and addresses, which no DNS leads elsewhere."""
        self._names = {name.lower().rstrip(".") for name in names}

    @web.middleware
    async def checked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse what is for another name, and what another site has a browser send."""
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or not self.known(hosts[0]):
            raise web.HTTPMisdirectedRequest(text="this name is not one of this API: SCANPLAN_API_HOSTS lists them")
        origin = request.headers.get("Origin")
        if origin is not None and not _same(origin, hosts[0]):
            raise web.HTTPForbidden(text="only the page itself may ask for this")
        site = request.headers.get("Sec-Fetch-Site", "none")
        if site not in {"none", "same-origin"} and request.headers.get("Sec-Fetch-Mode") != "navigate":
            raise web.HTTPForbidden(text="only the page itself may ask for this")
        return await handler(request)

    def known(self, host: str) -> bool:
        """Whether a Host header means this API."""
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = (match["address"] or match["name"]).lower().rstrip(".")
        if name in self._names or name == "localhost" or name.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _same(origin: str, host: str) -> bool:
    return origin.lower() in {f"http://{host.lower()}", f"https://{host.lower()}"}
