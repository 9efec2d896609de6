"""Rows 20 to 24, and 29: schedules. No time has two runs, and none is passed over unsaid, whatever happens around it.

Each case is a schedule of every minute. Its runs are plans with pods of their own, so the oracle of plans judges them as well. A
case is mostly waiting for its minute, so it takes no place of another one.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import Any

from scanplan.api.times import required_time
from scanplan.core.schedule.names import name_at, time_of
from tests.faults.case import Case, Laboratory
from tests.faults.faults import HOWS, How, Unreachable, at_writes
from tests.faults.history import Object
from tests.faults.matrix import Outcome, row
from tests.faults.oracle import Broken, Verdict
from tests.faults.proxy import Call, Fault, Forward, Reply
from tests.integration.operator_process import SCANNER_IMAGE
from tests.integration.test_schedules import SCHEDULES, manifest

NAME = "minutely"
MINUTE = timedelta(minutes=1)
MIDDLE = range(5, 45)
"""Seconds of a minute in which an edit is clearly before or after each time."""


def create(case: Case, **spec: Any) -> Object:
    """A schedule that the operator has seen."""
    case.leave()
    case.api.create(SCHEDULES.format(case.namespace), manifest(NAME, **{"concurrencyPolicy": "Allow", **spec}))
    return observed(case)


def get(case: Case) -> Object:
    found = case.api.get(f"{SCHEDULES.format(case.namespace)}/{NAME}")
    assert found
    return found


def edit(case: Case, **spec: Any) -> None:
    case.api.patch(f"{SCHEDULES.format(case.namespace)}/{NAME}", {"spec": spec})


def observed(case: Case) -> Object:
    """The schedule, once the status is about it as it is now."""

    def look() -> Object | None:
        found = get(case)
        return found if found["status"]["observedGeneration"] == found["metadata"]["generation"] else None

    found = case.until(look, "the schedule's status")
    assert found
    return found


def made(case: Case) -> dict[str, set[str]]:
    """The UIDs of all runs that there ever were, by their names."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for event in case.history.events(case.namespace):
        if event.kind == "plan":
            found[event.object["metadata"]["name"]].add(event.object["metadata"]["uid"])
    return dict(found)


def completed(case: Case, count: int) -> None:
    """Wait until so many runs are Completed."""

    def look() -> bool:
        phases = [plan["status"].get("phase") for plan in case.history.now("plan", case.namespace).values()]
        return phases.count("Completed") >= count

    case.until(look, f"{count} runs")


def to_the_middle(case: Case) -> datetime:
    """Wait for the middle of a minute whose time the operator has dealt with; when that was.

    If the test suspends the schedule before the operator has dealt with that time, the operator sees a suspended schedule and
    makes no run. Nothing tells it that the schedule was suspended only after the time.
    """
    while True:
        now = datetime.now(UTC)
        if now.second in MIDDLE:
            case.until(partial(_all_told, case, now), "the time of this minute")
            if datetime.now(UTC) < now.replace(second=MIDDLE.stop):
                return now
        time.sleep(0.5)


def end(case: Case) -> None:
    """Suspend the schedule, and let its runs end."""
    edit(case, suspend=True)
    case.fault_ends()
    observed(case)
    case.until(lambda: get(case)["status"]["activeCount"] == 0, "the end of all runs")


def _times(schedule: Object, until: datetime) -> set[datetime]:
    """The minutes that have begun since the schedule was made."""
    times, last = set(), required_time(schedule["metadata"]["creationTimestamp"])
    while (last := last.replace(second=0) + MINUTE) <= until:
        times.add(last)
    return times


def _had(runs: Iterable[str]) -> set[datetime]:
    """The times that have a run."""
    return {found for name in runs if (found := time_of(NAME, name))}


def _counted(schedule: Object) -> int:
    """The times without a run, as the status tells."""
    missed, skipped = schedule["status"]["missed"], schedule["status"]["skipped"]
    return int(missed) + int(skipped)


