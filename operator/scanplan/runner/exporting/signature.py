"""AWS Signature Version 4 of a request to S3, in headers.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)
    """Of a session; empty: none."""


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    digest: str,
    credentials: Credentials,
    region: str,
    now: datetime,
) -> dict[str, str]:
    """The headers of a request with its signature.

    Args:
        url: with a path that is quoted already, and without query.
        headers: by names in lower case; all are signed.
        digest: SHA-256 of the body in hex.
        now: in UTC.
    """
    parts = urlsplit(url)
    time, scope = f"{now:%Y%m%dT%H%M%SZ}", f"{now:%Y%m%d}/{region}/s3/aws4_request"
    sent = {**headers, "x-amz-content-sha256": digest, "x-amz-date": time}
    if credentials.token:
        sent["x-amz-security-token"] = credentials.token
    signed = dict(sorted({**sent, "host": _host(parts.scheme, parts.hostname or "", parts.port)}.items()))
    names = ";".join(signed)
    request = "\n".join(
        (method, parts.path or "/", "", *(f"{name}:{' '.join(value.split())}" for name, value in signed.items()), "")
    )
    request = f"{request}\n{names}\n{digest}"
    text = "\n".join((_ALGORITHM, time, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    result = hmac.new(key, text.encode(), "sha256").hexdigest()
    value = f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={result}"
    return {**sent, "authorization": value}


def _host(scheme: str, host: str, port: int | None) -> str:
    """The Host header as the client sends it: without the scheme's own port."""
    name = f"[{host}]" if ":" in host else host
    return name if port in {None, {"http": 80, "https": 443}[scheme]} else f"{name}:{port}"
