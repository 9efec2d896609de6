"""Makes the runner's task document from a plan of the library. Artifacts go to this machine instead of a claim."""

from __future__ import annotations

from datetime import datetime, timedelta

from scanplan.api.documents.task import RetryLimits, TaskDocument
from scanplan.api.documents.words import LOCAL_NAMESPACE, PlanReference, Severity
from scanplan.api.times import format_time
from scanplan.client.models import ScanPlan, generate_task_key
from scanplan.client.settings import ClientSettings
from scanplan.core.planning import keys, shards
from scanplan.core.planning.nuclei.selection_options import chosen
from scanplan.core.planning.targets import endpoints


def check(plan: ScanPlan, settings: ClientSettings) -> None:
    """Refuse a plan that can't be run, before anything is queued.

    Raises:
        InvalidPlan: an endpoint that can't be parsed, or that the target guard refuses.
    """
    settings.guard().check(endpoints.canonical_all(plan.endpoints))


def build(plan: ScanPlan, settings: ClientSettings, first_seen: datetime) -> TaskDocument:
    """The plan's task document.

    Args:
        first_seen: when the task was submitted, the same for all of its attempts. Shards that were published before this time minus
            the idempotency window are scanned again.

    Raises:
        InvalidPlan: as `check`.
    """
    check(plan, settings)
    targets = endpoints.canonical_all(plan.endpoints)
    key = generate_task_key(plan)
    not_before = first_seen - timedelta(seconds=settings.idempotency_window)
    return TaskDocument(
        key=key,
        project_id=plan.project_id,
        run_id=plan.run_id,
        plan=PlanReference(namespace=LOCAL_NAMESPACE, name=keys.job_name(key)),
        endpoints=targets,
        shards=shards.shard_count(targets, settings.max_endpoints_per_shard),
        templates=tuple(sorted(set(plan.templates))),
        severity_levels=tuple(Severity(level) for level in sorted(set(plan.severity_levels))),
        workflows=tuple(sorted(set(plan.selection.workflows))),
        profile=plan.selection.profile or "",
        automatic=plan.selection.automatic,
        include=chosen(plan.selection.include),
        exclude=chosen(plan.selection.exclude),
        retry=RetryLimits(temporary=settings.retry_temporary, unknown=settings.retry_unknown),
        timeout_seconds=settings.task_timeout,
        denied_targets=settings.guard().entries,
        unguarded_protocols=settings.unguarded_protocols,
        replay_not_before=format_time(not_before),
    )
