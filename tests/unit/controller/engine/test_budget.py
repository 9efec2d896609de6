"""The budget of bytes: never exceeded, nobody is forgotten, and namespaces take turns."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from scanplan.controller.engine.backoff import JITTER, Backoff
from scanplan.controller.engine.budget import Budget, Postponed
from scanplan.controller.engine.workqueue import ObjectName

A, B, C = (ObjectName("team", name) for name in ("alpha", "beta", "gamma"))
OTHER = ObjectName("other", "alpha")


def budget(size: int = 10) -> tuple[Budget, list[ObjectName]]:
    woken: list[ObjectName] = []
    return Budget(size, woken.append), woken


def postponed(of: Budget, name: ObjectName, amount: int) -> None:
    with pytest.raises(Postponed):
        of.take(name, amount)


def test_who_finds_no_room_is_woken_with_room_set_aside() -> None:
    of, woken = budget()
    of.take(A, 6)
    postponed(of, B, 6)
    assert of.used == 6
    of.give_back(A)
    assert woken == [B]
    assert of.used == 6
    of.take(B, 6)
    of.give_back(B)
    assert of.used == 0


def test_who_asks_for_more_than_there_is_gets_it_all_alone() -> None:
    of, woken = budget()
    of.take(A, 1)
    postponed(of, B, 1_000)
    of.give_back(A)
    assert woken == [B]
    of.take(B, 1_000)
    assert of.used == of.peak == 10


def test_who_asks_for_more_holds_nothing_meanwhile() -> None:
    """Two that hold half and wait for the other half would wait for ever."""
    of, woken = budget()
    of.take(A, 5)
    of.take(B, 5)
    postponed(of, A, 8)
    assert of.used == 5
    of.give_back(B)
    assert woken == [A]
    of.take(A, 8)


def test_small_ones_do_not_starve_a_large_one() -> None:
    of, woken = budget()
    of.take(A, 5)
    postponed(of, B, 10)
    postponed(of, OTHER, 1)
    of.give_back(A)
    assert woken == [B]
    of.give_back(B)
    assert woken == [B, OTHER]


def test_namespaces_take_turns() -> None:
    of, woken = budget()
    of.take(A, 10)
    for number in range(50):
        postponed(of, ObjectName("crowd", f"plan-{number}"), 10)
    postponed(of, OTHER, 10)
    of.give_back(A)
    of.give_back(woken[-1])
    assert woken == [ObjectName("crowd", "plan-0"), OTHER]


def test_what_is_not_needed_after_all_goes_to_others() -> None:
    of, woken = budget()
    of.take(A, 10)
    postponed(of, B, 4)
    of.shrink(A, 6)
    assert woken == [B]


@hypothesis.given(
    st.lists(st.tuples(st.sampled_from([A, B, C, OTHER]), st.integers(0, 14), st.booleans()), max_size=40)
)
def test_it_is_never_exceeded_and_everybody_gets_a_turn(asked: list[tuple[ObjectName, int, bool]]) -> None:
    of, woken = budget()
    waits: dict[ObjectName, int] = {}
    for name, amount, gives_back in asked:
        if name in waits and name not in woken:
            continue  # it is not worked on before it is woken
        try:
            of.take(name, amount)
            waits.pop(name, None)
        except Postponed:
            waits[name] = amount
            woken[:] = [each for each in woken if each != name]
        if gives_back:
            of.give_back(name)
        assert of.used <= 10
    for _ in range(20):
        for name in (A, B, C, OTHER):
            of.give_back(name)
    assert set(waits) <= set(woken)
    assert of.used == 0
    assert of.peak <= 10


class TestBackoff:
    def delays(self, of: Backoff, spec: object, times: int) -> list[float]:
        return [of.next(A, spec, 10, 300) for _ in range(times)]

    def test_delays_double_up_to_a_bound(self) -> None:
        """Lost otherwise: the API server to thousands of plans that each ask for a missing ConfigMap every ten seconds."""
        delays = self.delays(Backoff(), 1, 2_000)
        for delay, most in zip(delays, [10, 20, 40, 80, 160, *[300] * 1_995], strict=True):
            assert most * (1 - JITTER) <= delay <= most

    def test_a_new_spec_begins_anew(self) -> None:
        """Lost otherwise: minutes after an edit that mends the name."""
        of = Backoff()
        self.delays(of, 1, 8)
        assert max(self.delays(of, 2, 1)) <= 10

    def test_so_does_a_plan_that_has_found_what_it_waited_for(self) -> None:
        of = Backoff()
        self.delays(of, 1, 8)
        of.forget(A)
        assert max(self.delays(of, 1, 1)) <= 10

    def test_plans_that_began_to_wait_together_do_not_ask_together(self) -> None:
        of = Backoff()
        assert len({of.next(ObjectName("team", str(number)), 1, 10, 300) for number in range(50)}) > 40
