"""The patch of a status, and what becomes of a plan when requests fail; the loop itself is in the core's state machine."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import hypothesis
import pytest
from hypothesis import strategies as st
from kubernetes.aio.client import ApiException

from scanplan.controller import resync
from scanplan.controller.cache.store import Store
from scanplan.controller.engine.workqueue import ObjectName, WorkQueue
from scanplan.controller.scanplan import Controller
from scanplan.core.observed.sharing import OtherCluster
from scanplan.core.planning.sources import Kind, Reference
from scanplan.kube.failures import retry_after
from scanplan.kube.objects import merge_patch
from tests.unit.core import model
from tests.unit.core.objects import POLICY
from tests.unit.core.process import Operator

VALUES = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda children: st.dictionaries(st.sampled_from("abcd"), children, max_size=4),
    max_leaves=12,
)
STATUSES = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


@hypothesis.given(STATUSES, STATUSES)
@hypothesis.settings(max_examples=400)
def test_the_patch_makes_the_new_status_of_the_old_one(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Whatever was there: what no longer holds goes, what is new comes, and nothing else is touched."""
    result = copy.deepcopy(old)
    model.merge(result, merge_patch(old, new))
    assert result == new


@hypothesis.given(STATUSES)
def test_nothing_to_change_is_an_empty_patch(status: dict[str, Any]) -> None:
    assert merge_patch(status, copy.deepcopy(status)) == {}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"Retry-After": "7"}, 7.0), ({}, 0.0), ({"Retry-After": "Tue, 24 Nov 2026 06:00:00 GMT"}, 0.0), (None, 0.0)],
)
def test_the_server_may_ask_for_patience(headers: dict[str, str] | None, seconds: float) -> None:
    error = ApiException(status=429, reason="Too Many Requests")
    error.headers = headers
    assert retry_after(error) == seconds


@pytest.mark.parametrize(
    "error",
    [ApiException(status=500, reason="x"), aiohttp.ClientConnectionError(), TimeoutError(), ConnectionResetError()],
)
async def test_a_request_that_fails_brings_the_plan_back_later(error: Exception) -> None:
    """And only that plan: the workers go on."""

    class Down(model.ModelApi):
        def each_pod(self, namespace: str, task: str, cached: bool = False) -> AsyncIterator[model.Object]:
            raise error if (namespace, bool(task), cached) == (model.NAMESPACE, True, False) else AssertionError

    cluster = model.Cluster()
    queue = Later()
    controller = Controller(Down(cluster), Store(), queue, POLICY, now=lambda: cluster.now)
    cluster.create_plan("alpha", {"endpoints": ["a.example"], "templates": ["t"]})
    controller.intake.plan_event("ADDED", cluster.plans["alpha"])
    with pytest.raises(ExceptionGroup) as ended:
        await controller.run(workers=2)
    assert ended.group_contains(Enough)
    assert queue.failed == [ObjectName(model.NAMESPACE, "alpha")]


async def worked_on(api: model.ModelApi, cluster: model.Cluster, before: model.Object | None = None) -> model.Object:
    """The status of a plan of two shards after a worker has had it once, or (`before`: an edit) twice."""
    controller = Controller(api, Store(), WorkQueue(), POLICY, now=lambda: cluster.now)
    targets = [f"host{number}.example" for number in range(8)]
    cluster.create_plan(
        "alpha", {**SPEC, "endpoints": targets, "sharding": {"maxEndpointsPerShard": 2, "parallelism": 2}}
    )
    controller.intake.plan_event("ADDED", cluster.plans["alpha"])
    if before:
        await controller.reconcile(ObjectName(model.NAMESPACE, "alpha"))
        cluster.edit_plan("alpha", **before)
        controller.intake.plan_event("MODIFIED", cluster.plans["alpha"])
    queue = Later()
    controller.queue = queue
    queue.add(ObjectName(model.NAMESPACE, "alpha"))
    with pytest.raises(ExceptionGroup) as ended:
        await controller.run(workers=1)
    assert ended.group_contains(Enough)
    status: model.Object = cluster.plans["alpha"]["status"]
    return status


def ready(status: model.Object) -> tuple[str, str, str]:
    condition = next(each for each in status["conditions"] if each["type"] == "Ready")
    return condition["status"], condition["reason"], condition["message"]


