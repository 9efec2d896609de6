"""Rows 15 to 18: users and other controllers who delete, make again, edit and label, at every phase and in bursts."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable

from scanplan.api.exit_codes import ExitCode
from tests.faults import faults
from tests.faults.case import FULL, Case, Laboratory
from tests.faults.matrix import Outcome, row
from tests.faults.node import Ending
from tests.faults.oracle import Broken, Verdict
from tests.faults.rows_servers import half_done
from tests.integration.apiserver import JOBS, PLANS, PODS, Refused
from tests.integration.scene import hosts, shards


@row("15", "Job or plan deleted while running; a plan of the same name made again", 10)
def deleted(laboratory: Laboratory) -> Outcome:
    def job(policy: str) -> Verdict:
        """By hand, as kubectl does it in three ways; orphaned pods go when their node is told."""
        with laboratory.case(f"job deleted {policy}") as case:
            case.node.hold = True
            case.apply(**shards(2))
            job = case.running(pods=2)["jobRef"]
            case.delete_job(job["name"], policy)
            if policy == "Orphan":
                case.phase("Pending", reason="WaitingForPods")
                for pod in case.pods_of(job["name"]):
                    case.api.delete(f"{PODS.format(case.namespace)}/{pod['metadata']['name']}")
            case.until(lambda: case.job()["metadata"]["uid"] != job["uid"], "another Job")
            case.node.hold = False
            case.fault_ends()
            return case.judge(10, job_uids=2)

    def half(_: str) -> Verdict:
        with laboratory.case("job deleted half done") as case:
            half_done(case)
            case.fault_ends()
            return case.judge(10, job_uids=2)

    def plan(when: str) -> Verdict:
        """The plan goes and comes back: another UID, the same key. What is left of the first is never taken for its own."""
        with laboratory.case(f"plan deleted {when}") as case:
            case.node.hold = case.node.hold_stopping = True
            case.apply(**shards(2))
            first = case.running(pods=2)["jobRef"]
            old = case.plan()["metadata"]["uid"]
            if when == "after its end":
                case.node.hold = False
                case.phase("Completed")
                case.node.hold = True
            case.delete()
            case.until(lambda: "plan" not in case.history.now("plan", case.namespace), "its end")
            if when == "and its job gone":
                case.node.hold_stopping = False
                case.until(lambda: first["name"] not in case.jobs(), "its Job's end")
            case.apply(**shards(2))
            time.sleep(1)
            case.node.hold = case.node.hold_stopping = False
            status = case.phase("Completed")
            new = case.plan()["metadata"]["uid"]
            job = case.jobs()[status["jobRef"]["name"]]
            owners = {each["uid"] for each in job["metadata"]["ownerReferences"]}
            if status["jobRef"]["uid"] == first["uid"] or owners != {new} or new == old:
                raise Broken(f"the new plan {new} has taken over the old one's Job: {status['jobRef']}, {owners}")
            case.fault_ends()
            return case.judge(10, job_uids=2)

    verdicts = [
        *laboratory.each(job, ("Background", "Foreground", "Orphan")),
        *laboratory.each(half, ("once",)),
        *laboratory.each(plan, ("at once", "and its job gone", "after its end")),
    ]
    return Outcome(verdicts, "3 ways, half done, 3 moments")


Reach = Callable[[Case], None]
"""Brings plan “plan” into a phase, and holds it there."""


def _pending(case: Case) -> None:
    path = f"/api/v1/namespaces/{case.namespace}/resourcequotas"
    case.api.create(path, {"metadata": {"name": "none"}, "spec": {"hard": {"count/jobs.batch": "0"}}})
    case.until(lambda: (case.api.get(f"{path}/none") or {})["status"]["hard"], "the quota")
    case.apply(**shards(2))
    case.phase("Pending", reason="QuotaExceeded")


def _queued(case: Case) -> None:
    case.apply("other")
    case.running("other")
    case.apply(**shards(2))
    case.phase("Queued")


def _running(case: Case) -> None:
    case.apply(**shards(2))
    case.running(pods=2)


def _retrying(case: Case) -> None:
    case.node.script = lambda shard, before: Ending(ExitCode.TEMPORARY) if (shard, before) == (0, 0) else Ending()
    _running(case)
    case.node.hold_if = lambda shard, before: (shard, before) != (0, 0)
    case.node.hold = False
    case.phase("Retrying")
    case.node.hold = True


def _suspended(case: Case) -> None:
    _running(case)
    case.edit(suspend=True)
    case.phase("Suspended")


def _completed(case: Case) -> None:
    _running(case)
    case.node.hold = False
    case.phase("Completed")
    case.node.hold = True


def _failed(case: Case) -> None:
    case.node.script = lambda _, __: Ending(ExitCode.FATAL)
    _running(case)
    case.node.hold = False
    case.phase("Failed")
    case.node.script = lambda _, __: Ending()
    case.node.hold = True


def _cancelled(case: Case) -> None:
    _running(case)
    case.edit(cancel=True)
    case.phase("Cancelled")


PHASES: dict[str, Reach] = {
    "Pending": _pending,
    "Queued": _queued,
    "Running": _running,
    "Retrying": _retrying,
    "Suspended": _suspended,
    "Completed": _completed,
    "Failed": _failed,
    "Cancelled": _cancelled,
}

EDITS: dict[str, Callable[[Case], object]] = {
    "edited": lambda case: case.edit(endpoints=hosts(3)),
    "suspended": lambda case: case.edit(suspend=True),
    "resumed": lambda case: case.edit(suspend=False),
    "cancelled": lambda case: case.edit(cancel=True),
    "rerun": lambda case: case.edit(rerun="again", cancel=False),
}


@row("16", "spec edited, suspended, cancelled, rerun, at every phase", 10)
def edited(laboratory: Laboratory) -> Outcome:
    """In the short form the edits of a phase follow each other in one life; in the full form each has its own."""

    def attempt(work: tuple[str, tuple[str, ...]]) -> Verdict:
        phase, edits = work
        with laboratory.case(f"{phase} {' '.join(edits)}", WORKER_CONCURRENCY="1") as case:
            case.node.hold = True
            PHASES[phase](case)
            for edit in edits:
                EDITS[edit](case)
            case.node.hold_if = lambda _, __: False
            case.node.hold = False
            if phase == "Pending":
                case.api.delete(f"/api/v1/namespaces/{case.namespace}/resourcequotas/none")
            case.fault_ends()
            return case.judge(10)

    def unsaid(_: str) -> Verdict:
        """Cancelled when its pods run already, and no status has said so yet."""
        with laboratory.case("cancelled before its first status") as case:
            refused = faults.Refused(503, {"patch"})
            case.proxy.faults = (refused,)
            case.node.hold = True
            case.apply(**shards(2))
            case.until(lambda: len(case.pods("Running")) == 2 and refused.at, "its pods")
            case.edit(cancel=True)
            case.proxy.faults = ()
            case.node.hold = False
            case.fault_ends()
            verdict = case.judge(10)
            if case.status()["phase"] == "Cancelled" and "files" not in case.status().get("artifacts", {}):
                raise Broken(f"what its pods had found is not collected: {case.status()}")
            return verdict

    singles: list[tuple[str, tuple[str, ...]]] = [
        (phase, (edit,)) for phase in PHASES for edit in EDITS if (phase, edit) != ("Suspended", "suspended")
    ]
    orders = [(phase, ("suspended", "edited", "resumed", "cancelled", "rerun")) for phase in PHASES]
    mixed = [(phase, ("cancelled", "edited", "rerun")) for phase in PHASES] if FULL else []
    works = [*orders, *mixed, *(singles if FULL else _some(singles))]
    verdicts = laboratory.each(attempt, works) + laboratory.each(unsaid, ("once",))
    return Outcome(verdicts, f"{len(works)} pairs of phase and edits")


def _some(singles: list[tuple[str, tuple[str, ...]]]) -> list[tuple[str, tuple[str, ...]]]:
    """One edit for each phase, each edit at least once."""
    by_phase = itertools.groupby(singles, key=lambda work: work[0])
    return [next(itertools.islice(works, position % 4, None)) for position, (_, works) in enumerate(by_phase)]


@row("17", "termination message gone; Job gone by TTL while the operator was down", 15)
def gone_unread(laboratory: Laboratory) -> Outcome:
    def attempt(what: str) -> Verdict:
        with laboratory.case(f"gone unread {what}") as case:
            case.node.hold = True
            case.apply(**shards(2))
            job = case.running(pods=2)["jobRef"]
            with case.deployment.absent():
                case.node.hold = False
                case.until(lambda: _complete(case, job["name"]), "the Job's end")
                if what == "pods":
                    for pod in case.pods_of(job["name"]):
                        case.api.delete(
                            f"{PODS.format(case.namespace)}/{pod['metadata']['name']}", gracePeriodSeconds=0
                        )
                    case.until(lambda: not case.pods_of(job["name"]), "the pods' end")
                else:
                    ttl = {"spec": {"ttlSecondsAfterFinished": 0}}
                    case.api.patch(f"{JOBS.format(case.namespace)}/{job['name']}", ttl)
                    case.until(lambda: job["name"] not in case.jobs(), "the Job's TTL")
            case.fault_ends()
            verdict = case.judge(15, job_uids=2 if what == "job" else 1)
            status = case.phase("Completed")
            if what == "job" and not all(folder.scans for folder in case.node.claim.values()):
                raise Broken(f"nothing was scanned: {status}")
            scans = [len(folder.scans) for folder in case.node.claim.values()]
            if scans != [2]:
                raise Broken(f"scanned {scans} times instead of 2: not replayed")
            return verdict

    return Outcome(laboratory.each(attempt, ("pods", "job")), "pods deleted unread, Job gone by TTL")


def _complete(case: Case, name: str) -> bool:
    conditions = case.jobs()[name]["status"].get("conditions", ())
    return any(each["type"] == "Complete" and each["status"] == "True" for each in conditions)


PLANS_IN_BURST = 200 if FULL else 60


@row("18", "metadata edits of others in bursts, within 100 ms of creation and at each status write", 10)
def metadata_bursts(laboratory: Laboratory) -> Outcome:
    with laboratory.case("metadata bursts") as case:
        patches = _Patches(case)
        names = [f"plan-{number}" for number in range(PLANS_IN_BURST)]
        patches.start()
        laboratory.each(patches.made, names)
        for name in names:
            case.phase("Completed", name)
        patches.stop()
        case.fault_ends()
        verdict = case.judge(10)
        for name in names:
            case.api.patch(f"{PLANS.format(case.namespace)}/{name}", {"metadata": {"finalizers": None}})
        writes = len([call for call in case.proxy.writes if call.resource == "scanplans/status"])
        return Outcome([verdict], f"{PLANS_IN_BURST} plans, {patches.count} edits, {writes} status writes")


class _Patches:
    """Others who label, annotate and put finalizers on plans and Jobs: right after these are made, and at every change of them."""

    def __init__(self, case: Case) -> None:
        self.count = 0
        self._case = case
        self._seen: dict[str, str] = {}
        self._chance = random.Random(18)  # noqa: S311 - a script
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(timeout=120)

    def made(self, name: str) -> None:
        """Make a plan, and edit its metadata in the 100 ms that follow."""
        self._case.apply(name)
        for number in range(3):
            self._patch(PLANS, name, number)
            time.sleep(0.03)

    def _run(self) -> None:
        """At every status: one more edit, which the next status write will collide with."""
        while not self._stopped.wait(0.02):
            for kind, path in (("plan", PLANS), ("job", JOBS)):
                for name, each in self._case.history.now(kind, self._case.namespace).items():
                    state = str(each["status"].get("phase") or each["status"].get("active"))
                    if self._seen.get(f"{kind} {name}") != state:
                        self._seen[f"{kind} {name}"] = state
                        self._patch(path, name, self._chance.randrange(3))

    def _patch(self, path: str, name: str, number: int) -> None:
        mark = str(self._chance.random())
        metadata = (
            {"labels": {"team": mark}},
            {"annotations": {"note.example/of": mark}},
            {"finalizers": ["example.com/others"]} if path == PLANS else {"annotations": {"other.example/x": mark}},
        )[number]
        try:
            self._case.api.patch(f"{path.format(self._case.namespace)}/{name}", {"metadata": metadata})
            self.count += 1
        except Refused as error:
            if error.status not in {404, 409}:
                raise
