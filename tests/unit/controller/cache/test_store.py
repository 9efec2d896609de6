"""What the operator knows: newest states only, owners within their namespace, slots counted, the waiting in their order."""

from __future__ import annotations

from typing import Any

import pytest

from scanplan.api import labels
from scanplan.controller.cache.store import Store, waiting_entry
from scanplan.controller.engine.scope import Scope
from scanplan.controller.engine.workqueue import ObjectName

A, B, C = (ObjectName("team", name) for name in ("alpha", "beta", "gamma"))


def plan_body(name: str = "alpha", uid: str = "plan-1", version: int = 10, **changes: Any) -> dict[str, Any]:
    spec = {"endpoints": ["a.example"], "templates": ["t"], "priority": changes.pop("priority", 5)}
    metadata = {
        "namespace": "team",
        "name": name,
        "uid": uid,
        "generation": 1,
        "resourceVersion": str(version),
        "creationTimestamp": "2026-11-24T06:00:00Z",
    }
    return {"metadata": {**metadata, **changes}, "spec": spec, "status": {"taskId": f"at {version}"}}


def job_body(
    name: str = "scan-1", uid: str = "job-1", version: int = 10, owners: tuple[str, ...] = ("plan-1",), **more: Any
) -> dict[str, Any]:
    references = [
        {"apiVersion": labels.API_VERSION, "kind": labels.KIND, "name": "x", "uid": owner} for owner in owners
    ]
    metadata = {
        "namespace": more.pop("namespace", "team"),
        "name": name,
        "uid": uid,
        "resourceVersion": str(version),
        "creationTimestamp": "2026-11-24T06:00:00Z",
        "labels": {labels.MANAGED_BY: more.pop("managed_by", labels.MANAGED_BY_VALUE)},
        "ownerReferences": references,
    }
    return {"metadata": metadata, "spec": {}, "status": more}


def put_both(store: Store, version: int) -> None:
    """A plan and its Job come in one version."""
    store.put_plan(plan_body(version=version))
    store.put_job(job_body(version=version))


def drop_both(store: Store) -> None:
    store.drop_plan(A, "plan-1")
    store.drop_job("team", "scan-1", "job-1")


class TestFreshness:
    """A watch that lags must not undo what an answer has shown."""

    @pytest.mark.parametrize("version", [9, 10])
    def test_an_older_or_equal_state_is_passed_over(self, version: int) -> None:
        store = Store()
        store.put_plan(plan_body(version=10))
        store.put_plan(plan_body(version=version))
        assert store.plans[A].status.task_id == "at 10"
        first = store.put_job(job_body(version=10))
        assert store.put_job(job_body(version=version)) is first

    def test_versions_are_numbers_and_no_words(self) -> None:
        store = Store()
        store.put_plan(plan_body(version=99))
        store.put_plan(plan_body(version=100))
        assert store.plans[A].resource_version == "100"

    def test_a_plan_made_again_is_another_one(self) -> None:
        store = Store()
        store.put_plan(plan_body(uid="plan-1", version=10))
        store.put_plan(plan_body(uid="plan-2", version=20))
        store.drop_plan(A, "plan-1")
        assert store.plans[A].uid == "plan-2", "the deletion of its former self comes late"
        store.put_plan(plan_body(uid="plan-1", version=12))
        assert store.plans[A].uid == "plan-2"

    def test_so_is_a_job(self) -> None:
        store = Store()
        store.put_job(job_body(uid="job-1", version=10))
        store.put_job(job_body(uid="job-2", version=20))
        assert store.drop_job("team", "scan-1", "job-1") is None
        store.put_job(job_body(uid="job-1", version=15))
        assert store.jobs("team")["scan-1"].uid == "job-2"

    def test_an_answer_after_the_deletion_brings_nothing_back(self) -> None:
        """Nobody would ever tell the operator again that it is gone."""
        store = Store()
        put_both(store, 10)
        drop_both(store)
        put_both(store, 11)
        assert not store.plans
        assert not store.jobs("team")

    def test_what_has_left_may_come_back_with_its_namespace(self) -> None:
        """Lost otherwise: what another operator works on, stored by a late answer; or the plans of a namespace for ever."""
        scope = Scope(selector="team=red")
        store = Store(scope=scope)
        scope.add("team", ready=True)
        put_both(store, 10)
        scope.remove("team")
        drop_both(store)
        put_both(store, 11)
        assert not store.plans
        assert not store.jobs("team")
        scope.add("team", ready=False)
        put_both(store, 11)
        assert A in store.plans
        assert "scan-1" in store.jobs("team")

    def test_an_object_older_than_the_rules_says_what_is_wrong_with_it(self) -> None:
        store = Store()
        plan = store.put_plan(plan_body(priority=99))
        assert plan is not None
        assert "spec.priority: " in plan.problem


class TestOwners:
    def test_jobs_are_found_by_their_owners_and_owners_by_their_jobs(self) -> None:
        store = Store()
        alpha, beta = store.put_plan(plan_body()), store.put_plan(plan_body("beta", "plan-2"))
        job = store.put_job(job_body(owners=("plan-1", "plan-2", "unknown")))
        assert alpha is not None
        assert beta is not None
        assert store.owned(alpha) == store.owned(beta) == (job,)
        assert store.owners_of(job) == [ObjectName("team", "alpha"), ObjectName("team", "beta")]
        store.put_job(job_body(owners=("plan-2",), version=11))
        assert store.owned(alpha) == ()

    def test_an_owner_in_another_namespace_is_none(self) -> None:
        """Otherwise anybody could have a team's plans take their Job for their own, or end the operator."""
        store = Store()
        alpha = store.put_plan(plan_body())
        assert alpha is not None
        foreign = store.put_job(job_body(namespace="elsewhere"))
        assert store.owned(alpha) == ()
        assert store.owners_of(foreign) == []

    def test_a_job_that_we_did_not_make_is_owned_by_none_of_our_plans(self) -> None:
        store = Store()
        alpha = store.put_plan(plan_body())
        assert alpha is not None
        store.put_job(job_body(managed_by="somebody"))
        assert store.owned(alpha) == ()


