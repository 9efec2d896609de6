"""Whatever crashes, users and clocks do, in whatever order: no time has two runs, and none is passed over in silence.

Hypothesis drives two operators that share one API server. Each has a view of its own, which may be old, and may die before or
after each of its writes. The server has what a real one has: names as locks, and versions that refuse an old status.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from scanplan.api import labels
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanschedule import ScanScheduleSpec, StartReason
from scanplan.core.schedule.decision import Act, CancelRun, CreateRun, DeleteRun, Observed, Write
from scanplan.core.schedule.names import reason_of, time_of
from scanplan.core.schedule.reconcile import reconcile
from scanplan.core.schedule.schedule import Run, Schedule
from tests.unit.core.schedule.objects import TEMPLATE, ZONES, at, schedule

MINUTE = timedelta(minutes=1)
EDITS: list[dict[str, Any]] = [
    {"suspend": True},
    {"suspend": False},
    {"schedule": "*/2 * * * *"},
    {"schedule": "* * * * *"},
    {"concurrencyPolicy": "Replace"},
    {"concurrencyPolicy": "Allow"},
    {"concurrencyPolicy": "Forbid"},
    {"trigger": "one"},
    {"trigger": "two"},
    {"spreadSeconds": 30},
    {"spreadSeconds": 0},
    {"rescanOn": ["TemplatesChanged"]},
    {"rescanOn": []},
]


class Server:
    """What the API server has."""

    def __init__(self) -> None:
        self.now = at("01:30")
        self.templates = 0
        """How often they were changed."""
        self.schedule: Schedule = schedule(schedule="* * * * *", startingDeadlineSeconds=120)
        self.runs: dict[str, Run] = {}
        self.made: list[str] = []
        """The names of all runs that were ever made."""
        self.unrecorded: set[str] = set()
        """Runs that were deleted by a user before any status told of them: nobody can know that they were."""

    def create(self, action: CreateRun) -> None:
        name = action.name
        if name not in self.runs:
            self.made.append(name)
            templates = action.manifest["metadata"]["annotations"].get(labels.TEMPLATES_DIGEST, "")
            self.runs[name] = Run(name=name, uid=f"uid-{len(self.made)}", created=self.now, templates=templates)

    def write(self, seen: Schedule, decision: Write) -> None:
        if decision.status and seen.resource_version == self.schedule.resource_version:
            self.changed(status=decision.status)

    def changed(self, **fields: Any) -> None:
        version = str(int(self.schedule.resource_version) + 1)
        self.schedule = replace(self.schedule, resource_version=version, **fields)


class Operator:
    """One process with its own, perhaps old, view."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.look()

    def look(self) -> None:
        self.schedule, self.runs = self.server.schedule, dict(self.server.runs)

    def work(self, writes: int) -> bool:
        """Work until at rest, or until it dies after so many writes; whether it came to rest."""
        for _ in range(writes):
            templates = str(self.server.templates)
            observed = Observed(
                schedule=self.schedule, runs=tuple(self.runs.values()), zones=ZONES, templates=templates
            )
            decision = reconcile(observed, self.server.now)
            if isinstance(decision, Write):
                self.server.write(self.schedule, decision)
                fresh = self.schedule.resource_version == self.server.schedule.resource_version
                self.look()
                if decision.status is None and fresh:
                    return True
                continue
            self.act(decision)
        self.look()  # it died, and its successor lists everything
        return False

    def act(self, decision: Act) -> None:
        for action in decision.actions:
            match action:
                case CreateRun():
                    if self.schedule.resource_version != self.server.schedule.resource_version:
                        self.look()  # as `_is_fresh` does before a POST
                        return
                    self.server.create(action)
                    self.runs[action.name] = self.server.runs[action.name]
                case CancelRun(run):
                    if run.name in self.server.runs:
                        self.server.runs[run.name] = replace(self.server.runs[run.name], cancelled=True)
                    self.look()
                case DeleteRun(run):
                    found = self.server.runs.get(run.name)
                    if found and found.uid == run.uid:
                        assert found.ended, "history never deletes a run that is at work"
                        del self.server.runs[run.name]
                    self.runs.pop(run.name, None)


