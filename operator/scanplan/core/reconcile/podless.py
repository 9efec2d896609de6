"""A Job that is to run and has no pod: how long that is ordinary, and what is said of it then."""

from __future__ import annotations

from datetime import datetime

from scanplan.core.observed.jobs import JobView
from scanplan.core.reconcile.context import START_SECONDS

UNSEEN_SECONDS = 60.0
"""After this, the status says that the Job controller has not begun with the Job. With hundreds of Jobs at once it takes long."""


def ordinary_for(job: JobView, now: datetime) -> float:
    """Seconds for which it is still ordinary; 0 or less: it is time to say so."""
    age = (now - (job.start_time or job.created)).total_seconds()
    return (START_SECONDS if job.start_time else UNSEEN_SECONDS) - age


def words(job: JobView) -> str:
    """What is said of it."""
    if not job.start_time:
        return "Kubernetes' Job controller has not begun with the Job: it has much to do, or kube-controller-manager is down"
    return "the Job has no pod yet; a policy, a quota or Pod Security may refuse it: the Job's events say so"
