"""What this process remembers of its own acts: no list of the API server brings it back after a restart."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from scanplan.controller.engine.workqueue import ObjectName


@dataclass(slots=True)
class OwnActs:
    """Each field says what a restart loses with it: at most a look or a write more, never a scan, a finding or a status."""

    written: dict[ObjectName, datetime] = field(default_factory=dict)
    """When each plan's status was last written. Lost: a plan's progress may be written once before its time."""
    documented: set[str] = field(default_factory=set)
    """UIDs of Jobs whose task document was stored. Lost: the document of a Job that no status names yet is stored again."""
    admissions: dict[str, bool] = field(default_factory=dict)
    """What Kueue was last told, by Job UID. Lost: a held Job's Workload is looked at again, and told the same."""
    altered: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What admission changed of Jobs, by UID. Lost: only what no status has told yet. Where the first status of a Job is written
    after the restart, its condition `AdmissionChanged` names no more than the mutable fields."""
    starting: defaultdict[str, dict[str, ObjectName]] = field(default_factory=lambda: defaultdict(dict))
    """By namespace, the Jobs that are being made or resumed, and for which plan: each holds a slot already. Lost: nothing, since
    the first list shows what came of them."""

    def forget_plan(self, name: ObjectName) -> None:
        """A plan is gone."""
        self.written.pop(name, None)

    def forget_job(self, uid: str) -> None:
        """A Job is gone."""
        self.documented.discard(uid)
        self.admissions.pop(uid, None)
        self.altered.pop(uid, None)