class Schedules(RuleBasedStateMachine):
    """The life of one schedule."""

    @initialize()
    def start(self) -> None:
        self.server = Server()
        self.operators = [Operator(self.server), Operator(self.server)]
        self.settled: datetime | None = None

    @rule(which=st.integers(0, 1), writes=st.integers(0, 6))
    def work(self, which: int, writes: int) -> None:
        self.operators[which].work(writes)

    @rule(which=st.integers(0, 1))
    def hear(self, which: int) -> None:
        self.operators[which].look()

    @rule(seconds=st.sampled_from([1, 29, 30, 60, 60, 119, 300, 7200, -1, -61, -3600]))
    def time(self, seconds: int) -> None:
        self.server.now += timedelta(seconds=seconds)

    @rule(change=st.sampled_from(EDITS))
    def edit(self, change: dict[str, Any]) -> None:
        of = self.server.schedule
        spec = {**of.spec.model_dump(by_alias=True, exclude_unset=True), "template": TEMPLATE, **change}
        self.server.changed(spec=ScanScheduleSpec.model_validate(spec), generation=of.generation + 1)

    @rule()
    def templates_change(self) -> None:
        self.server.templates += 1

    @rule(data=st.data(), phase=st.sampled_from([Phase.COMPLETED, Phase.COMPLETED, Phase.FAILED]))
    def scan_ends(self, data: st.DataObject, phase: Phase) -> None:
        active = sorted(name for name, run in self.server.runs.items() if not run.ended)
        if active:
            name = data.draw(st.sampled_from(active))
            run = self.server.runs[name]
            ended = Phase.CANCELLED if run.cancelled else phase
            self.server.runs[name] = replace(run, phase=ended, ended=True, completed=self.server.now)

    @rule(data=st.data())
    def user_deletes(self, data: st.DataObject) -> None:
        if self.server.runs:
            name = data.draw(st.sampled_from(sorted(self.server.runs)))
            del self.server.runs[name]
            time, last = time_of("nightly", name), self.server.schedule.status.last_schedule_time
            if time is None or last is None or datetime.fromisoformat(last) < time:
                self.server.unrecorded.add(name)

    @invariant()
    def no_time_has_two_runs(self) -> None:
        twice = {name for name in self.server.made if self.server.made.count(name) > 1}
        assert twice <= self.server.unrecorded | {name for name in twice if time_of("nightly", name) is None}

    @invariant()
    def a_change_of_templates_starts_one_run(self) -> None:
        rescans = [name for name in self.server.made if reason_of("nightly", name) is StartReason.TEMPLATES_CHANGED]
        assert len(set(rescans)) <= self.server.templates

    def teardown(self) -> None:
        """At the end all comes to rest: no more than one turn for each thing that is left to do."""
        if not hasattr(self, "server"):
            return
        operator = self.operators[0]
        operator.look()
        for _ in range(50):
            if operator.work(10):
                break
        else:
            raise AssertionError("it does not come to rest")
        self.none_is_passed_over_in_silence()

    def none_is_passed_over_in_silence(self) -> None:
        """After a quiet stretch, each of its minutes has its run or is counted."""
        server, operator = self.server, self.operators[0]
        of = server.schedule
        spec = {
            "schedule": "* * * * *",
            "template": TEMPLATE,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 120,
        }
        server.changed(spec=ScanScheduleSpec.model_validate(spec), generation=of.generation + 1)
        last = of.status.last_schedule_time
        server.now = max(server.now, datetime.fromisoformat(last) if last else server.now) + 2 * MINUTE
        operator.look()
        operator.work(50)
        begin = server.schedule.status
        made = len([name for name in server.made if time_of("nightly", name)])
        for pause in (1, 5, 1, 1):
            server.now += pause * MINUTE
            operator.work(1)  # it dies after its first write
            operator.work(50)
            for name, run in list(server.runs.items()):
                if pause == 5:
                    server.runs[name] = replace(run, phase=Phase.COMPLETED, ended=True, completed=server.now)
            operator.look()
            operator.work(50)
        status = server.schedule.status
        runs = len([name for name in server.made if time_of("nightly", name)]) - made
        missed = (status.missed or 0) - (begin.missed or 0)
        skipped = (status.skipped or 0) - (begin.skipped or 0)
        # A clock that went back by less than ten minutes has left a next time a little ahead: its minutes had been decided about.
        assert begin.next_schedule_time
        expected = (server.now - datetime.fromisoformat(begin.next_schedule_time)) // MINUTE + 1
        assert runs + missed + skipped == expected, (runs, missed, skipped)


TestSchedules = Schedules.TestCase
TestSchedules.settings = settings(max_examples=150, stateful_step_count=30)
