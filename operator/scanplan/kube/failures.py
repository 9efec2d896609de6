"""Failures of requests to the API server, and the server's own messages about them."""

from __future__ import annotations

import contextlib
from http import HTTPStatus

import aiohttp
from kubernetes.aio.client import ApiException

from scanplan.kube import refusal


class ResponseTooLarge(OSError):
    """An answer has more bytes than we read into memory."""


UNREACHABLE = (aiohttp.ClientError, OSError)
"""The errors where no answer came. A TimeoutError is an OSError."""
FAILURES = (ApiException, *UNREACHABLE)
"""The errors of a request that was refused or had no answer."""


def message_of(error: ApiException) -> str:
    """The message of the API server's Status, which says what is wrong with a request."""
    return refusal.read(error.status or 0, error.body or "", otherwise=f"{error.status} {error.reason}").message


def reason_of(error: Exception) -> str:
    """One line for the log that says what went wrong."""
    return message_of(error) if isinstance(error, ApiException) else repr(error)


def is_forbidden(error: Exception) -> bool:
    """Whether the request is refused for want of a right, as in a namespace that is gone with its Role."""
    return isinstance(error, ApiException) and error.status == HTTPStatus.FORBIDDEN


def retry_after(error: Exception) -> float:
    """Seconds to wait, from the server's Retry-After (with 429 and 503); 0 where it sent none."""
    headers = getattr(error, "headers", None) or {}
    with contextlib.suppress(ValueError):
        return float(headers.get("Retry-After", 0))
    return 0.0
