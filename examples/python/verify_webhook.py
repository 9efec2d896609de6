"""Verifies messages of a ScanNotifier's webhook (https://www.standardwebhooks.com), with nothing but Python."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping

MOST_SECONDS = 300
"""Between the time of a message and now; what is older may have been recorded by somebody."""


def is_genuine(key: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether a message is from the operator, and of now.

    Args:
        key: the signing key, as the Secret has it: whsec_ and base64.
        headers: of the request, with names in small letters.
        body: of the request, as it came.
    """
    if abs(time.time() - int(headers["webhook-timestamp"])) > MOST_SECONDS:
        return False
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.digest(base64.b64decode(key.removeprefix("whsec_")), signed, hashlib.sha256)
    expected = base64.b64encode(digest).decode()
    given = (each.partition(",")[2] for each in headers["webhook-signature"].split(" "))
    return any(hmac.compare_digest(expected, each) for each in given)
