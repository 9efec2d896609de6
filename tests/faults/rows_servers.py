"""Rows 6, 7, 12 and 14: an API server that refuses, hangs, dies or is out of quota, and a clock that is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable

import urllib3

from tests.faults.case import FULL, Case, Laboratory
from tests.faults.faults import BrokenStreams, LostAnswers, Refused, Trouble
from tests.faults.lives import LIVES
from tests.faults.matrix import Outcome, repeated, row
from tests.faults.oracle import Broken, Verdict
from tests.integration import apiserver
from tests.integration.scene import shards

ALL_FOR_SECONDS = 60 if FULL else 15


@row("6", "409, 429 with Retry-After, 5xx, hanging requests: 20 % of calls, then all", 30)
def trouble(laboratory: Laboratory) -> Outcome:
    met: list[int] = []

    def some(work: tuple[str, int]) -> Verdict:
        """A whole life in which every fifth call goes wrong."""
        name, seed = work
        life, settings = LIVES[name]
        with laboratory.case(f"{name} in trouble {seed}", **settings) as case:
            fault = Trouble(0.2, seed)
            case.proxy.faults = (fault,)
            life(case)
            case.proxy.faults = ()
            case.fault_ends()
            verdict = case.judge(30)
            met.append(fault.met)
            return verdict

    def everything(status: int | None) -> Verdict:
        """Every call goes wrong, while scans end, are edited and are asked for."""
        with laboratory.case(f"all calls {status or 'mixed'}") as case:
            case.node.hold = True
            for name in ("ending", "edited"):
                case.apply(name, **shards(2))
            for name in ("ending", "edited"):
                case.running(name, pods=2)
            fault = Trouble(1.0, 1) if status is None else Trouble(1.0, 1, statuses=(status,), hang_seconds=30.0)
            streams = BrokenStreams("cut", broken=False)
            case.proxy.faults = (fault, streams)
            streams.broken = True
            case.edit("edited", suspend=True)
            case.apply("new")
            case.node.hold = False
            time.sleep(ALL_FOR_SECONDS)
            case.proxy.faults = ()
            case.fault_ends()
            verdict = case.judge(30)
            met.append(fault.met)
            return verdict

    names = tuple(LIVES) if FULL else ("retried", "collected", "cancelled", "superseded", "shared", "queued")
    works = [(name, seed) for seed in repeated(1, 3) for name in names]
    verdicts = laboratory.each(some, works) + laboratory.each(everything, (None, 503, 429))
    return Outcome(verdicts, f"{sum(met)} calls")


@row("6 retry-after", "429 with Retry-After: the operator comes back no sooner", 30)
def retry_after(laboratory: Laboratory) -> Outcome:
    with laboratory.case("retry after") as case:
        refused = Refused(429, {"create"}, retry_after=4)
        case.proxy.faults = (refused,)
        case.apply()
        case.until(lambda: len(refused.at) >= 3, "three attempts")
        case.proxy.faults = ()
        case.fault_ends()
        pauses = [later - sooner for sooner, later in zip(refused.at, refused.at[1:], strict=False)]
        if min(pauses) < 4:
            raise Broken(f"asked to wait 4 s, came back after {min(pauses):.1f} s")
        verdict = case.judge(30)
    return Outcome([verdict], f"{len(refused.at)} refusals, shortest pause {min(pauses):.1f} s")


@row("7", "API server and etcd killed and restarted", 60, exclusive=True)
def killed_servers(laboratory: Laboratory) -> Outcome:
    """All at once: scans that end, fail, are edited, cancelled and made while there is no API server or it is just back."""

    def attempt(component: str) -> Verdict:
        with laboratory.case(f"{component} killed") as case:
            case.node.hold = True
            names = [f"plan-{number}" for number in range(6)]
            for name in names:
                case.apply(name, **shards(2))
            for name in names:
                case.running(name, pods=2)
            case.edit("plan-0", suspend=True)
            case.edit("plan-1", cancel=True)
            case.edit("plan-2", rerun="again")
            case.delete("plan-3")
            case.node.hold = False
            laboratory.cluster.kill(component)
            time.sleep(5)
            laboratory.cluster.restart(component)
            if component == "etcd":  # the API server may have given up on it
                laboratory.cluster.restart("kube-apiserver")
            case.fault_ends()
            _retried(lambda: case.apply("new"))
            return case.judge(60)

    verdicts = [attempt(component) for _ in repeated(1, 3) for component in ("kube-apiserver", "etcd")]
    return Outcome(verdicts, "SIGKILL, 5 s of absence")


def _retried(act: Callable[[], object]) -> None:
    """A user tries again until the API server is back."""
    for _ in range(100):
        try:
            act()
            return
        except (apiserver.Refused, OSError, urllib3.exceptions.HTTPError):
            time.sleep(0.3)
    act()


@row("12", "clock one hour off", 15)
def wrong_clock(laboratory: Laboratory) -> Outcome:
    def attempt(work: tuple[str, int]) -> Verdict:
        name, seconds = work
        life, settings = LIVES[name]
        program = ("tests.faults.shifted", str(seconds))
        with laboratory.case(f"{name} {seconds} s off", program=program, **settings) as case:
            life(case)
            case.fault_ends()
            return case.judge(15)

    def replayed(seconds: int) -> Verdict:
        """A Job that is deleted half done, and made again: its published shard is within the window by any clock."""
        program = ("tests.faults.shifted", str(seconds))
        with laboratory.case(f"replayed {seconds} s off", program=program) as case:
            half_done(case)
            case.fault_ends()
            return case.judge(15, job_uids=2)

    names = tuple(LIVES) if FULL else ("single", "collected", "cancelled", "suspended")
    works = [(name, seconds) for name in names for seconds in (3600, -3600)]
    return Outcome(
        laboratory.each(attempt, works) + laboratory.each(replayed, (3600, -3600)), "an hour ahead, an hour behind"
    )


def half_done(case: Case) -> None:
    """One of two shards is published, then the Job is deleted."""
    case.node.hold = True
    case.apply(**shards(2))
    name = case.running(pods=2)["jobRef"]["name"]
    case.node.hold_if = lambda shard, _: shard == 1
    case.node.hold = False
    case.until(lambda: case.jobs()[name]["status"].get("succeeded") == 1, "one shard's end")
    uid = case.jobs()[name]["metadata"]["uid"]
    case.delete_job(name)
    case.until(lambda: case.jobs()[name]["metadata"]["uid"] != uid, "another Job")
    case.node.hold_if = lambda _, __: False
    case.phase("Completed")


@row("14", "ResourceQuota refuses the Job, later lifted", 15)
def quota(laboratory: Laboratory) -> Outcome:
    def attempt(what: str) -> Verdict:
        with laboratory.case(f"quota {what}") as case:
            path = f"/api/v1/namespaces/{case.namespace}/resourcequotas"
            hard = {"count/jobs.batch": "0"} if what == "jobs" else {"pods": "0"}
            case.api.create(path, {"metadata": {"name": "none"}, "spec": {"hard": hard}})
            case.until(lambda: (case.api.get(f"{path}/none") or {})["status"]["hard"], "the quota")
            case.apply()
            if what == "jobs":
                case.phase("Pending", reason="QuotaExceeded")
            else:
                case.phase("Pending")
            case.api.delete(f"{path}/none")
            case.fault_ends()
            return case.judge(15)

    def hidden() -> Verdict:
        """The 403 of a quota hides that the Job is there already: its creation's answer was lost."""
        with laboratory.case("quota hides") as case:
            path = f"/api/v1/namespaces/{case.namespace}/resourcequotas"
            hard = {"count/jobs.batch": "1"}
            case.api.create(path, {"metadata": {"name": "one"}, "spec": {"hard": hard}})
            case.until(lambda: (case.api.get(f"{path}/one") or {})["status"]["hard"], "the quota")
            case.proxy.faults = (LostAnswers(),)
            case.apply()
            case.fault_ends()
            return case.judge(15)

    return Outcome(
        [*laboratory.each(attempt, ("jobs", "pods")), hidden()], "of Jobs, of pods, and hiding AlreadyExists"
    )
