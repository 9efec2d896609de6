"""The known runs of schedules, by the schedule that owns them: a few words about each, for thousands of plans."""

from __future__ import annotations

from collections import defaultdict

from scanplan.controller.engine.workqueue import ObjectName
from scanplan.core.planning.task import Plan
from scanplan.core.schedule.schedule import Run, run_of


class Runs:
    """To be changed by `put` and `drop` alone."""

    def __init__(self) -> None:
        self._runs: defaultdict[tuple[str, str], dict[str, Run]] = defaultdict(dict)
        """By namespace and UID of the schedule, then by the plan's name."""
        self._owners: dict[ObjectName, tuple[str, str]] = {}

    def of(self, namespace: str, uid: str) -> tuple[Run, ...]:
        """The runs of one schedule."""
        return tuple(self._runs.get((namespace, uid), {}).values())

    def supersede(self, plan: Plan) -> bool:
        """Whether the plan is a run of a schedule that has made a later one."""
        if not plan.schedule:
            return False
        runs = self._runs.get((plan.namespace, plan.schedule.uid), {})
        return any((run.created, run.name) > (plan.created, plan.name) for run in runs.values())

    def put(self, plan: Plan) -> None:
        """Take in a plan, in place of the one that had its name."""
        name = ObjectName(plan.namespace, plan.name)
        self.drop(name)
        if plan.schedule:
            owner = (plan.namespace, plan.schedule.uid)
            self._owners[name] = owner
            self._runs[owner][plan.name] = run_of(plan)

    def drop(self, name: ObjectName) -> None:
        """Forget a plan, if it is a run."""
        owner = self._owners.pop(name, None)
        if owner:
            del self._runs[owner][name.name]
            if not self._runs[owner]:
                del self._runs[owner]
