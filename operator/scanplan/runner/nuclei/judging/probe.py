"""One HTTP request to an endpoint for its status code, made as Nuclei would: same headers, same guard, same proxy.

Certificates are not looked at: a scanner's targets have any. The body is left unread.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from scanplan.core.planning.nuclei import client_certificate
from scanplan.core.planning.nuclei.logins import Logins
from scanplan.core.planning.targets.guard import Guard
from scanplan.runner.nuclei.judging import dial
from scanplan.runner.nuclei.judging.watch import places

_MOST_SECONDS = 5.0
NO_LOGINS = Logins()
_HEADERS = {"User-Agent": "Mozilla/5.0 (compatible; ScanPlan)", "Accept": "*/*", "Connection": "close"}


class Prober:
    """Asks endpoints, through an HTTP proxy where there is one."""

    def __init__(
        self,
        guard: Guard,
        headers: Mapping[str, str],
        timeout: float,
        proxy: str = "",
        sni: str = "",
        certificate: Path | None = None,
        logins: Logins = NO_LOGINS,
    ) -> None:
        """
        Args:
            guard: what must not be dialled.
            headers: the plan's.
            timeout: seconds for each step of a connection.
            proxy: URL of an HTTP proxy; empty: none.
            sni: host name that TLS asks for; empty: the endpoint's own.
            logins: credentials by host. Endpoints that a login opens are not asked: only Nuclei has its session.
            certificate: PEM file of a client certificate, with its key beside it; None: none is shown.
        """
        named = {name.lower() for name in headers}
        self._headers = {name: value for name, value in _HEADERS.items() if name.lower() not in named} | dict(headers)
        self._guard = guard
        self._logins = logins
        self._timeout = min(timeout, _MOST_SECONDS)
        self._proxy = urlsplit(proxy)
        self._sni = sni
        self._context = ssl._create_unverified_context()  # noqa: S323 - see above
        if certificate:
            with contextlib.suppress(OSError):  # ssl.SSLError is one: Nuclei says what it thinks of it
                self._context.load_cert_chain(certificate, certificate.with_name(client_certificate.PRIVATE_KEY))

    def __call__(self, endpoint: str, path: str) -> int | None:
        """The status code of an endpoint's answer; None where none came."""
        own = self._logins.headers_for(endpoint)
        for name, scheme in places(endpoint) if own is not None else ():
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
                return self._status(name, scheme, path, own or {})
        return None

    def _status(self, name: str, scheme: str, path: str, own: Mapping[str, str]) -> int:
        host, _, port = name.rpartition(":")
        sent = {"Host": _host_header(name, scheme)} | self._headers | dict(own)
        whole = f"http://{name}{path}" if self._proxy.hostname and scheme == "http" else path
        if whole != path:
            sent |= self._credentials()
        with self._connected(host.strip("[]"), int(port), scheme) as stream:
            connection = http.client.HTTPConnection(host.strip("[]"), int(port))
            connection.sock = stream
            connection.request("GET", whole, headers=sent)
            return connection.getresponse().status

    @contextlib.contextmanager
    def _connected(self, host: str, port: int, scheme: str) -> Iterator[socket.socket]:
        """A connection to an endpoint, or to the proxy that leads there; with TLS where the scheme wants it."""
        proxy = self._proxy.hostname
        dialled, at = (proxy, self._proxy.port or 80) if proxy else (host, port)
        plain = dial.connected(dialled, at, self._guard, self._timeout)
        if plain is None:
            raise ConnectionError(f"{dialled}:{at} takes no connection")
        with plain:
            if proxy and scheme == "https":
                self._tunnel(plain, host, port)
            with (
                self._context.wrap_socket(plain, server_hostname=self._sni or host)
                if scheme == "https"
                else plain as stream
            ):
                yield stream

    def _tunnel(self, plain: socket.socket, host: str, port: int) -> None:
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
        lines += [f"{name}: {value}" for name, value in self._credentials().items()]
        plain.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        answer = http.client.HTTPResponse(plain, method="CONNECT")
        answer.begin()
        if answer.status != http.client.OK:
            raise ConnectionError(f"the proxy answered {answer.status}")

    def _credentials(self) -> dict[str, str]:
        if self._proxy.username is None:
            return {}
        pair = f"{unquote(self._proxy.username)}:{unquote(self._proxy.password or '')}"
        return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _host_header(name: str, scheme: str) -> str:
    return name.removesuffix(":443" if scheme == "https" else ":80")
