"""Whatever users, pods, watches and crashes do, in whatever order: one key, one Job, one result, and then silence.

Hypothesis drives the real controller, store and reconcile against the model of `tests.unit.core.model`, request by request:
two operators at once, answers lost, events late, doubled, out of order or never told, processes killed between any two requests.
The model itself refuses a second live Job for a key, a second scan for a plan that has had its result, changes that a real Job
doesn't take, and a Job made while pods of its task are alive. At the end of each run everything is left to come to rest, and
the status of every plan is held against what there is.
"""

from __future__ import annotations

import random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scanplan.api import labels
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.controller.reads.zones import ZONES
from scanplan.core.manifests import jobs
from scanplan.core.reconcile.holding import hold_of
from tests.unit.core import model
from tests.unit.core.process import Operator

PLANS = ("alpha", "beta", "gamma")
NAMES = st.sampled_from(PLANS)

# Spellings of two contents: one endpoint, and two hosts in two shards.
ONE = (["a.example"], ["A.example."], ["a.example", "a.example"])
TWO = (["a.example", "b.example"], ["b.example", "a.example"])
INVALID = ["ftp://a.example"]
AFTERNOON = [{"from": "12:00", "to": "18:00"}]
ALL_DAY = [{"from": "00:00", "to": "24:00"}]
UNREADABLE = [{"from": "12:00", "to": "18:00", "timeZone": "Europe/Atlantis"}]

EDITS: list[dict[str, Any]] = [
    *({"endpoints": endpoints} for endpoints in (*ONE, *TWO, INVALID)),
    {"suspend": True},
    {"suspend": False},
    {"suspend": False, "cancel": False, "endpoints": TWO[0]},
    {"cancel": True},
    {"cancel": False},
    {"windows": AFTERNOON},
    {"windows": ALL_DAY},
    {"windows": UNREADABLE},
    {"windows": []},
    {"priority": 9},
    {"rerun": "again"},
    {"rerun": ""},
    {"sharding": {"maxEndpointsPerShard": 1, "parallelism": 2}},
    {"timeoutSeconds": 60},
    {"deadlineSeconds": 4000},
    {"ttlSecondsAfterFinished": 600},
    {"retry": {"temporary": 0, "unknown": 0}},
]


