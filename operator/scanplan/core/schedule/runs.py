"""Builds the ScanPlan that a run is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from scanplan.api import labels
from scanplan.api.times import format_time
from scanplan.core.schedule.names import suffix_of
from scanplan.core.schedule.schedule import Schedule


def build(schedule: Schedule, name: str, time: datetime | None, templates: str = "") -> dict[str, Any]:
    """The ScanPlan of this name, made from the template as it is now.

    Labels and annotations of the schedule itself are not copied: GitOps tools would take the run for an object of their own.

    Args:
        time: that it is made for; None: it was triggered.
        templates: digest of the images that hold its templates; empty: it is not asked for.
    """
    template = schedule.spec.template
    annotations = {
        **template.metadata.annotations,
        **({labels.SCHEDULED_AT: format_time(time)} if time else {}),
        **({labels.TEMPLATES_DIGEST: templates} if templates else {}),
    }
    return {
        "apiVersion": labels.API_VERSION,
        "kind": labels.KIND,
        "metadata": {
            "name": name,
            "namespace": schedule.namespace,
            "labels": {**template.metadata.labels, labels.SCHEDULE: schedule.name},
            "annotations": annotations,
            "ownerReferences": [
                {
                    "apiVersion": labels.API_VERSION,
                    "kind": labels.SCHEDULE_KIND,
                    "name": schedule.name,
                    "uid": schedule.uid,
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": {
            **_windows(schedule),
            **template.spec.model_dump(mode="json", by_alias=True, exclude_unset=True),
            "runId": schedule.name,
            "rerun": suffix_of(name),
        },
    }


def _windows(schedule: Schedule) -> dict[str, Any]:
    """The schedule's windows, which the template's own replace."""
    given = [each.model_dump(mode="json", by_alias=True, exclude_unset=True) for each in schedule.spec.windows]
    return {"windows": given} if given else {}