async def test_a_patch_that_the_api_server_accepts_and_drops_is_told_on_the_plan() -> None:
    """Otherwise a plan stays as it was, and only the operator's log knows why."""

    class Dropping(model.ModelApi):
        async def patch_job(self, namespace: str, name: str, patch: model.Object) -> model.Object:  # noqa: ARG002
            await model.Turn()
            return copy.deepcopy(self.cluster.jobs[name])

    cluster = model.Cluster()
    status = await worked_on(Dropping(cluster), cluster, {"sharding": {"maxEndpointsPerShard": 2, "parallelism": 1}})
    told, reason, message = ready(status)
    assert (told, reason) == ("False", "NoFixedPoint")
    assert "the Job doesn't have it" in message


async def test_a_fault_of_the_operator_itself_is_told_on_the_plan_without_its_words() -> None:
    """They may come from a Secret."""

    class Broken(model.ModelApi):
        async def create_job(self, namespace: str, manifest: model.Object) -> model.Object:  # noqa: ARG002
            raise ValueError("hunter2")

    cluster = model.Cluster()
    told, reason, message = ready(await worked_on(Broken(cluster), cluster))
    assert (told, reason) == ("False", "InternalError")
    assert "ValueError" in message
    assert "hunter2" not in message


class Enough(Exception):
    """The test has seen what it wanted to see."""


class Later(WorkQueue):
    """Ends the workers once the failed plan is done."""

    def __init__(self) -> None:
        super().__init__()
        self.failed: list[ObjectName] = []

    def add_failed(self, name: ObjectName, at_least: float = 0.0) -> float:
        self.failed.append(name)
        return at_least

    def done(self, name: ObjectName) -> None:
        super().done(name)
        raise Enough