class TestSlots:
    def free(self, store: Store, limit: int = 2) -> int:
        plan = store.put_plan(plan_body("probe", "probe", 1, creationTimestamp="2026-11-24T09:00:00Z"))
        return store.free_slots(plan or store.plans[ObjectName("team", "probe")], limit)

    def test_jobs_at_work_hold_them(self) -> None:
        store = Store()
        assert self.free(store) == 2
        store.put_job(job_body())
        assert self.free(store) == 1
        store.put_job(job_body(version=11, conditions=[{"type": "Failed", "status": "True"}]))
        assert self.free(store) == 2, "a failed Job holds no slot for ever"

    def test_a_deleted_one_gives_its_slot_back(self) -> None:
        store = Store()
        store.put_job(job_body())
        store.drop_job("team", "scan-1", "job-1")
        assert self.free(store) == 2

    def test_a_job_that_is_just_being_made_holds_one_and_only_one(self) -> None:
        store = Store()
        store.set_starting("team", "scan-1", ObjectName("team", "alpha"))
        assert self.free(store) == 1
        store.put_job(job_body())
        assert self.free(store) == 1
        store.set_starting("team", "scan-1", None)
        assert self.free(store) == 1

    def test_other_namespaces_and_other_peoples_jobs_do_not_count(self) -> None:
        store = Store()
        store.put_job(job_body(namespace="elsewhere"))
        store.put_job(job_body("mine", "job-9", managed_by="somebody"))
        assert self.free(store) == 2


class TestWaiting:
    """Highest priority first, then age."""

    def store(self) -> Store:
        store = Store()
        ages = {"alpha": "06:00", "beta": "05:00", "gamma": "07:00"}
        for number, (name, age) in enumerate(ages.items()):
            priority = 9 if name == "gamma" else 5
            body = plan_body(name, f"plan-{number}", creationTimestamp=f"2026-11-24T{age}:00Z", priority=priority)
            plan = store.put_plan(body)
            assert plan is not None
            store.set_waiting(ObjectName("team", name), waiting_entry(plan))
        return store

    def test_in_their_order(self) -> None:
        assert self.store().next_waiting("team", 3) == [C, B, A]
        assert self.store().next_waiting("team", 1) == [C]

    def test_a_slot_is_free_for_those_that_nobody_goes_before(self) -> None:
        store = self.store()
        assert [store.free_slots(store.plans[name], 1) for name in (C, B, A)] == [1, 0, -1]

    def test_one_that_leaves_says_that_others_may_go(self) -> None:
        store = self.store()
        assert store.set_waiting(C, None) is True
        assert store.set_waiting(C, None) is False
        assert store.next_waiting("team", 1) == [B]

    def test_so_does_one_that_is_given_another_priority(self) -> None:
        store = self.store()
        assert store.set_waiting(C, waiting_entry(store.plans[C])) is False
        lowered = store.put_plan(plan_body("gamma", "plan-2", 11, generation=2, priority=0))
        assert lowered is not None
        assert store.set_waiting(C, waiting_entry(lowered)) is True
        assert store.next_waiting("team", 3) == [B, A, C]

    def test_a_deleted_plan_waits_no_longer(self) -> None:
        store = self.store()
        store.drop_plan(C, "plan-2")
        assert store.next_waiting("team", 3) == [B, A]

    def test_while_all_slots_are_taken_nobody_may_go(self) -> None:
        store = self.store()
        store.put_job(job_body())
        assert store.next_waiting("team", 1) == []


class TestDoubts:
    """What can be made without a look at what there is; a doubt too few is a scan that runs twice."""

    def test_a_name_whose_job_has_gone_is_doubted_until_all_was_listed(self) -> None:
        store = Store()
        job = store.put_job(job_body())
        assert job.name not in store.doubted("team")
        store.drop_job("team", job.name, job.uid)
        assert job.name in store.doubted("team")
        assert job.name not in store.doubted("other")
        store.settle_doubts(None, store.doubts, set())
        assert job.name not in store.doubted("team")

    def test_a_job_that_was_never_seen_is_doubted_too(self) -> None:
        store = Store()
        store.drop_job("team", "unseen", "job-9")
        assert "unseen" in store.doubted("team")

    def test_what_goes_while_the_lists_are_under_way_stays_doubted(self) -> None:
        store = Store()
        store.doubt("team", "before")
        until = store.doubts
        store.doubt("team", "meanwhile")
        store.doubt("team", "before")
        store.settle_doubts("team", until, set())
        assert "meanwhile" in store.doubted("team")
        assert "before" in store.doubted("team"), "it has come and gone again"

    def test_so_does_what_has_pods_alive(self) -> None:
        store = Store()
        store.doubt("team", "alive")
        store.settle_doubts(None, store.doubts, {("team", "alive")})
        assert "alive" in store.doubted("team")
