"""Sends one mail by SMTP (RFC 5321), encrypted by STARTTLS (RFC 3207) or from the start, with a login (RFC 4954) or without.

Python's own client blocks a thread, and looks a name up by itself. This one speaks the few commands that a message takes. After
STARTTLS it reads from a new stream, so nothing that came before is taken for an answer.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import re
import ssl
from collections.abc import Sequence
from email.message import EmailMessage

from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scannotifier import Encryption
from scanplan.core.egress.policy import DENIED, ReceiverPolicy
from scanplan.core.notify.decision import Trouble
from scanplan.core.notify.receivers import MailReceiver
from scanplan.senders.addresses import AddressDenied, checked

log = logging.getLogger("scanplan.senders")

SECONDS = 30.0
"""Limit of one attempt."""
CONNECT_SECONDS = 5.0
"""For each address of the server."""
MAX_LINE = 2_048
MAX_LINES = 64
"""Of one answer."""
_DOT = re.compile(rb"^\.", re.MULTILINE)


class _Refused(Exception):
    """The server has answered otherwise than it should. The message names the command and the code, and no word of the answer."""

    def __init__(self, command: str, code: int) -> None:
        super().__init__(f"the mail server answered {code} to {command}")
        self.code = code
        self.of_message = command in {"MAIL", "RCPT", "DATA", "the message"} and 500 <= code < 600


class _Unsupported(Exception):
    """The server speaks no SMTP, or lacks what is needed; the message says what."""


async def deliver(
    receiver: MailReceiver,
    mail: EmailMessage,
    policy: ReceiverPolicy,
    context: ssl.SSLContext,
    seconds: float = SECONDS,
) -> Trouble | None:
    """Send a mail; returns why it was not accepted. The text repeats nothing that the server said."""
    try:
        async with asyncio.timeout(seconds):
            addresses = await checked(receiver.email.host, receiver.email.port, policy)
            await _Conversation(receiver, context).deliver([address for _, address in addresses], mail)
    except AddressDenied:
        return Trouble(Reason.RECEIVER_DENIED, DENIED, lasting=True)
    except _Refused as error:
        return Trouble(Reason.RECEIVER_REFUSED, str(error), of_message=error.of_message)
    except _Unsupported as error:
        return Trouble(Reason.RECEIVER_REFUSED, str(error))
    except TimeoutError:
        return Trouble(Reason.RECEIVER_UNREACHABLE, "the mail server did not answer in time")
    except ssl.SSLCertVerificationError:
        return Trouble(Reason.RECEIVER_UNREACHABLE, "the mail server's certificate can't be trusted")
    except ssl.SSLError:
        return Trouble(Reason.RECEIVER_UNREACHABLE, "no TLS connection to the mail server could be made")
    except (OSError, EOFError, asyncio.LimitOverrunError, ValueError):
        return Trouble(Reason.RECEIVER_UNREACHABLE, "the mail server can't be reached, or closed the connection")
    return None


class _Conversation:
    """One SMTP session."""

    def __init__(self, receiver: MailReceiver, context: ssl.SSLContext) -> None:
        self._receiver = receiver
        self._context = context
        self._reader = asyncio.StreamReader(MAX_LINE)
        self._transport: asyncio.Transport | None = None

    async def deliver(self, addresses: Sequence[str], mail: EmailMessage) -> None:
        """Send the mail to the first of the server's addresses that takes a connection."""
        email = self._receiver.email
        tls = self._context if email.encryption is Encryption.TLS else None
        await self._connect(addresses, tls)
        try:
            await self._answer("the connection", 220)
            extensions = await self._greet()
            if tls is None:
                if "STARTTLS" not in extensions:
                    raise _Unsupported("the mail server offers no STARTTLS, and no mail is sent unencrypted")
                await self._ask("STARTTLS", "STARTTLS", 220)
                await self._encrypt()
                extensions = await self._greet()
            if self._receiver.username:
                await self._log_in(extensions)
            await self._ask("MAIL", f"MAIL FROM:<{email.from_}>", 250)
            refusals = await self._refused_recipients()
            await self._ask("DATA", "DATA", 354)
            await self._send(_stuffed(mail.as_bytes()) + b".\r\n")
            await self._answer("the message", 250)
            if refusals:
                _log_refused(mail, len(refusals), len(email.to), {each.code for each in refusals})
            # The mail is delivered. Whether the server says goodbye no longer matters.
            await self._send(b"QUIT\r\n")
        finally:
            if self._transport:
                self._transport.close()

    async def _refused_recipients(self) -> list[_Refused]:
        """Name the recipients; returns those refusals that are for good. The other recipients get the mail.

        Raises:
            _Refused: the server says to try again later for one of them, or refuses them all.
        """
        recipients, refusals = self._receiver.email.to, []
        for recipient in recipients:
            try:
                await self._ask("RCPT", f"RCPT TO:<{recipient}>", 250, 251)
            except _Refused as refusal:
                if not refusal.of_message:
                    raise
                refusals.append(refusal)
        if len(refusals) == len(recipients):
            raise refusals[0]
        return refusals

    async def _connect(self, addresses: Sequence[str], tls: ssl.SSLContext | None) -> None:
        """Connect. Raises the error of the last address where none takes a connection."""
        for address in addresses:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._connect_to(address, tls)
            except ssl.SSLError:
                raise  # somebody is there, and is not who it should be
            except OSError:
                if address == addresses[-1]:
                    raise
            else:
                break

    async def _connect_to(self, address: str, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        host, port = self._receiver.email.host, self._receiver.email.port
        protocol = asyncio.StreamReaderProtocol(self._reader)
        self._transport, _ = await loop.create_connection(
            lambda: protocol, address, port, ssl=tls, server_hostname=host if tls else None
        )

    async def _encrypt(self) -> None:
        assert self._transport is not None  # noqa: S101 - it is connected
        self._reader = asyncio.StreamReader(MAX_LINE)
        protocol = asyncio.StreamReaderProtocol(self._reader)
        transport = await asyncio.get_running_loop().start_tls(
            self._transport, protocol, self._context, server_hostname=self._receiver.email.host
        )
        assert transport is not None  # noqa: S101 - it is None only if the transport is closed
        protocol.connection_made(transport)
        self._transport = transport

    async def _greet(self) -> dict[str, str]:
        """The server's extensions, with their parameters."""
        lines = await self._ask("EHLO", "EHLO scanplan-operator.invalid", 250)
        words = [line.upper().split(maxsplit=1) for line in lines[1:]]
        return {each[0]: each[1] if len(each) > 1 else "" for each in words if each}

    async def _log_in(self, extensions: dict[str, str]) -> None:
        mechanisms = extensions.get("AUTH", "").split()
        username, password = (each.encode() for each in (self._receiver.username, self._receiver.password))
        if "PLAIN" in mechanisms:
            response = _encoded(b"\0".join((b"", username, password)))
            await self._ask("AUTH", f"AUTH PLAIN {response}", 235)
        elif "LOGIN" in mechanisms:
            await self._ask("AUTH", "AUTH LOGIN", 334)
            await self._ask("AUTH", _encoded(username), 334)
            await self._ask("AUTH", _encoded(password), 235)
        else:
            raise _Unsupported("the mail server offers no login by PLAIN or LOGIN")

    async def _ask(self, command: str, line: str, *expected: int) -> list[str]:
        await self._send(f"{line}\r\n".encode())
        return await self._answer(command, *expected)

    async def _send(self, content: bytes) -> None:
        assert self._transport is not None  # noqa: S101 - it is connected
        self._transport.write(content)

    async def _answer(self, command: str, *expected: int) -> list[str]:
        """The lines of an answer, without their codes."""
        lines: list[str] = []
        while len(lines) < MAX_LINES:
            line = await self._reader.readuntil(b"\n")
            code, mark, text = line[:3], line[3:4], line[4:]
            if not code.isdigit():
                break
            lines.append(text.decode("ascii", "replace").strip())
            if mark != b"-":
                if int(code) not in expected:
                    raise _Refused(command, int(code))
                return lines
        raise _Unsupported("the mail server speaks no SMTP")


def _log_refused(mail: EmailMessage, refused: int, recipients: int, codes: set[int]) -> None:
    log.warning(
        "mail %s: the mail server refuses %d of %d recipients (%s), who do not get it: check email.to of the ScanNotifier",
        mail["Message-ID"],
        refused,
        recipients,
        ", ".join(map(str, sorted(codes))),
    )


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _stuffed(content: bytes) -> bytes:
    """A message whose lines never are the single dot that ends it (RFC 5321, 4.5.2)."""
    return _DOT.sub(b"..", content)
