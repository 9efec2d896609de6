"""The interface by which others hear of the operator's work. Metrics and Redis use it; the controller knows neither."""

from __future__ import annotations

from datetime import datetime

from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.core.planning.task import Plan


class Observer:
    """Is told by the controller what has happened. Override what you want to hear of; no method may block or raise."""

    def plan_changed(self, before: Plan | None, after: Plan | None, now: datetime) -> None:
        """The cluster has another version of a plan.

        Args:
            before: the plan as it was known; None: it is new.
            after: the plan as it is now; None: it is deleted.
            now: the API server's time.
        """

    def reconciled(self, seconds: float, error: Exception | None) -> None:
        """A reconcile has ended after so many seconds; `error`: it failed, and is tried again."""

    def message_tried(self, result: Reason) -> None:
        """An attempt to send a message of a notifier has ended: `Delivered`, or why not."""

    def status_written(self, plan: Plan, status: ScanPlanStatus) -> None:
        """A status was written; `plan` is as it was before."""
