"""A file of endpoints that is an object of an S3 server: one GET, whose body is read once and kept nowhere.

It goes to a checked address, without redirects, as exports do. No message has a word of the answer, or of the Secret.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from scanplan.api.documents.task import Bucket, EndpointsFile
from scanplan.api.errors import ClaimError, ScanError, TemporaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.egress.policy import ReceiverPolicy
from scanplan.core.planning.targets.guard import Guard
from scanplan.runner.exporting import s3, signature
from scanplan.runner.exporting.http import Client
from scanplan.runner.exporting.trouble import Trouble, is_busy

MOST_BYTES = 1 << 30
"""Of an object."""
MOST_SECONDS = 1_800.0
"""Of one read, however slowly the server sends."""


class Readable(Protocol):
    """What a body or a file is read by."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; empty: it has ended."""


def read(file: EndpointsFile, bucket: Bucket, guard: Guard, take: Callable[[Readable], None]) -> None:
    """Have `take` read the object.

    Raises:
        TemporaryError: the server was not reached, was busy, or has sent a part of it.
        ClaimError: the object is not there, may not be read, or is too large.
    """
    url = s3.url_of(bucket.endpoint, bucket.name, file.path)
    client = Client(ReceiverPolicy((), guard))
    try:
        headers = _signed(url, bucket) if bucket.secret else {}
        answer = client.request("GET", url, headers, take=lambda response: take(_Body(response)))
    except Trouble as error:
        raise _unread(error) from None
    if answer.status != http.HTTPStatus.OK:
        raise _refused(answer.status)


def _signed(url: str, bucket: Bucket) -> dict[str, str]:
    return signature.sign("GET", url, {}, s3.EMPTY, s3.credentials(bucket.secret), bucket.region, datetime.now(UTC))


class _Body:
    """A body that is bounded in bytes and time. If fewer bytes come than its Content-Length says, reading raises an error."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response
        self._left = MOST_BYTES
        self._end = time.monotonic() + MOST_SECONDS

    def read(self, size: int, /) -> bytes:
        block = self._response.read1(size)
        if not block and self._response.length:
            raise http.client.IncompleteRead(block, self._response.length)
        if time.monotonic() > self._end:
            raise TimeoutError
        self._left -= len(block)
        if self._left < 0:
            raise ClaimError(
                Reason.INPUT_UNAVAILABLE,
                f"The S3 object with the endpoints has more than {MOST_BYTES:,} bytes. Make several objects of it.",
            )
        return block


def _unread(trouble: Trouble) -> ScanError:
    if trouble.temporary:
        return TemporaryError(
            Reason.NETWORK_UNAVAILABLE,
            f"The S3 object with the endpoints could not be read: {trouble}. If it stays so, check s3File.endpoint, the "
            "server's certificate, and the network policies of the namespace.",
        )
    if trouble.reason is Reason.RECEIVER_DENIED:
        return ClaimError(
            Reason.INPUT_UNAVAILABLE,
            "The S3 server's name leads to an address that nothing is sent to. Name another server in s3File.endpoint.",
        )
    return ClaimError(
        Reason.INPUT_UNAVAILABLE,
        f"The S3 object with the endpoints can't be asked for: {trouble}. Correct the Secret of s3File.credentialsFrom, and scan "
        "again.",
    )


def _refused(status: int) -> ScanError:
    told = f"The S3 server answered {status} to the GET of the object with the endpoints"
    if is_busy(status):
        return TemporaryError(Reason.NETWORK_UNAVAILABLE, f"{told}. If it stays so, look at the server.")
    match status:
        case 401 | 403:
            advice = (
                "let the access key of s3File.credentialsFrom read it (without one it must be public), and scan again"
            )
        case 404:
            advice = "correct s3File.bucket and s3File.key, or put the object there, and scan again"
        case _ if 300 <= status < 400:
            advice = "redirects are not followed; correct s3File.endpoint and s3File.region"
        case _:
            advice = "correct s3File.endpoint, bucket, key and region"
    return ClaimError(Reason.INPUT_UNAVAILABLE, f"{told}: {advice}.")
