"""The outbox: who is told what, in which order, when again, and never twice without need."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from scanplan.api import labels
from scanplan.api.times import format_precise
from scanplan.api.v1alpha1 import scannotifier
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scannotifier import ScanNotifierSpec, ScanNotifierStatus
from scanplan.core.notify.decision import Check, Checked, NotSent, Observed, Outcome, Send, Sent, Trouble, Wait, Write
from scanplan.core.notify.outbox import id_of_test
from scanplan.core.notify.reconcile import reconcile
from scanplan.core.notify.scans import Ended
from tests.unit.core.notify.objects import at, notifier, scan, spec

DOWN = Trouble(Reason.RECEIVER_UNREACHABLE, "no connection")
MISSING = Trouble(Reason.SECRET_UNAVAILABLE, "there is none", lasting=True)


class World:
    """One notifier, its operator, and a receiver that takes or refuses."""

    def __init__(self, **fields: Any) -> None:
        self.now = at("01:00:00")
        self.notifier = notifier(**fields)
        self.scans: list[Ended] = []
        self.taken: list[str] = []
        self.told: list[str] = []
        """Events in the order in which the receiver took them."""
        self.trouble: Trouble | None = None
        self.check: Trouble | None = None
        self.writes = 0
        self.unwritten: list[Outcome] = []
        self.settle()

    def settle(self) -> datetime | None:
        """Act on decisions until there is nothing to do; returns the next time."""
        for _ in range(2_000):
            match reconcile(Observed(notifier=self.notifier, scans=self.scans, outcomes=self.unwritten), self.now):
                case Write(status):
                    self.write(status)
                case Check():
                    self.unwritten.append(Checked(self.notifier.generation, self.check, self.now))
                case Send(outgoing):
                    if self.trouble:
                        self.unwritten.append(NotSent(outgoing.id, self.trouble, self.now))
                    else:
                        self.taken.append(outgoing.id)
                        self.told.append(outgoing.notice.event)
                        self.unwritten.append(Sent(outgoing.id, self.now))
                case Wait(until):
                    return until
        raise AssertionError("it never comes to rest")

    def write(self, status: ScanNotifierStatus) -> None:
        self.writes += 1
        written = ScanNotifierStatus.of({"status": status.document()})
        self.notifier = replace(self.notifier, status=written)
        self.unwritten.clear()

    def edit(self, **fields: Any) -> None:
        current = self.notifier.spec.model_dump(by_alias=True, exclude_unset=True)
        changed: ScanNotifierSpec = spec(**{**current, **fields})
        self.notifier = replace(self.notifier, spec=changed, generation=self.notifier.generation + 1)
        self.settle()

    def end(self, *scans: Ended) -> None:
        self.scans += scans
        self.now = max(self.now, *(each.time for each in scans)) + timedelta(seconds=1)
        self.settle()

    def at(self, text: str) -> datetime | None:
        self.now = at(text)
        return self.settle()

    def conditions(self) -> dict[str, tuple[str, str]]:
        return {each.type: (each.status, each.reason) for each in self.notifier.status.conditions}


def test_a_new_finding_is_told_once() -> None:
    world = World()
    world.end(scan(new={"high": 2}))
    world.at("08:00:00")
    assert world.told == ["NewFindings"]
    status = world.notifier.status
    assert (status.sent, status.pending, status.outbox) == (1, 0, ())


SHARED: dict[str, Any] = {"taskKey": "key", "completionTime": "2026-11-27T02:10:00Z", "new": {"high": 1}}
"""What plans of one scan have in common on their statuses."""


@pytest.mark.parametrize("times", [("02:10:00", "02:10:01"), ("02:10:01", "02:10:00"), ("02:10:00", "02:10:00")])
@pytest.mark.parametrize("names", [("alpha", "beta"), ("beta", "alpha")])
@pytest.mark.parametrize("together", [True, False])
def test_new_findings_of_a_scan_that_plans_share_are_told_once(
    times: tuple[str, str], names: tuple[str, str], together: bool
) -> None:
    """In whatever order their ends come, and whichever of them is deleted afterwards."""
    world = World(on=["NewFindings", "Completed"])
    first, second = (scan(name, time, **SHARED) for name, time in zip(names, times, strict=True))
    if together:
        world.end(first, second)
    else:
        world.end(first)
        world.end(second)
    assert sorted(world.told) == ["Completed", "NewFindings"]
    world.scans.remove(first)
    world.at("02:20:00")
    assert len(world.told) == 2


@pytest.mark.parametrize(
    "other",
    [
        None,
        scan("alpha", labels={"team": "other"}, **SHARED),
        scan("alpha", labels={"team": "shop", labels.RETEST: "true"}, **SHARED),
        scan("alpha", phase="Cancelled", labels={"team": "shop"}, **{**SHARED, "new": {}}),
        scan("alpha", labels={"team": "shop"}, **{**SHARED, "taskKey": "another"}),
        scan("alpha", labels={"team": "shop"}, **{**SHARED, "completionTime": "2026-11-27T02:09:00Z"}),
    ],
    ids=["deleted", "not selected", "a retest", "cancelled in the same second", "of another scan", "of an earlier Job"],
)
def test_each_plan_of_a_shared_scan_tells_what_no_other_has_told(other: Ended | None) -> None:
    """Lost otherwise: new findings that nobody hears of."""
    world = World(selector={"matchLabels": {"team": "shop"}})
    if other:
        world.end(other)
    told = len(world.told)
    world.end(scan("beta", "02:10:01", reason="ResultReused", labels={"team": "shop"}, **SHARED))
    assert world.told[told:] == ["NewFindings"]


def test_a_result_that_a_plan_takes_over_hours_later_is_not_told_again() -> None:
    world = World()
    world.end(scan("alpha", **SHARED))
    world.end(scan("late", "20:00:00", reason="ResultReused", **SHARED))
    assert world.told == ["NewFindings"]


def test_a_retest_is_told_to_nobody() -> None:
    """Who asked for it waits for the answer; to all others its finding is an old one."""
    world = World()
    world.end(scan("retest-a", new={"high": 1}, run="retest-a", labels={labels.RETEST: "true"}))
    world.end(scan("retest-b", "02:20:00", "Failed", run="retest-b", labels={labels.RETEST: "true"}))
    assert world.told == []


def test_a_thousand_scans_that_ended_before_are_told_to_nobody() -> None:
    """Argo CD told 130 of them anew after a restart."""
    world = World()
    settled = [scan(f"old-{number}", "00:30:00", "Failed") for number in range(1000)]
    world.end(*settled)
    assert world.told == []
    assert world.writes == 2


def test_a_restart_tells_nobody_anew() -> None:
    world = World()
    scans = [scan(f"night-{number}", f"02:{number % 60:02}:{number // 60:02}", "Failed") for number in range(300)]
    world.end(*scans)
    assert len(world.told) == 300
    world.unwritten.clear()
    world.end(scan("another", "03:30:00", "Failed"))
    assert len(world.told) == 301
    assert len(set(world.taken)) == 301


def test_a_clock_that_was_a_day_ahead_silences_nobody() -> None:
    """Lost otherwise: each message until that time comes."""
    world = World()
    world.end(scan("before", "01:30:00", "Failed"))
    ahead = timedelta(days=1)
    wrong = scan("wrong", "02:05:00", "Failed")
    wrong = wrong._replace(time=wrong.time + ahead)
    world.trouble = replace(DOWN, retry_after=3600)
    world.end(wrong)
    assert world.notifier.status.paused_until
    world.trouble = None
    for time in ("02:08:00", "09:00:00", "23:00:00"):
        world.scans.append(scan(f"after-{time}", time, "Failed"))
        world.at(time)
    assert len(set(world.taken)) == len(world.taken) == 5


def test_a_clock_that_was_ahead_tells_nothing_from_before_the_notifier() -> None:
    world = World()
    status = world.notifier.status.model_copy(update={"since": format_precise(at("01:00:00") + timedelta(days=1))})
    world.notifier = replace(world.notifier, status=status, created=at("01:55:00"))
    world.scans = [scan("before", "01:54:00", "Failed"), scan("after", "01:56:00", "Failed")]
    world.at("01:58:00")
    assert len(world.told) == 1


def test_a_clock_that_is_a_moment_behind_repeats_nothing() -> None:
    """Lost otherwise: people's trust, since an edit of the notifier has forgotten what was told."""
    world = World()
    world.end(scan(new={"high": 2}))
    world.at("02:11:00")
    world.edit(minSeverity="low")
    world.at("02:10:30")
    assert world.told == ["NewFindings"]


