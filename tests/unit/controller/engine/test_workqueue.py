"""The queue's semantics, which are client-go's: a name once, never twice at work, failures ever later."""

from __future__ import annotations

import asyncio

import pytest

from scanplan.controller.engine import workqueue
from scanplan.controller.engine.workqueue import ObjectName, WorkQueue

A, B = ObjectName("team", "alpha"), ObjectName("team", "beta")


async def take(queue: WorkQueue) -> ObjectName:
    return await asyncio.wait_for(queue.get(), 5)


async def idle(queue: WorkQueue) -> bool:
    """Nothing is to be had, now and after all that is due."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 0.02)
    return True


async def test_names_come_in_the_order_in_which_they_were_added() -> None:
    queue = WorkQueue()
    queue.add(A)
    queue.add(B)
    assert [await take(queue), await take(queue)] == [A, B]


async def test_a_burst_of_events_is_worked_on_once() -> None:
    queue = WorkQueue()
    for _ in range(100):
        queue.add(A)
    assert len(queue) == 1
    assert await take(queue) == A
    queue.done(A)
    assert await idle(queue)


async def test_no_plan_is_worked_on_twice_at_a_time_and_no_event_is_lost() -> None:
    """Two workers on one plan would race for its status; an event during the work may be the last there is."""
    queue = WorkQueue()
    queue.add(A)
    await take(queue)
    queue.add(A)
    queue.add(A)
    assert await idle(queue)
    queue.done(A)
    assert await take(queue) == A
    queue.done(A)
    assert await idle(queue)


async def test_workers_wait_until_there_is_something() -> None:
    queue = WorkQueue()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.add(A)
    assert await waiting == A


async def test_a_worker_that_is_cancelled_takes_nothing_with_it() -> None:
    queue = WorkQueue()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    queue.add(A)
    assert await take(queue) == A


class TestLater:
    async def test_the_earliest_of_several_times_wins(self) -> None:
        queue = WorkQueue()
        queue.add_after(A, 3600)
        queue.add_after(A, 0)
        queue.add_after(A, 3600)
        assert await take(queue) == A
        queue.done(A)
        assert await idle(queue)

    async def test_a_later_time_does_not_replace_an_earlier_one(self) -> None:
        queue = WorkQueue()
        queue.add_after(A, 0.001)
        queue.add_after(A, 3600)
        assert await take(queue) == A

    async def test_an_event_makes_the_timer_needless(self) -> None:
        queue = WorkQueue()
        queue.add_after(A, 0.001)
        queue.add(A)
        assert await take(queue) == A
        queue.done(A)
        assert await idle(queue)

    async def test_a_timer_that_rings_during_the_work_brings_the_plan_back(self) -> None:
        queue = WorkQueue()
        queue.add(A)
        await take(queue)
        queue.add_after(A, 0)
        await asyncio.sleep(0.001)
        queue.done(A)
        assert await take(queue) == A


class TestFailures:
    async def test_come_back_ever_later_up_to_a_bound(self) -> None:
        queue = WorkQueue()
        delays = [queue.add_failed(A) for _ in range(12)]
        assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
        assert delays[-1] == workqueue.MAX_DELAY

    async def test_of_one_plan_are_none_of_another(self) -> None:
        queue = WorkQueue()
        queue.add_failed(A)
        assert queue.add_failed(B) == workqueue.BASE_DELAY

    async def test_are_forgiven_after_a_success(self) -> None:
        queue = WorkQueue()
        queue.add_failed(A)
        queue.forget(A)
        assert queue.add_failed(A) == workqueue.BASE_DELAY

    async def test_wait_as_long_as_the_server_asks(self) -> None:
        assert WorkQueue().add_failed(A, at_least=7) == 7

    async def test_are_not_tried_before_the_server_asks_whatever_happens_meanwhile(self) -> None:
        """An overloaded API server would be asked again by each event that it still manages to send."""
        queue = WorkQueue()
        queue.add(A)
        await take(queue)
        queue.add(A)
        queue.add_failed(A, at_least=0.1)
        queue.done(A)
        queue.add(A)
        assert await idle(queue)
        assert await take(queue) == A
        queue.forget(A)
        queue.done(A)
        assert await idle(queue)

    async def test_a_thousand_of_them_do_not_overflow(self) -> None:
        queue = WorkQueue()
        assert {queue.add_failed(A) for _ in range(2_000)} >= {workqueue.MAX_DELAY}


class TestFairness:
    """One namespace must not hold up the others, whether it has many plans or slow ones."""

    async def test_namespaces_take_turns(self) -> None:
        queue = WorkQueue()
        many = [ObjectName("crowd", f"plan-{number}") for number in range(100)]
        for name in (*many, A, B, ObjectName("other", "gamma")):
            queue.add(name)
        first = [await take(queue) for _ in range(6)]
        assert first == [many[0], A, ObjectName("other", "gamma"), many[1], B, many[2]]

    async def test_slow_plans_of_one_namespace_leave_a_worker_to_the_others(self) -> None:
        queue = WorkQueue()
        queue.share = 3
        many = [ObjectName("slow", f"plan-{number}") for number in range(5)]
        for name in many:
            queue.add(name)
        assert [await take(queue) for _ in range(3)] == many[:3]
        assert await idle(queue)
        assert len(queue) == 2
        queue.add(A)
        assert await take(queue) == A
        queue.done(many[1])
        assert await take(queue) == many[3]

    async def test_a_worker_that_waits_hears_when_a_share_is_free_again(self) -> None:
        queue = WorkQueue()
        queue.share = 1
        queue.add(A)
        queue.add(B)
        assert await take(queue) == A
        waiting = [asyncio.create_task(queue.get()) for _ in range(3)]
        await asyncio.sleep(0)
        queue.done(A)
        await asyncio.sleep(0.01)
        (got,) = [task.result() for task in waiting if task.done()]
        assert got == B
        for task in waiting:
            task.cancel()

    async def test_a_worker_that_is_cancelled_when_woken_leaves_the_name_to_another(self) -> None:
        queue = WorkQueue()
        first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add(A)
        first.cancel()
        assert await asyncio.wait_for(second, 5) == A
