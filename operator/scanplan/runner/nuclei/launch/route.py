"""How targets are reached: through a proxy, or direct.

Nuclei has one proxy for all targets of a run, reads no proxy variable, and knows no NO_PROXY (as of 3.11.1). So all
targets of a run are reached the same way, and a shard with both kinds of targets is scanned in two parts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from scanplan.api.documents.task import ScannerOptions
from scanplan.api.errors import NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning.nuclei import interactsh
from scanplan.core.planning.proxies import place
from scanplan.core.planning.proxies.no_proxy import NoProxy, readable
from scanplan.core.planning.targets.guard import Guard
from scanplan.runner.nuclei.judging import resolution


def check(proxy: str, guard: Guard, stop: Callable[[], bool]) -> None:
    """Refuse a proxy whose name leads to a denied address: Nuclei would dial it.

    Raises:
        NucleiBinaryError: (TargetDenied) the name resolves to a denied address.
    """
    _check([place.of(proxy)] if proxy else [], f"the proxy {proxy}", guard, stop)


def check_out_of_band(server: str, guard: Guard, stop: Callable[[], bool]) -> None:
    """Refuse an out-of-band server whose name leads to a denied address.

    Raises:
        NucleiBinaryError: (TargetDenied) the name resolves to a denied address.
    """
    _check([interactsh.place(server)] if server else [], f"scanner.interactsh.server {server}", guard, stop)


def _check(places: Sequence[str], what: str, guard: Guard, stop: Callable[[], bool]) -> None:
    if found := resolution.denied(places, guard, stop=stop):
        raise NucleiBinaryError(Reason.TARGET_DENIED, f"The target guard denies {what}: {resolution.shown(found)}.")


class Route:
    """The way of each target of a scan."""

    def __init__(self, options: ScannerOptions, inherited: Mapping[str, str]) -> None:
        """Take the task's proxy and noProxy; else the first of HTTPS_PROXY, HTTP_PROXY and ALL_PROXY, with NO_PROXY."""
        by_name = {name.lower(): value for name, value in inherited.items()}
        named = by_name.get("https_proxy") or by_name.get("http_proxy") or by_name.get("all_proxy") or ""
        self._proxy = options.proxy or named
        direct = options.no_proxy if options.proxy else readable(re.split(r"[\s,]+", by_name.get("no_proxy", "")))
        self._direct = NoProxy(direct)

    def proxy_to(self, endpoint: str) -> str:
        """URL of the proxy that leads to an endpoint; empty: it is reached direct."""
        return "" if not self._proxy or self._direct.covers(endpoint) else self._proxy

    def hides(self, endpoint: str) -> bool:
        """Whether all that goes to an endpoint goes through a SOCKS proxy, so that dialling it from here proves nothing.

        An HTTP proxy carries only web requests.
        """
        return self.proxy_to(endpoint).startswith("socks")

    def ordered(self, endpoints: Sequence[str]) -> tuple[tuple[str, ...], int]:
        """Endpoints that are reached direct, then the others; and where the others begin, 0 if there is no proxy.

        In this order a dead proxy costs only what is behind it.
        """
        if not self._proxy:
            return tuple(endpoints), 0
        through = [endpoint for endpoint in endpoints if self.proxy_to(endpoint)]
        direct = [endpoint for endpoint in endpoints if not self.proxy_to(endpoint)]
        return (*direct, *through), len(direct)
