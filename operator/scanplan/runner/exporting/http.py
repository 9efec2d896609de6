"""One HTTP request to a checked address. No redirect is followed; an answer's body is read only by who asks for it.

A name is looked up once. All its addresses are checked, and the connection goes to one that was checked.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import scanplan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.egress.policy import DENIED, ReceiverPolicy
from scanplan.runner.exporting.trouble import Trouble

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 60.0
"""How long a receiver may say nothing, or take nothing."""
_ANOTHER_HOSTS = {62, 64}
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent."""

    length: int
    pieces: Iterable[bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, without its body."""

    status: int
    headers: Mapping[str, str]
    """By names in lower case."""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> str:
        return self.headers.get("retry-after", "")


class Client:
    """Sends requests where a policy allows it."""

    def __init__(self, policy: ReceiverPolicy, context: ssl.SSLContext | None = None) -> None:
        self._policy = policy
        self._context = context or ssl.create_default_context()

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body | None = None,
        take: Callable[[http.client.HTTPResponse], None] | None = None,
    ) -> Answer:
        """Send a request.

        Args:
            take: reads the body of an answer with status 200.

        Raises:
            Trouble: no answer came, or nothing may be sent there.
        """
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection = _Checked(host, port, self._policy, self._context if parts.scheme == "https" else None)
        try:
            connection.putrequest(method, target, skip_accept_encoding=True)
            connection.putheader("User-Agent", f"scanplan-exporter/{scanplan.__version__}")
            connection.putheader("Connection", "close")
            for name, value in headers.items():
                connection.putheader(name, value)
            if body:
                connection.putheader("Content-Length", str(body.length))
            connection.endheaders()
            return self._answer(connection, body, take)
        except Trouble:
            raise
        except TimeoutError:
            raise _unreachable("the receiver did not answer in time") from None
        except ssl.SSLCertVerificationError as error:
            raise _unreachable(f"the receiver's certificate can't be trusted: {_flaw(error)}") from None
        except ssl.SSLError:
            raise _unreachable("no TLS connection to the receiver could be made") from None
        except (OSError, http.client.HTTPException):
            raise _unreachable("no connection to the receiver could be made, or it was closed") from None
        finally:
            connection.close()

    @staticmethod
    def _answer(
        connection: http.client.HTTPConnection,
        body: Body | None,
        take: Callable[[http.client.HTTPResponse], None] | None,
    ) -> Answer:
        """Who refuses early answers and closes before all is sent: then the answer counts."""
        broken: OSError | None = None
        try:
            for piece in body.pieces if body else ():
                connection.send(piece)
        except (BrokenPipeError, ConnectionResetError) as error:
            broken = error
        try:
            response = connection.getresponse()
        except (OSError, http.client.HTTPException):
            if broken:
                raise broken from None
            raise
        with response:
            if take and response.status == http.HTTPStatus.OK:
                take(response)
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()})


class _Checked(http.client.HTTPConnection):
    """A connection to an address that was checked."""

    def __init__(self, host: str, port: int, policy: ReceiverPolicy, context: ssl.SSLContext | None) -> None:
        super().__init__(host, port, timeout=SILENCE_SECONDS)
        if context:
            self.default_port = http.client.HTTPS_PORT
        self._policy = policy
        self._context = context

    def connect(self) -> None:
        addresses = checked(self.host, self.port, self._policy)
        for number, address in enumerate(addresses, 1):
            try:
                self.sock = socket.create_connection((address, self.port), CONNECT_SECONDS)
                break
            except OSError:
                if number == len(addresses):
                    raise
        self.sock.settimeout(SILENCE_SECONDS)
        if self._context:
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host)


def checked(host: str, port: int, policy: ReceiverPolicy) -> list[str]:
    """The addresses of a host.

    Raises:
        Trouble: (ReceiverDenied) one of them is denied. The others are not used either: who controls the name may mean any.
        OSError: there are none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    if any(policy.denies(address) for address in addresses):
        raise Trouble(Reason.RECEIVER_DENIED, DENIED)
    return addresses


def _flaw(error: ssl.SSLCertVerificationError) -> str:
    """What is wrong with a certificate. OpenSSL's texts are fixed, but for that of another host's, which names the host."""
    return "it is another host's" if error.verify_code in _ANOTHER_HOSTS else error.verify_message


def _unreachable(message: str) -> Trouble:
    return Trouble(Reason.RECEIVER_UNREACHABLE, message, temporary=True)