def _all_told(case: Case, until: datetime) -> bool:
    """Whether each time has a run, or is counted."""
    schedule = get(case)
    return len(_times(schedule, until) - _had(made(case))) == _counted(schedule)


def account(case: Case, until: datetime) -> None:
    """Each time has had one run, or was counted; and the status says what there is.

    Raises:
        Broken: with what is not as it must be.
    """
    schedule, runs = get(case), made(case)
    status, times, had, counted = schedule["status"], _times(schedule, until), _had(runs), _counted(schedule)
    twice = [name for name, uids in runs.items() if len(uids) > 1]
    wrong = [f"made twice: {twice}"] if twice else []
    if had - times or len(had) < len(runs):
        wrong.append(f"not of the timetable: {had - times} of {sorted(runs)}")
    if len(times - had) != counted:
        wrong.append(f"{times - had} had no run, and {counted} were counted")
    last = max(had, default=None)
    if last and required_time(status["lastScheduleTime"]) != last:
        wrong.append(f"the last run is of {last}, and the status says {status['lastScheduleTime']}")
    if wrong:
        raise Broken("\n".join([*wrong, str(status)]))


Act = Callable[[Case], None]


def judged(case: Case, act: Act = lambda case: completed(case, 2)) -> Verdict:
    """A schedule's life: created, `act`, suspended; judged as a schedule, and its runs as plans."""
    create(case)
    act(case)
    until = to_the_middle(case)
    end(case)
    case.proxy.faults = ()
    verdict = case.judge(30)
    account(case, until)
    return verdict


@row("20", "schedule: operator killed before and after each write; an answer lost", 60)
def killed(laboratory: Laboratory) -> Outcome:
    met: list[str] = []

    def attempt(how: How) -> Verdict:
        with laboratory.case(f"schedule {how}") as case:
            fault = at_writes(how, case.deployment.kill)
            case.proxy.faults = (fault,)
            verdict = judged(case)
            met.extend(fault.met)
            return verdict

    verdicts = laboratory.each(attempt, HOWS)
    return Outcome(verdicts, f"{len(met)} faults")


@row("21", "schedule: two operators at once", 30)
def two_operators(laboratory: Laboratory) -> Outcome:
    with laboratory.case("schedule twice", operators=2) as case:
        return Outcome([judged(case)], "2 runs")


@row("22", "schedule: clock one hour off", 30)
def wrong_clock(laboratory: Laboratory) -> Outcome:
    def attempt(seconds: int) -> Verdict:
        program = ("tests.faults.shifted", str(seconds))
        with laboratory.case(f"schedule {seconds} s off", program=program) as case:
            return judged(case, lambda case: completed(case, 1))

    return Outcome(laboratory.each(attempt, (3600, -3600)), "an hour ahead, an hour behind")


@row("23", "schedule: API server out of reach over the start; runs deleted; edits in between", 30)
def away(laboratory: Laboratory) -> Outcome:
    def out_of_reach(case: Case) -> None:
        while datetime.now(UTC).second not in range(50, 56):
            time.sleep(0.5)
        case.proxy.faults = (Unreachable(),)
        time.sleep(20)
        case.proxy.faults = ()
        completed(case, 1)

    def deleted(case: Case) -> None:
        """A run at work, and one that has ended."""
        case.node.hold = True
        case.until(lambda: case.pods("Running"), "a run at work")
        (name,) = case.history.now("plan", case.namespace)
        case.delete(name)
        case.until(lambda: not case.history.now("plan", case.namespace), "its end")
        case.node.hold = False
        edit(case, startingDeadlineSeconds=600)
        completed(case, 1)
        (name,) = case.history.now("plan", case.namespace)
        case.delete(name)

    def edits(case: Case) -> None:
        """Of the template, the policy and the limits, each few seconds; none of them moves or repeats a time."""
        for number in range(24):
            spec = {"endpoints": [f"https://app-{number}.example.com"], "templates": ["http/cves/"]}
            edit(case, startingDeadlineSeconds=100 + number, template={"spec": spec})
            time.sleep(3)
        completed(case, 1)

    def attempt(act: Act) -> Verdict:
        with laboratory.case(f"schedule {act.__name__}") as case:
            return judged(case, act)

    return Outcome(laboratory.each(attempt, (out_of_reach, deleted, edits)), "20 s away, 2 deletions, 24 edits")