def test_messages_go_in_the_order_in_which_scans_ended() -> None:
    world = World(on=["Failed", "Recovered"])
    world.end(scan("b", "02:00:02"), scan("c", "02:00:03", "Failed"), scan("a", "02:00:01", "Failed"))
    assert world.told == ["Failed", "Recovered", "Failed"]


def test_more_messages_than_the_outbox_holds_are_all_told() -> None:
    world = World()
    world.trouble = DOWN
    scans = [scan(f"night-{number:02}", f"02:00:{number:02}", "Failed") for number in range(60)]
    world.end(*scans)
    assert len(world.notifier.status.outbox) == scannotifier.MAX_OUTBOX
    world.trouble = None
    while until := world.settle():
        world.now = until
    assert len(set(world.taken)) == len(world.taken) == 60


def test_a_crash_between_the_sending_and_the_write_sends_it_again_with_the_same_id() -> None:
    world = World()
    world.scans = [scan(phase="Failed")]
    world.now = at("02:10:01")
    while not isinstance(decision := reconcile(Observed(notifier=world.notifier, scans=world.scans), world.now), Send):
        assert isinstance(decision, Write)
        world.write(decision.status)
    world.settle()  # another process, which knows the status alone
    assert world.taken == [decision.outgoing.id]


def test_a_message_outlives_its_plan() -> None:
    world = World()
    world.trouble = DOWN
    world.end(scan(phase="Failed"))
    world.scans.clear()
    world.trouble = None
    world.at("03:00:00")
    assert world.told == ["Failed"]