class Lives(RuleBasedStateMachine):
    """Plans' lives."""

    @initialize(
        operators=st.sampled_from(["one", "one with the lease", "two"]),
        plans=st.lists(st.sampled_from((*ONE, *TWO)), min_size=1, max_size=3),
    )
    def start(self, operators: str, plans: list[list[str]]) -> None:
        self.cluster = model.Cluster()
        self.operators = [Operator(self.cluster, "lease" in operators) for _ in range(2 if operators == "two" else 1)]
        for name, endpoints in zip(PLANS, plans, strict=False):
            self.create(name=name, endpoints=endpoints, edit={})

    # users

    @rule(name=NAMES, endpoints=st.sampled_from((*ONE, *TWO)), edit=st.sampled_from([{}, *EDITS]))
    def create(self, name: str, endpoints: list[str], edit: dict[str, Any]) -> None:
        if name not in self.cluster.plans:
            spec = {
                "projectId": "acme",
                "runId": "nightly",
                "endpoints": endpoints,
                "templates": ["http/"],
                "sharding": {"maxEndpointsPerShard": 1, "parallelism": 1},
                "retry": {"temporary": 1, "unknown": 1},
            }
            self.cluster.create_plan(name, {**spec, **edit})

    @rule(name=NAMES, edit=st.sampled_from(EDITS))
    def edit(self, name: str, edit: dict[str, Any]) -> None:
        if name in self.cluster.plans:
            self.cluster.edit_plan(name, **edit)

    @precondition(lambda self: self.cluster.pods)
    @rule()
    def scans_fail(self) -> None:
        """All that is at work fails for good, and the operators hear of it."""
        for _ in range(4):
            for name in list(self.cluster.pods):
                self.cluster.end_pod(name, "fatal")
            self.cluster.sync_jobs()
            for operator in self.operators:
                operator.queue.ring()
                operator.settle()
            self.cluster.advance(31)

    @precondition(lambda self: self.failed_plans())
    @rule(data=st.data())
    def correct(self, data: st.DataObject) -> None:
        """A plan whose scan has failed is written otherwise, and has the same key."""
        name = data.draw(st.sampled_from(self.failed_plans()))
        before = self.cluster.plans[name]["spec"]["endpoints"]
        spellings = ONE if before in ONE else TWO
        self.cluster.edit_plan(
            name, endpoints=data.draw(st.sampled_from([each for each in spellings if each != before]))
        )

    def failed_plans(self) -> list[str]:
        failed = (name for name, plan in self.cluster.plans.items() if plan["status"].get("phase") == "Failed")
        return [name for name in failed if "completionTime" in self.cluster.plans[name]["status"]]

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        if name in self.cluster.plans:
            self.cluster.delete_plan(name)

    @precondition(lambda self: self.cluster.jobs)
    @rule(data=st.data())
    def delete_job(self, data: st.DataObject) -> None:
        self.cluster.remove_job(data.draw(st.sampled_from(sorted(self.cluster.jobs))))

    # the cluster

    @rule()
    def job_controller(self) -> None:
        self.cluster.sync_jobs()

    @rule()
    def api_server(self) -> None:
        self.cluster.refresh_cache()

    @precondition(lambda self: self.cluster.pods)
    @rule(data=st.data(), ending=st.sampled_from(["start", "ok", "ok", *model.ENDINGS]))
    def pod(self, data: st.DataObject, ending: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.cluster.pods)))
        if ending == "start":
            self.cluster.start_pod(name)
        else:
            self.cluster.end_pod(name, ending)
        self.cluster.sync_jobs()

    @rule()
    def garbage_collector(self) -> None:
        self.cluster.collect_garbage()

    @rule(seconds=st.sampled_from([1, 6, 31, 400, 21_600, 90_000]))
    def time(self, seconds: int) -> None:
        self.cluster.advance(seconds)
        self.cluster.expire()
        for operator in self.operators:
            operator.queue.ring()

    # the operators

    @rule(data=st.data(), again=st.booleans())
    def event(self, data: st.DataObject, again: bool) -> None:
        operator = data.draw(st.sampled_from(self.operators))
        if operator.events:
            operator.deliver(data.draw(st.integers(0, len(operator.events) - 1)), again)

    @rule(data=st.data())
    def lose_event(self, data: st.DataObject) -> None:
        operator = data.draw(st.sampled_from(self.operators))
        if operator.events:
            del operator.events[data.draw(st.integers(0, len(operator.events) - 1))]

    @rule(data=st.data(), steps=st.integers(1, 8))
    def work(self, data: st.DataObject, steps: int) -> None:
        operator = data.draw(st.sampled_from(self.operators))
        operator.begin()
        for _ in range(steps):
            if operator.work:
                operator.step(data.draw(st.integers(0, len(operator.work) - 1)))

    @rule(data=st.data())
    def lose_request_or_answer(self, data: st.DataObject) -> None:
        operator = data.draw(st.sampled_from(self.operators))
        if operator.work:
            operator.step(data.draw(st.integers(0, len(operator.work) - 1)), TimeoutError())

    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.operators)).settle()

    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.operators)).crash()

    @rule(data=st.data())
    def compare(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.operators)).compare()

    @rule(seed=st.integers(0, 2**32), steps=st.integers(1, 60))
    def go_on(self, seed: int, steps: int) -> None:
        """Let everything that can happen by itself happen in some order, requests and events one by one."""
        chance = random.Random(seed)  # noqa: S311 - a replayable order
        for _ in range(steps):
            operator = chance.choice(self.operators)
            match chance.randrange(13):
                case 0:
                    self.cluster.sync_jobs()
                case 12:
                    self.cluster.refresh_cache()
                case 1 | 2 if self.cluster.pods:
                    self.cluster.end_pod(
                        chance.choice(sorted(self.cluster.pods)), chance.choice(["ok", *model.ENDINGS])
                    )
                    self.cluster.sync_jobs()
                case 3 if self.cluster.pods:
                    self.cluster.start_pod(chance.choice(sorted(self.cluster.pods)))
                case 4:
                    self.cluster.collect_garbage()
                case 5:
                    self.cluster.advance(chance.choice([1, 6, 31]))
                    operator.queue.ring()
                case 6 | 7 if operator.events:
                    operator.deliver(chance.randrange(len(operator.events)), again=chance.random() < 0.1)
                case 8:
                    operator.begin()
                case _ if operator.work:
                    operator.step(
                        chance.randrange(len(operator.work)), TimeoutError() if chance.random() < 0.05 else None
                    )

    # what holds

    @invariant()
    def one_live_job_for_a_key(self) -> None:
        keys = [
            job["metadata"]["annotations"][labels.TASK_KEY]
            for job in self.cluster.jobs.values()
            if model.is_scan(job) and not model.is_finished(job)
        ]
        assert len(keys) == len(set(keys))

    def teardown(self) -> None:
        if not hasattr(self, "cluster"):
            return
        self.leave_edges_behind()
        for operator in self.operators:
            operator.compare()
        self.come_to_rest()
        for name, plan in self.cluster.plans.items():
            self.check(name, plan)
        self.check_collectors()
        self.check_silence()

    def leave_edges_behind(self) -> None:
        """Go on to an hour in which no window opens or closes."""
        if any(plan["spec"].get("windows") for plan in self.cluster.plans.values()):
            while self.cluster.now.hour not in {3, 14}:
                self.cluster.advance(3_600)
            self.cluster.expire()

    def come_to_rest(self) -> None:
        """All pods end well, all events arrive, time goes on."""
        for _ in range(60):
            before = self.cluster.writes
            self.cluster.collect_garbage()
            for name in list(self.cluster.pods):
                self.cluster.end_pod(name, "ok")
            self.cluster.sync_jobs()
            for operator in self.operators:
                operator.queue.ring()
                operator.settle()
            busy = self.cluster.writes != before or any(model.is_alive(pod) for pod in self.cluster.pods.values())
            if not busy and not any(operator.events for operator in self.operators):
                quiet = self.quiet = getattr(self, "quiet", 0) + 1
                if quiet > 8:
                    return
            else:
                self.quiet = 0
            self.cluster.advance(31)
        raise AssertionError("no rest")

    def check_silence(self) -> None:
        before = self.cluster.writes
        for seconds in (1, 10, 60, 600):
            self.cluster.advance(seconds)
            for operator in self.operators:
                operator.queue.ring()
                operator.settle()
                for plan in self.cluster.list_plans():
                    operator.controller.intake.plan_event(None, plan)
                operator.settle()
        assert self.cluster.writes == before, "the operator writes although nothing happens"

    def check_collectors(self) -> None:
        for name, job in self.cluster.jobs.items():
            if collector := self.cluster.jobs.get(jobs.collector_name(name)):
                created = [each["metadata"]["creationTimestamp"] for each in (job, collector)]
                assert created == sorted(created), f"{name} has a collector of an earlier scan"

    def check(self, name: str, plan: model.Object) -> None:
        status, spec = plan["status"], ScanPlanSpec.model_validate(plan["spec"])
        conditions = {each["type"]: each for each in status["conditions"]}
        assert status["observedGeneration"] == plan["metadata"]["generation"], status
        assert {each["observedGeneration"] for each in status["conditions"]} == {plan["metadata"]["generation"]}
        phase = status["phase"]
        ended = "completionTime" in status
        hold = hold_of(spec, ZONES, self.cluster.now)
        if spec.endpoints == INVALID:
            assert phase == "Failed"
            assert conditions["Stalled"]["reason"] == "InvalidEndpoint"
        elif ended:
            assert phase in {"Completed", "Failed", "Cancelled"}
        else:
            # Only its author can keep a plan from its end, or a plan of the same slot that is kept.
            assert hold, (name, status)
            assert phase == ("Failed" if hold.reason == "InvalidSpec" else "Suspended"), (name, status)
            assert conditions["Ready"]["reason"] == hold.reason
        if "jobRef" in status:
            assert status["jobRef"]["uid"] in self.cluster.uids[status["taskKey"]]
        if phase == "Completed":
            assert status["artifacts"]["complete"]
            assert status["shards"]["succeeded"] == status["shards"]["total"]
        waits = conditions["Ready"]["reason"] == "OutsideWindow"
        assert ("Reconciling" in conditions) == (
            waits or phase not in {"Completed", "Failed", "Cancelled", "Suspended"}
        )
        assert ("Stalled" in conditions) == (phase == "Failed")


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=400,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
