"""Maps a failure of a reconcile to the reason and message of the plan's status.

All failures are logged; a status tells only those that last.
"""

from __future__ import annotations

from kubernetes.aio.client import ApiException

from scanplan.api.v1alpha1.conditions import Reason
from scanplan.kube.failures import UNREACHABLE, message_of

TOLD_AFTER = 5
"""Failures in a row after which one is told that may pass by itself; some three seconds."""
_REFUSED = {400, 403, 422}
"""Answers that stay the same until somebody changes something."""


class NoFixedPoint(Exception):
    """Acting on a plan's decisions led to ever more of them."""


def told(error: Exception, failures: int) -> tuple[Reason, str] | None:
    """Reason and message for the plan's status; None where the next try may well succeed.

    Args:
        error: what ended the reconcile.
        failures: how many there have been in a row, this one included.
    """
    match error:
        case NoFixedPoint():
            message = f"{error}; something else may change the Job back; trying again"
            return Reason.NO_FIXED_POINT, message
        case ApiException():
            message = message_of(error)
            lasting = error.status in _REFUSED or (error.status == 500 and "webhook" in message)
            if not lasting and failures < TOLD_AFTER:
                return None
            return (
                Reason.API_REQUEST_FAILED,
                f"the API server refuses a request of the operator: {message}; trying again",
            )
        case _ if isinstance(error, UNREACHABLE):
            return None  # neither would the status be written
        case _:
            # Its words may come from a Secret.
            message = f"the operator failed with {type(error).__name__}: its log says more; trying again"
            return Reason.INTERNAL_ERROR, message
