"""Whatever crashes, receivers, users and clocks do, in whatever order: each scan that ends is told at least once, with one id.

Of plans that share a scan one alone tells what is new.

Hypothesis drives two operators that share one API server. Each may die before or after each of its requests, with all that it has
not written. The receiver keeps the ids of what it took. In the end it has to have seen them all, and none besides.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scannotifier import MAX_OUTBOX, ScanNotifierStatus
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.core.notify.decision import Check, Checked, NotSent, Observed, Outcome, Send, Sent, Trouble, Wait, Write
from scanplan.core.notify.outbox import message_id
from scanplan.core.notify.reconcile import reconcile
from scanplan.core.notify.scans import Ended
from tests.unit.core.notify.objects import at, notifier, scan

TROUBLES = [
    None,
    None,
    Trouble(Reason.RECEIVER_UNREACHABLE, "no connection"),
    Trouble(Reason.RECEIVER_REFUSED, "400", of_message=True),
    Trouble(Reason.RECEIVER_REFUSED, "429", retry_after=300.0),
    Trouble(Reason.SECRET_UNAVAILABLE, "none", lasting=True),
]


class Operator:
    """A process: what it has done, and not written yet."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []


class Telling(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.now = at("00:00:00")
        self.notifier = notifier()
        self.scans: list[Ended] = []
        self.owed: list[set[str]] = []
        """Of each scan the ids of the messages of its plans. One of them has to be told."""
        self.taken: Counter[str] = Counter()
        self.trouble: Trouble | None = None
        self.operators = [Operator(), Operator()]
        self.work(0, 50)
        self.now += timedelta(seconds=1)

    def work(self, which: int, steps: int, dies: str = "") -> bool:
        """Let one operator do so many steps; True: it came to rest."""
        operator = self.operators[which]
        for _ in range(steps):
            observed = Observed(notifier=self.notifier, scans=list(self.scans), outcomes=list(operator.outcomes))
            match reconcile(observed, self.now):
                case Write(status):
                    if dies == "before write":
                        return self.die(which)
                    self.notifier = replace(self.notifier, status=ScanNotifierStatus.of({"status": status.document()}))
                    if dies == "after write":
                        return self.die(which)
                    operator.outcomes.clear()
                case Send(outgoing):
                    if dies == "before send":
                        return self.die(which)
                    if self.trouble is None:
                        self.taken[outgoing.id] += 1
                    if dies == "after send":
                        return self.die(which)
                    failed = NotSent(outgoing.id, self.trouble, self.now) if self.trouble else None
                    operator.outcomes.append(failed or Sent(outgoing.id, self.now))
                case Check():
                    lasting = self.trouble if self.trouble and self.trouble.lasting else None
                    operator.outcomes.append(Checked(self.notifier.generation, lasting, self.now))
                case Wait():
                    return True
        return False

    def die(self, which: int) -> bool:
        self.operators[which] = Operator()
        return False

    @rule(count=st.integers(1, 20), failed=st.booleans())
    def scans_end(self, count: int, failed: bool) -> None:
        for _ in range(count):
            self.owed.append(set())
            self.plan_ends(failed)

    @precondition(lambda self: self.owed)
    @rule()
    def another_plan_of_the_last_scan_ends(self) -> None:
        if self.scans[-1].scan.status.phase is not Phase.FAILED:
            self.plan_ends(failed=False)

    def plan_ends(self, failed: bool) -> None:
        number, plan = len(self.owed), len(self.owed[-1])
        fields: dict[str, Any] = {"phase": "Failed"} if failed else {"new": {"high": 1}}
        fields |= {"taskKey": f"key-{number}", "completionTime": "2026-11-27T00:00:00Z"}
        ended = scan(f"night-{number}-{plan}", self.now.strftime("%H:%M:%S"), run=f"run-{number}", **fields)
        self.scans.append(ended)
        self.owed[-1].add(message_id("n-1", ended.id))

    @rule(trouble=st.sampled_from(TROUBLES))
    def receiver_changes(self, trouble: Trouble | None) -> None:
        self.trouble = trouble

    @rule(which=st.integers(0, 1), steps=st.integers(1, 60))
    def operator_works(self, which: int, steps: int) -> None:
        self.work(which, steps)

    @rule(
        which=st.integers(0, 1),
        dies=st.sampled_from(["before write", "after write", "before send", "after send"]),
    )
    def operator_dies(self, which: int, dies: str) -> None:
        self.work(which, 60, dies)

    @rule(seconds=st.sampled_from([1, 60, 900]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def spec_is_edited(self) -> None:
        generation = self.notifier.generation + 1
        edited = self.notifier.spec.model_copy(update={"metadata": {"edit": str(generation)}})
        self.notifier = replace(self.notifier, spec=edited, generation=generation)

    @invariant()
    def nobody_is_told_what_did_not_happen(self) -> None:
        assert set(self.taken) <= set().union(*self.owed)

    @invariant()
    def one_plan_of_each_scan_is_told_of(self) -> None:
        assert all(len(ids & set(self.taken)) <= 1 for ids in self.owed)

    @invariant()
    def the_status_has_its_bounds(self) -> None:
        assert len(self.notifier.status.outbox) <= MAX_OUTBOX

    @property
    def all_told(self) -> bool:
        return all(ids & set(self.taken) for ids in self.owed)

    def teardown(self) -> None:
        """In the end everything has arrived, once the receiver takes messages again within the day."""
        if not hasattr(self, "taken"):
            return
        self.trouble = None
        for _ in range(600):
            while not self.work(0, 200):
                pass
            if self.all_told and not self.notifier.status.outbox:
                break
            self.now += timedelta(seconds=300)
        assert self.all_told
        before = sum(self.taken.values())
        self.operators = [Operator(), Operator()]
        self.now += timedelta(hours=1)
        assert self.work(1, 500)
        assert sum(self.taken.values()) == before  # a restart tells nobody anew


TestTelling = Telling.TestCase
TestTelling.settings = settings(max_examples=60, stateful_step_count=30)
