"""One POST to a receiver. No redirect is followed, and no byte of an answer's body is read: its status is all that counts."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime

import aiohttp

import scanplan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.egress.answers import seconds_of
from scanplan.core.egress.policy import DENIED, ReceiverPolicy
from scanplan.core.notify.decision import Trouble
from scanplan.core.notify.receivers import HttpReceiver
from scanplan.senders.addresses import CheckedResolver

SECONDS = 15.0
"""Limit of one attempt: a receiver that hangs is tried again later."""
CONNECT_SECONDS = 5.0
MAX_HEADER = 8_190
"""Bytes of one line of an answer's head."""
_OF_MESSAGE = {400, 405, 406, 409, 411, 413, 414, 415, 422, 431}
"""Answers that are about this message rather than about the receiver."""


async def post(
    receiver: HttpReceiver,
    body: bytes,
    headers: Mapping[str, str],
    policy: ReceiverPolicy,
    context: ssl.SSLContext,
    seconds: float = SECONDS,
) -> Trouble | None:
    """Send a message; returns why it was not taken. No word of it is the receiver's or names it."""
    resolver = CheckedResolver(policy)
    connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, force_close=True, ssl=context)
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                max_line_size=MAX_HEADER,
                max_field_size=MAX_HEADER,
                timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS),
            ) as session,
            session.post(
                receiver.url,
                data=body,
                headers={"User-Agent": f"scanplan-operator/{scanplan.__version__}", **headers},
                allow_redirects=False,
            ) as response,
        ):
            return answered(response.status, response.headers.get("Retry-After", ""), datetime.now(UTC))
    except TimeoutError:
        return unreachable("the receiver did not answer in time")
    except aiohttp.ClientConnectorCertificateError:
        return unreachable("the receiver's certificate can't be trusted")
    except aiohttp.ClientSSLError:
        return unreachable("no TLS connection to the receiver could be made")
    except aiohttp.ClientConnectorError:
        if resolver.denied:
            return Trouble(Reason.RECEIVER_DENIED, DENIED, lasting=True)
        return unreachable("no connection to the receiver could be made")
    except (aiohttp.ClientError, OSError, ValueError):
        return unreachable("the receiver closed the connection, or answered no HTTP")


def unreachable(message: str) -> Trouble:
    """No answer came."""
    return Trouble(Reason.RECEIVER_UNREACHABLE, message)


def answered(status: int, retry_after: str, now: datetime) -> Trouble | None:
    """What an answer means."""
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        message = f"the receiver answered {status}: redirects are not followed; put the final URL into the Secret"
        return Trouble(Reason.RECEIVER_REFUSED, message)
    return Trouble(
        Reason.RECEIVER_REFUSED,
        f"the receiver answered {status}",
        of_message=status in _OF_MESSAGE,
        retry_after=seconds_of(retry_after, now) if status in {429, 503} else 0.0,
    )
