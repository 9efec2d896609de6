"""The task of a collector, which merges what a scan's pods have left on the claim.

ConfigMaps, Secrets, discovered objects and the owner's defaults may have changed or gone since the scan began. So a collector
reads none of them: it keeps the key of the scan, and finds endpoints, shards and templates on the claim (`layout.SCOPE`).
"""

from __future__ import annotations

from datetime import datetime

from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import PlanReference
from scanplan.core.planning import keys, sources
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.task import Plan, Resolution, Task


def needed(earlier: Resolution) -> sources.Reference:
    """The one object that `task` asks for."""
    return sources.Reference(sources.Kind.CLAIM, earlier.claim)


def task(plan: Plan, policy: Policy, first_seen: datetime, inputs: sources.Inputs, earlier: Resolution) -> Task:
    """What a collector is made of. No bound on scans can forbid it to save what was found before.

    Args:
        first_seen: as of the scan's Job; shards that were published more than a window earlier are none of its.

    Raises:
        InputUnavailable: the claim is not there.
    """
    document = TaskDocument(
        key=earlier.key,
        project_id=plan.project_id,
        run_id=plan.run_id,
        plan=PlanReference(namespace=plan.namespace, name=plan.name),
        endpoints=(),
        confidential=sources.are_confidential(plan.spec),
        templates=(),
        replay_not_before=policy.replay_not_before(first_seen),
    )
    return Task(
        key=earlier.key,
        job_name=keys.job_name(earlier.key),
        image=earlier.image,
        claim=earlier.claim,
        first_seen=first_seen,
        templates_from=(),
        requests_from="",
        secrets={},
        endpoints_file=None,
        one_node_only=sources.one_node_only(earlier.claim, inputs),
        document=document,
    )