class ServerTime(Fault):
    """The API server's answers are of another time, which goes on from there."""

    def __init__(self, moment: datetime) -> None:
        self.set(moment)

    def set(self, moment: datetime) -> None:
        self._ahead = moment - datetime.now(UTC)

    async def call(self, call: Call, forward: Forward) -> Reply:
        del call
        reply = await forward()
        reply.headers = {name: value for name, value in reply.headers.items() if name.lower() != "date"}
        reply.headers["Date"] = format_datetime(datetime.now(UTC) + self._ahead, usegmt=True)
        return reply


@row("24", "schedule: the nights of the time changes", 30)
def time_changes(laboratory: Laboratory) -> Outcome:
    """The operator's time is that of the API server's answers: a night of next year, of which some minutes are seen."""

    def attempt(night: tuple[str, str, tuple[str, ...]]) -> Verdict:
        zone, expected, moments = night
        with laboratory.case(f"schedule {zone} {expected[:10]}", operators=2) as case:
            clocks = [ServerTime(required_time(moments[0])) for _ in case.proxies]
            for proxy, clock in zip(case.proxies, clocks, strict=True):
                proxy.faults = (clock,)
            for deployment in case.deployments:
                deployment.kill()  # they have seen another time already
            create(case, schedule="30 2 * * *", timeZone=zone)
            for number, moment in enumerate(moments[1:]):
                for clock in clocks:
                    clock.set(required_time(moment))
                edit(case, successfulRunsHistoryLimit=10 + number)
                observed(case)
                time.sleep(3)
            names = sorted(made(case))
            if names != [name_at(NAME, required_time(expected))]:
                raise Broken(f"runs of that night: {names}, {get(case)['status']}")
            for proxy in case.proxies:
                proxy.faults = ()
            edit(case, suspend=True)
            case.fault_ends()
            completed(case, 1)
            return case.judge(30)

    nights = (
        # at 02:30, which does not exist: at 03:00, and not once more
        ("Europe/Berlin", "2027-03-28T01:00Z", ("2027-03-28T00:30Z", "2027-03-28T01:00Z", "2027-03-28T01:31Z")),
        # at 02:30, which comes twice: the first time
        ("Europe/Berlin", "2027-10-31T00:30Z", ("2027-10-31T00:10Z", "2027-10-31T00:31Z", "2027-10-31T01:31Z")),
        ("Australia/Sydney", "2027-10-02T16:00Z", ("2027-10-02T15:30Z", "2027-10-02T16:00Z", "2027-10-02T16:31Z")),
    )
    return Outcome(laboratory.each(attempt, nights), "3 nights of both hemispheres")


@row("29", "schedule: changed templates; operator killed before and after each write; an answer lost", 60)
def changed_templates(laboratory: Laboratory) -> Outcome:
    """The one run that they ask for is made, and made once."""
    met: list[str] = []
    image = {"image": {"reference": SCANNER_IMAGE}}
    template = {"spec": {"endpoints": ["https://app.example.com"], "templates": ["http/"], "templatesFrom": [image]}}

    def attempt(how: How) -> Verdict:
        with laboratory.case(f"templates {how}") as case:
            create(case, schedule="0 2 1 1 *", rescanOn=["TemplatesChanged"])
            fault = at_writes(how, case.deployment.kill)
            case.proxy.faults = (fault,)
            edit(case, template=template)
            completed(case, 1)
            end(case)
            case.proxy.faults = ()
            met.extend(fault.met)
            verdict = case.judge(30)
            runs, start = made(case), get(case)["status"]["lastStart"]
            if [len(uids) for uids in runs.values()] != [1] or start["reason"] != "TemplatesChanged":
                raise Broken(f"one change has made {runs}; the status says {start}")
            return verdict

    return Outcome(laboratory.each(attempt, HOWS), f"{len(met)} faults")