@pytest.mark.parametrize(("receiver_asks", "expected"), [(0.0, 5.0), (120.0, 120.0), (1e9, 21_600.0)])
def test_a_receiver_is_tried_again_when_it_says_and_not_for_ever_later(receiver_asks: float, expected: float) -> None:
    world = World()
    world.trouble = Trouble(Reason.RECEIVER_REFUSED, "429", retry_after=receiver_asks)
    world.end(scan(phase="Failed"))
    until = world.settle()
    assert until
    assert (until - world.now).total_seconds() == expected


def test_a_message_is_tried_for_a_day_ever_less_often() -> None:
    world = World()
    world.trouble = DOWN
    world.end(scan(phase="Failed"))
    begin, waits = world.now, []
    while until := world.settle():
        waits.append((until - world.now).total_seconds())
        world.now = until
    assert waits[:4] == [5, 10, 20, 40]
    assert max(waits) == 3600
    assert timedelta(hours=23) < world.now - begin < timedelta(hours=26)
    assert world.notifier.status.lost == 1
    assert world.notifier.status.outbox == ()


def test_a_message_that_is_refused_holds_up_no_other() -> None:
    world = World()
    world.trouble = Trouble(Reason.RECEIVER_REFUSED, "400", of_message=True)
    world.end(scan("bad", "02:00:00", "Failed"))
    world.trouble = None
    world.end(scan("good", "02:00:01", "Failed"))
    assert world.told == ["Failed"]
    assert world.conditions()["Ready"] == ("True", "Delivered")
    assert [each.notice.plan for each in world.notifier.status.outbox] == ["bad"]


def test_a_receiver_that_is_down_is_not_asked_for_each_message() -> None:
    world = World()
    world.trouble = DOWN
    world.end(*(scan(f"night-{number}", "02:00:00", "Failed") for number in range(10)))
    assert sum(each.attempts for each in world.notifier.status.outbox) == 1


def test_recovered_is_told_after_a_failure_even_if_its_plan_is_gone() -> None:
    world = World(on=["Recovered"])
    world.end(scan("night-1", "02:00:00", "Failed"))
    world.scans.clear()
    world.end(scan("night-2", "03:00:00"))
    world.end(scan("night-3", "04:00:00"))
    assert world.told == ["Recovered"]


def test_runs_recover_each_for_itself() -> None:
    world = World(on=["Recovered"])
    world.end(scan("a-1", "02:00:00", "Failed", run="a"))
    world.end(scan("b-1", "03:00:00", run="b"))
    assert world.told == []


@pytest.mark.parametrize("edit", [{"minSeverity": "info"}, {"on": ["Completed"]}, {"selector": {}}])
def test_an_edit_of_what_is_told_tells_nothing_of_the_past(edit: dict[str, Any]) -> None:
    world = World(selector={"matchLabels": {"team": "shop"}}, on=["NewFindings"])
    world.end(scan("past", "02:00:00", new={"medium": 1}))
    world.at("02:30:00")
    world.edit(**edit)
    assert world.told == []


