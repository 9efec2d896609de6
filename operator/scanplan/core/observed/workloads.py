"""What the core sees of Kueue's Workloads, each of which stands for a Job that waits for its admission.

Kueue says in the condition QuotaReserved why a Workload is not admitted: no quota, a queue that is not there, or a deactivation
(https://kueue.sigs.k8s.io/docs/concepts/workload/).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scanplan.core.observed import fields
from scanplan.core.observed.fields import Object

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
    conditions = fields.items(fields.mapping(workload, "status"), "conditions")
    words = next((fields.text(each, "message") for each in conditions if _keeps_it_waiting(each)), "")
    active = fields.mapping(workload, "spec").get("active", True) is not False
    return WorkloadView(active=active, waits_for=words[:_MAX_MESSAGE])


def _keeps_it_waiting(condition: Object) -> bool:
    return condition.get("type") == "QuotaReserved" and condition.get("status") == "False"
