"""Failures of requests to the API server, and the server's own messages about them."""

from __future__ import annotations

import contextlib
import json

import aiohttp
from kubernetes.aio.client import ApiException


class ResponseTooLarge(OSError):
    """An answer has more bytes than are taken into memory."""


UNREACHABLE = (aiohttp.ClientError, OSError)
"""No answer came; a TimeoutError is an OSError."""
FAILURES = (ApiException, *UNREACHABLE)
"""A request was refused, or had no answer."""


def message_of(error: ApiException) -> str:
    """The message of the API server's Status, which says what is wrong with a request."""
    try:
        return str(json.loads(error.body or "")["message"])
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"


def reason_of(error: Exception) -> str:
    """What went wrong, in a line for the log."""
    return message_of(error) if isinstance(error, ApiException) else repr(error)


def retry_after(error: Exception) -> float:
    """Seconds that the server asked us to wait (429 and 503 may); 0: it didn't."""
    headers = getattr(error, "headers", None) or {}
    with contextlib.suppress(ValueError):
        return float(headers.get("Retry-After", 0))
    return 0.0
