"""What the core sees of Kueue's Workloads, each of which stands for a Job that waits for its admission.

Kueue says in the condition QuotaReserved why a Workload is not admitted: no quota, a queue that is not there, or a deactivation
(https://kueue.sigs.k8s.io/docs/concepts/workload/).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_MAX_MESSAGE = 512
"""Characters that are kept of Kueue's words."""


@dataclass(frozen=True, slots=True)
class WorkloadView:
    """The Workload of a Job."""

    found: bool = True
    """False: Kueue has made none, or isn't there."""
    active: bool = True
    """False: deactivated, by a person, by Kueue, or by this operator for a suspended plan."""
    waits_for: str = ""
    """Kueue's words about why it is not admitted."""


NOT_FOUND = WorkloadView(found=False)


def workload_view(workload: dict[str, Any] | None) -> WorkloadView:
    """View of a Workload as the API returns it; None: there is none."""
    if workload is None:
        return NOT_FOUND
    conditions = workload.get("status", {}).get("conditions") or ()
    words = next((each.get("message") for each in conditions if _keeps_it_waiting(each)), "")
    return WorkloadView(
        active=workload.get("spec", {}).get("active", True) is not False, waits_for=str(words or "")[:_MAX_MESSAGE]
    )


def _keeps_it_waiting(condition: dict[str, Any]) -> bool:
    return condition.get("type") == "QuotaReserved" and condition.get("status") == "False"
