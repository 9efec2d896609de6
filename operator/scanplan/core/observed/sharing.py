"""A task that another cluster has taken, where several clusters share their tasks."""

from __future__ import annotations

from dataclasses import dataclass

from scanplan.api.documents.report import MergedResult


@dataclass(frozen=True, slots=True)
class OtherCluster:
    """Another cluster runs the same task, or has lately brought it to a complete end."""

    cluster: str
    claim: str
    """The PersistentVolumeClaim there, in the namespace of the same name."""
    result: MergedResult | None
    """None as long as it runs."""