def test_an_edit_of_the_receiver_loses_nothing_and_sends_at_once() -> None:
    world = World()
    world.trouble = DOWN
    world.end(scan(phase="Failed"))
    world.at("02:40:00")
    world.trouble = None
    world.edit(metadata={"team": "shop"})
    assert world.told == ["Failed"]


def test_a_suspended_notifier_sends_nothing_and_makes_nothing_good() -> None:
    world = World()
    world.edit(suspend=True)
    world.end(scan("meanwhile", "02:00:00", "Failed"))
    assert world.conditions() == {"Ready": ("True", "Suspended")}
    world.at("02:30:00")
    world.edit(suspend=False)
    world.end(scan("after", "03:00:00", "Failed"))
    assert len(world.told) == 1


def test_each_new_value_of_test_sends_one_message_and_the_first_one_none() -> None:
    world = World(test="made-with-it")
    assert world.told == []
    world.edit(test="one")
    world.settle()
    world.edit(test="two")
    assert world.told == ["Test", "Test"]
    assert world.taken == [id_of_test("n-1", "one"), id_of_test("n-1", "two")]


@pytest.mark.parametrize(("trouble", "kind"), [(DOWN, "Reconciling"), (MISSING, "Stalled")])
def test_trouble_is_a_condition_until_it_is_over(trouble: Trouble, kind: str) -> None:
    world = World()
    assert world.conditions() == {"Ready": ("True", "ReceiverFound")}
    world.trouble = world.check = trouble
    world.end(scan(phase="Failed"))
    assert world.conditions() == {"Ready": ("False", trouble.reason), kind: ("True", trouble.reason)}
    world.trouble = world.check = None
    world.at("03:30:00")
    assert world.conditions() == {"Ready": ("True", "Delivered")}
    assert world.told == ["Failed"]


def test_a_missing_secret_is_told_before_the_first_message_and_looked_for_again() -> None:
    world = World()
    world.check = MISSING
    world.edit(metadata={"a": "b"})
    assert world.conditions()["Stalled"] == ("True", "SecretUnavailable")
    world.check = None
    world.at("01:02:00")
    assert world.conditions() == {"Ready": ("True", "ReceiverFound")}


def test_a_plan_that_cannot_run_as_written_is_told_of_only_if_it_stays_so() -> None:
    """In GitOps, the ConfigMap that it names comes a moment later."""
    world = World()
    stalled = scan("stalled", "02:00:00", "Failed", completed=False)
    world.end(stalled)
    assert world.told == []
    world.scans.clear()
    world.at("02:05:00")
    assert world.told == []
    world.end(scan("lasting", "03:00:00", "Failed", completed=False))
    assert world.at("03:00:30") == at("03:01:00")
    world.at("03:01:00")
    assert world.told == ["Failed"]


def test_a_notifier_that_cannot_be_read_is_stalled() -> None:
    broken = replace(notifier(), problem="spec.on: unknown")
    decision = reconcile(Observed(notifier=broken, scans=[]), at("01:00:00"))
    assert isinstance(decision, Write)
    assert {each.type: each.reason for each in decision.status.conditions} == {
        "Ready": "InvalidSpec",
        "Stalled": "InvalidSpec",
    }


def test_a_status_of_a_newer_version_is_left_as_it_is() -> None:
    """Lost otherwise: messages that wait, after a rollback of the operator."""
    newer = replace(notifier(), unreadable="status.outbox.0.result: not known to this version")
    assert reconcile(Observed(notifier=newer, scans=[]), at("01:00:00")) == Wait(None)


def test_scans_of_which_nothing_is_told_cost_few_writes() -> None:
    world = World()
    writes = world.writes
    for number in range(500):
        world.end(scan(f"quiet-{number}", f"{2 + number // 60:02}:{number % 60:02}:00"))
    assert world.writes - writes <= 10
    assert len(world.notifier.status.settled) < 100


def test_a_full_status_stays_within_what_the_api_server_takes() -> None:
    words = "€" * 4_096
    world = World(metadata={f"key-{number}": "v" * 256 for number in range(16)})
    world.trouble = DOWN
    world.end(
        *(
            scan(f"night-{number}", "02:00:00", "Failed", message=words, new={"high": 3})
            for number in range(scannotifier.MAX_OUTBOX + 5)
        )
    )
    assert len(world.notifier.status.model_dump_json().encode()) < 256 << 10
