"""What the API server says where it refuses a request: a Status object, or the words of a proxy in between.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
"""

from __future__ import annotations

import json
from typing import NamedTuple

_SHOWN = 500
"""Characters of a proxy's answer that a message repeats."""


class Refusal(NamedTuple):
    """Why a request was refused."""

    code: int
    """The HTTP status, 400 or above."""
    message: str
    """The server's own words; ``HTTP 502`` and the like where there are none."""
    name: str = ""
    """The name of the object that it is about; empty where the whole kind is missing."""
    reason: str = ""
    """The server's word for the cause, such as ``AlreadyExists``; empty where it gives none."""


def read(code: int, content: bytes | str, otherwise: str = "") -> Refusal:
    """The refusal that an answer means, whoever has sent it.

    Args:
        code: the HTTP status, 400 or above.
        content: the body, of any size and form.
        otherwise: the message where the body is no Status; by default the first 500 characters of the body.
    """
    try:
        status = json.loads(content)
        details = status.get("details") or {}
        return Refusal(code, str(status["message"]), str(details.get("name") or ""), str(status.get("reason") or ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        text = content if isinstance(content, str) else content.decode(errors="replace")
        return Refusal(code, otherwise or text.strip()[:_SHOWN] or f"HTTP {code}")
