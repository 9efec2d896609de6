"""Why an export did not go through, and what an answer of a receiver means."""

from __future__ import annotations

from datetime import UTC, datetime

from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.egress.answers import seconds_of


class Trouble(Exception):
    """An export was not taken. The message has no word of the receiver, and none of a Secret."""

    def __init__(self, reason: Reason, message: str, *, temporary: bool = False, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.reason = reason
        self.temporary = temporary
        """Another attempt may succeed."""
        self.retry_after = retry_after
        """Seconds that the receiver asks for."""


def is_busy(status: int) -> bool:
    """Whether a server answers so while it is overloaded or out of service: another attempt may succeed."""
    return status >= 500 or status in {408, 425, 429}


def refused(status: int, retry_after: str, what: str = "") -> Trouble:
    """What an answer other than success means.

    Args:
        what: was sent, where an export takes several requests.
    """
    of = f" to {what}" if what else ""
    if 300 <= status < 400:
        message = f"the receiver answered {status}{of}: redirects are not followed; put the final URL into the export"
        return Trouble(Reason.RECEIVER_REFUSED, message)
    return Trouble(
        Reason.RECEIVER_REFUSED,
        f"the receiver answered {status}{of}",
        temporary=is_busy(status) or status == 409,  # a repetition gets 409 while its first request is at work
        retry_after=seconds_of(retry_after, datetime.now(UTC)) if status in {429, 503} else 0.0,
    )