SPEC: dict[str, Any] = {"projectId": "acme", "runId": "nightly", "endpoints": ["a.example"], "templates": ["t"]}
OTHERS = [{**SPEC, "endpoints": [f"{name}.example"]} for name in "bc"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"endpoints": ["http://169.254.169.254"]}, {"endpoints": ["a.example"]}),
        ({"runId": "earlier"}, {"runId": "nightly"}),
    ],
)
def test_the_job_of_an_edited_plan_is_safe_from_an_operator_that_has_not_seen_the_edit(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Lost otherwise: a scan that has begun, since the watch of Jobs is ahead of that of plans."""
    cluster = model.Cluster()
    quick, slow = Operator(cluster), Operator(cluster)
    cluster.create_plan("alpha", {**SPEC, **before})
    for operator in (quick, slow):
        operator.settle()
    cluster.edit_plan("alpha", **after)
    quick.settle()
    (made,) = alive(cluster)
    while (of_job := next((at for at, (kind, _, _) in enumerate(slow.events) if kind == "job"), None)) is not None:
        slow.deliver(of_job)
    while slow.work or slow.begin():
        slow.step(0)
    assert alive(cluster) == [made]
    for operator in (slow, quick):
        operator.settle()
    assert alive(cluster) == [made]


def alive(cluster: model.Cluster) -> list[str]:
    """UIDs of the Jobs that nobody has deleted."""
    jobs = [job["metadata"] for job in cluster.jobs.values()]
    return [metadata["uid"] for metadata in jobs if "deletionTimestamp" not in metadata]


class TestNobodyIsForgotten:
    """One slot, and plans that depend on what others do: an event that wakes only some would leave the rest for ever."""

    def waiting(self) -> tuple[model.Cluster, Operator]:
        """Alpha's Job has the slot; beta and gamma wait for it, in this order."""
        cluster = model.Cluster()
        operator = Operator(cluster)
        for name, spec in zip(("alpha", "beta", "gamma"), (SPEC, *OTHERS), strict=True):
            cluster.create_plan(name, spec)
            operator.settle()
        cluster.sync_jobs()
        operator.settle()
        assert [cluster.plans[name]["status"]["phase"] for name in ("beta", "gamma")] == ["Queued", "Queued"]
        return cluster, operator

    def finish(self, cluster: model.Cluster) -> None:
        for name in list(cluster.pods):
            cluster.end_pod(name, "ok")
        cluster.sync_jobs()

    def test_the_next_one_starts_when_a_slot_is_free(self) -> None:
        cluster, operator = self.waiting()
        self.finish(cluster)
        operator.settle()
        assert len(cluster.jobs) == 2
        assert cluster.plans["gamma"]["status"]["phase"] == "Queued"

    @pytest.mark.parametrize("edit", [{"suspend": True}, {"cancel": True}, {"endpoints": ["ftp://a.example"]}])
    def test_one_that_is_called_and_no_longer_wants_lets_the_next_one_go(self, edit: dict[str, Any]) -> None:
        cluster, operator = self.waiting()
        self.finish(cluster)
        cluster.edit_plan("beta", **edit)
        operator.settle()
        assert len(cluster.jobs) == 2, "gamma's"

    def test_so_does_one_that_is_deleted(self) -> None:
        cluster, operator = self.waiting()
        self.finish(cluster)
        cluster.delete_plan("beta")
        operator.settle()
        assert len(cluster.jobs) == 2

    def test_what_one_plan_finds_out_about_a_shared_job_the_others_are_told(self) -> None:
        """The watch is late, and brings nothing new any more when it comes."""
        cluster = model.Cluster()
        operator = Operator(cluster)
        for name in ("alpha", "beta"):
            cluster.create_plan(name, SPEC)
        operator.settle()
        (job,) = cluster.jobs
        cluster.remove_job(job)
        operator.events.clear()
        cluster.edit_plan("alpha", ttlSecondsAfterFinished=600, cancel=True)
        operator.settle()
        ready = next(each for each in cluster.plans["beta"]["status"]["conditions"] if each["type"] == "Ready")
        assert ready["reason"] == "WaitingForPods", (
            "beta has noticed that its Job is gone, and waits for alpha's collector"
        )


class Slow:
    """Shares tasks with other clusters. The answer takes a turn of the loop; `elsewhere`: another cluster has this plan's task."""

    def __init__(self, elsewhere: str = "") -> None:
        self._elsewhere = elsewhere

    async def take(self, namespace: str, key: str, claim: str) -> OtherCluster | None:  # noqa: ARG002
        await asyncio.sleep(0)
        return OtherCluster("other", "claim", None) if self._elsewhere and self._elsewhere in key else None


class ManyTargets(model.ModelApi):
    """Has a ConfigMap with targets for each name, so many that they are parsed in a thread."""

    def __init__(self, cluster: model.Cluster, count: int, alone: bool = False) -> None:
        super().__init__(cluster, alone=alone)
        self._count = count

    async def get_input(self, namespace: str, reference: Reference, content: bool) -> bytes:
        if reference.kind is Kind.CLAIM:
            return await super().get_input(namespace, reference, content)
        text = "\n".join(f"https://host{number}.{reference.name}.example" for number in range(self._count))
        return json.dumps({"metadata": {"name": reference.name}, "data": {"targets.txt": text}}).encode()

    async def create_part(self, namespace: str, manifest: model.Object) -> model.Object:  # noqa: ARG002
        """The Job's document is kept nowhere: nothing here reads it."""
        return manifest


SHORT = {"endpoints": ["https://host{}.example"]}
RANGES = {"endpoints": ["10.1.{}.0/28"]}
LONG = {"endpointsFrom": [{"configMapKeyRef": {"name": "list{}", "key": "targets.txt"}}]}


@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize(
    "specs",
    [[SHORT], [RANGES], [LONG], [LONG, SHORT, RANGES]],
    ids=["short", "ranges", "long", "all kinds"],
)
@pytest.mark.parametrize("sharing", [None, Slow()], ids=["alone", "shared"])
async def test_plans_that_are_decided_about_at_the_same_time_get_no_more_slots_than_there_are(
    limit: int, specs: list[dict[str, Any]], sharing: Slow | None
) -> None:
    """Lost otherwise: targets that more scans hit at once than their owner allows."""
    cluster = model.Cluster()
    policy = dataclasses.replace(POLICY, worker_concurrency=limit)
    queue = WorkQueue()
    api = ManyTargets(cluster, 5_000, alone=True)
    controller = Controller(api, Store(), queue, policy, now=lambda: cluster.now, sharing=sharing)
    controller.actions.alone = lambda: True
    for number in range(4):
        own = json.loads(json.dumps(specs[number % len(specs)]).replace("{}", str(number)))
        cluster.create_plan(f"plan-{number}", {**own, "templates": ["t"]})
        controller.intake.plan_event("ADDED", cluster.plans[f"plan-{number}"])
    await until_idle(controller, queue, workers=6)
    assert len(cluster.jobs) == limit
    phases = sorted(plan["status"]["phase"] for plan in cluster.plans.values())
    assert phases == sorted(["Pending"] * limit + ["Queued"] * (4 - limit))


async def test_a_task_that_another_cluster_has_gives_its_slot_to_the_next_plan() -> None:
    """Lost otherwise: every plan that waits, until something else happens in its namespace."""
    cluster, queue = model.Cluster(), WorkQueue()
    policy = dataclasses.replace(POLICY, worker_concurrency=1)
    api = model.ModelApi(cluster, alone=True)
    controller = Controller(api, Store(), queue, policy, now=lambda: cluster.now, sharing=Slow("elsewhere"))
    controller.actions.alone = lambda: True
    for run in ("elsewhere", "here"):
        cluster.create_plan(run, {**SPEC, "runId": run})
        controller.intake.plan_event("ADDED", cluster.plans[run])
    await until_idle(controller, queue, workers=2)
    assert len(cluster.jobs) == 1
    assert ready(cluster.plans["elsewhere"]["status"])[1] == "RunningElsewhere"


async def until_idle(controller: Controller, queue: WorkQueue, workers: int) -> None:
    """Let workers work until nothing is to be done now."""
    working = asyncio.create_task(controller.run(workers))
    idle = 0
    while idle < 5:
        await asyncio.sleep(0.01)
        assert not working.done()
        idle = 0 if len(queue) or queue.longest_work() else idle + 1
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


def test_pods_listed_before_the_end_are_not_its_last_word() -> None:
    """The Job ends while its pods' list is under way: the report that matters most is not in it."""
    cluster = model.Cluster()
    operator = Operator(cluster)
    cluster.create_plan(
        "alpha", {**SPEC, "endpoints": ["a.example", "b.example"], "sharding": {"maxEndpointsPerShard": 1}}
    )
    operator.settle()
    cluster.sync_jobs()
    first, second = cluster.pods
    cluster.end_pod(first, "temporary")
    cluster.sync_jobs()
    while operator.events:
        operator.deliver(0)
    operator.begin()
    operator.step(0)
    operator.step(0)
    assert operator.work, "the list is under way, with a pod at work in it"
    for _ in range(2):
        for name in list(cluster.pods):
            cluster.end_pod(name, "ok")
        cluster.sync_jobs()
    operator.settle()
    assert second in cluster.pods
    assert cluster.plans["alpha"]["status"]["phase"] == "Completed"
    assert len(cluster.jobs) == 1, "a collector was not needed"


class TestWithTheLease:
    """Nothing is looked at before a Job that is new; whatever could have left pods behind is."""

    def left_behind(self) -> tuple[model.Cluster, Operator]:
        """The pods of a deleted plan are still ending."""
        cluster = model.Cluster()
        operator = Operator(cluster, alone=True)
        cluster.create_plan("alpha", SPEC)
        operator.settle()
        cluster.sync_jobs()
        operator.settle()
        cluster.delete_plan("alpha")
        cluster.collect_garbage()
        operator.settle()
        assert not cluster.jobs
        assert cluster.pods
        return cluster, operator

    @pytest.mark.parametrize("happens", ["nothing", "restart", "comparison"])
    def test_a_plan_made_again_waits_for_the_pods_of_its_former_self(self, happens: str) -> None:
        cluster, operator = self.left_behind()
        if happens == "restart":
            operator.crash()
        elif happens == "comparison":
            operator.compare()
            operator.settle()
        cluster.create_plan("alpha", SPEC)
        operator.settle()
        assert not cluster.jobs
        for name in list(cluster.pods):
            cluster.end_pod(name, "interrupted")
        cluster.advance(6)
        operator.queue.ring()
        operator.settle()
        assert len(cluster.jobs) == 1


class Counting(model.ModelApi):
    """Remembers how pods were asked for."""

    def __init__(self, cluster: model.Cluster) -> None:
        super().__init__(cluster)
        self.asked: list[bool] = []

    def each_pod(self, namespace: str, task: str, cached: bool = False) -> AsyncIterator[model.Object]:
        self.asked.append(cached)
        return super().each_pod(namespace, task, cached)


@pytest.mark.parametrize(("lags", "asked"), [(False, [True]), (True, [True, False])])
async def test_the_last_reports_come_from_the_cache_if_it_has_them_all(lags: bool, asked: list[bool]) -> None:
    cluster = model.Cluster()
    api = Counting(cluster)
    controller = Controller(api, Store(), WorkQueue(), POLICY, now=lambda: cluster.now)
    cluster.create_plan("alpha", SPEC)
    controller.intake.plan_event("ADDED", cluster.plans["alpha"])
    await controller.reconcile(ObjectName(model.NAMESPACE, "alpha"))
    cluster.sync_jobs()
    cluster.refresh_cache()
    for name in list(cluster.pods):
        cluster.end_pod(name, "ok")
    cluster.sync_jobs()
    if not lags:
        cluster.refresh_cache()
    for job in cluster.list_jobs():
        controller.intake.job_event("MODIFIED", job)
    await controller.reconcile(ObjectName(model.NAMESPACE, "alpha"))
    assert api.asked == [False, *asked], "the first look is the one before its Job"
    assert cluster.plans["alpha"]["status"]["phase"] == "Completed"


async def test_nobody_waits_while_a_long_list_of_targets_is_read() -> None:
    cluster = model.Cluster()
    controller = Controller(ManyTargets(cluster, 20_000), Store(), WorkQueue(), POLICY, now=lambda: cluster.now)
    source = {"configMapKeyRef": {"name": "targets", "key": "targets.txt"}}
    cluster.create_plan("alpha", {"endpointsFrom": [source], "templates": ["t"]})
    controller.intake.plan_event("ADDED", cluster.plans["alpha"])
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    beside = asyncio.create_task(others())
    await asyncio.sleep(0)
    await controller.reconcile(ObjectName(model.NAMESPACE, "alpha"))
    beside.cancel()
    assert turns > 3
    assert cluster.jobs


class Listing(model.ModelApi):
    """Lists these objects, whatever they are."""

    def __init__(self, cluster: model.Cluster, jobs: list[model.Object], plans: list[model.Object]) -> None:
        super().__init__(cluster)
        self.listed = {"jobs": jobs, "plans": plans}

    async def each_job(self, namespace: str | None) -> AsyncIterator[model.Object]:  # noqa: ARG002
        for each in self.listed["jobs"]:
            yield each

    async def each_plan(self, namespace: str | None) -> AsyncIterator[model.Object]:  # noqa: ARG002
        for each in self.listed["plans"]:
            yield each


async def test_one_object_that_cant_be_read_leaves_all_others_to_the_comparison(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Lost otherwise: the operator of all teams, by one object of one of them, at each start again."""
    cluster = model.Cluster()
    cluster.create_plan("alpha", SPEC)
    cluster.create_plan("beta", SPEC)
    metadata = {**cluster.plans["alpha"]["metadata"], "uid": "uid", "resourceVersion": "7"}
    broken = [{"metadata": {**metadata, "name": "broken", "creationTimestamp": "never"}}]
    job = {"metadata": {**metadata, "name": "scan-1"}, "spec": {}, "status": {}}
    api = Listing(cluster, [*broken, job], [*broken, cluster.plans["beta"]])
    controller = Controller(api, Store(), WorkQueue(), POLICY, now=lambda: cluster.now)
    await resync.compare(controller, None)
    assert list(controller.store.jobs(model.NAMESPACE)) == ["scan-1"]
    assert list(controller.store.plans) == [ObjectName(model.NAMESPACE, "beta")]
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


async def test_a_watch_that_is_faster_than_the_answer_to_the_post_is_no_reason_to_look_again() -> None:
    """A fifth of all looks at plans otherwise, since it mostly is."""

    class Announced(model.ModelApi):
        async def create_job(self, namespace: str, manifest: model.Object) -> model.Object:
            job = await super().create_job(namespace, manifest)
            controller.intake.job_event("ADDED", job)
            return job

    cluster, queue = model.Cluster(), WorkQueue()
    controller = Controller(Announced(cluster), Store(), queue, POLICY, now=lambda: cluster.now)
    cluster.create_plan("alpha", SPEC)
    controller.intake.plan_event("ADDED", cluster.plans["alpha"])
    name = await queue.get()
    await controller.reconcile(name)
    queue.done(name)
    assert (len(cluster.jobs), len(queue)) == (1, 0)


async def test_thousands_of_plans_with_nothing_to_do_leave_the_loop_to_others() -> None:
    """At a start otherwise: a lease that isn't renewed in time, and a new plan that waits for all that have ended."""

    class Idle(Controller):
        async def reconcile(self, name: ObjectName) -> None:
            del name

    queue = WorkQueue()
    for number in range(1000):
        queue.add(ObjectName(model.NAMESPACE, f"plan-{number}"))
    cluster = model.Cluster()
    controller = Idle(model.ModelApi(cluster), Store(), queue, POLICY, now=lambda: cluster.now)
    workers = asyncio.create_task(controller.run(workers=2))
    turns = 0
    while len(queue):
        await asyncio.sleep(0)
        turns += 1
    workers.cancel()
    assert turns > 400
