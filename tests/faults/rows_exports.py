"""Rows 30 to 32: exports. Each result goes to its receiver by one Job, under one key, whatever happens around it.

A case is a receiver, and plans that export to it while the fault is at work. The node runs the real exporter. The oracle of plans
judges the scans as well: an export never costs one.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from scanplan.api import labels
from scanplan.api.documents.export import decode_document
from tests.faults.case import FULL, Case, Laboratory
from tests.faults.faults import HOWS, How, at_writes
from tests.faults.history import Object
from tests.faults.matrix import Outcome, row
from tests.faults.node import MERGED_FILE
from tests.faults.oracle import Broken, Verdict
from tests.fixtures.receivers import Answer, HttpReceiver, http_receiver
from tests.integration.exporter import attempt
from tests.integration.test_exports import LOCAL

SCANS = 3
SETTLED = 1_000 if FULL else 200


def exports(receiver: HttpReceiver) -> list[Object]:
    return [{"name": "hook", "http": {"url": receiver.url("/in")}}]


@contextlib.contextmanager
def exporting(laboratory: Laboratory, name: str, operators: int = 1) -> Iterator[tuple[Case, HttpReceiver]]:
    """A case whose operators may export to this machine, and whose node runs the real exporter."""
    with (
        laboratory.case(name, operators=operators, program=None, **LOCAL) as case,
        http_receiver() as receiver,
        TemporaryDirectory() as folder,
    ):

        def run(pod: Object) -> tuple[int, str]:
            document = decode_document(pod["metadata"]["annotations"][labels.TASK_DOCUMENT].encode())
            result = Path(folder) / pod["metadata"]["uid"]
            result.mkdir()
            (file,) = document.files
            (result / MERGED_FILE).write_bytes(case.node.contents[file.sha256])
            return attempt(pod, result, result / "pod")

        case.node.export = run
        yield case, receiver


def scans(case: Case, receiver: HttpReceiver) -> list[str]:
    """Let some scans end, one after the other; their names."""
    names = [f"night-{number}" for number in range(SCANS)]
    for name in names:
        case.apply(name, runId=name, exports=exports(receiver))
        case.phase("Completed", name)
    return names


def state(case: Case, name: str) -> str:
    """Status of the condition Exported; empty while there is none."""
    conditions = case.status(name).get("conditions", ())
    return next((str(each["status"]) for each in conditions if each["type"] == "Exported"), "")


def account(case: Case, receiver: HttpReceiver, names: list[str], expected: str = "True") -> None:
    """Each result was taken once, under a key of its own, and the statuses say so.

    Raises:
        Broken: with what is not as it must be.
    """
    case.until(lambda: all(state(case, name) == expected for name in names), f"all Exported {expected}")
    taken = Counter(request.headers["scanplan-name"] for request in receiver.taken)
    wrong = {name: taken[name] for name in names if taken[name] != (1 if expected == "True" else 0)}
    keys: dict[str, set[str]] = {}
    for request in receiver.requests:
        keys.setdefault(request.headers["scanplan-name"], set()).add(request.headers["idempotency-key"])
    several = {name: each for name, each in keys.items() if len(each) > 1}
    jobs = Counter(
        job["metadata"]["ownerReferences"][0]["name"]
        for job in case.jobs().values()
        if job["metadata"]["labels"][labels.COMPONENT] == labels.COMPONENT_EXPORTER
    )
    doubled = {name: number for name, number in jobs.items() if number > 1}
    if wrong or several or doubled:
        raise Broken(f"taken {wrong}, under several keys {several}, by several Jobs {doubled}")


def judged(case: Case, receiver: HttpReceiver, expected: str = "True") -> Verdict:
    names = scans(case, receiver)
    account(case, receiver, names, expected)
    case.proxy.faults = ()
    case.fault_ends()
    verdict = case.judge(60)
    account(case, receiver, names, expected)
    return verdict


@row("30", "export: operator killed before and after each write; an answer lost", 60)
def killed_at_writes(laboratory: Laboratory) -> Outcome:
    met: list[str] = []

    def one(how: How) -> Verdict:
        with exporting(laboratory, f"export {how}") as (case, receiver):
            fault = at_writes(how, case.deployment.kill)
            case.proxy.faults = (fault,)
            verdict = judged(case, receiver)
            met.extend(fault.met)
            return verdict

    return Outcome(laboratory.each(one, HOWS), f"{len(met)} faults")


@row("31", "export: receiver answers 500 or 429, hangs, redirects, closes", 60)
def bad_receivers(laboratory: Laboratory) -> Outcome:
    answers = {
        "500": Answer(500),
        "429": Answer(429, {"Retry-After": "1"}),
        "hangs": Answer(hang=True),
        "redirects": Answer(307, {"Location": "http://127.0.0.1:1/"}),
        "closes": Answer(close=True),
    }

    def one(how: str) -> Verdict:
        with exporting(laboratory, f"export receiver {how}") as (case, receiver):
            if how == "redirects":
                receiver.always = answers[how]
                verdict = judged(case, receiver, "False")
                if len(receiver.requests) != SCANS:
                    raise Broken(f"{len(receiver.requests)} requests, of {SCANS} results that are refused for good")
                return verdict
            receiver.answers.extend([answers[how]] * 2)
            return judged(case, receiver)

    return Outcome(laboratory.each(one, answers), "5 receivers")


@row("32", "export: two operators at once; a restart with many settled plans", 60)
def others(laboratory: Laboratory) -> Outcome:
    def twice(laboratory: Laboratory) -> Verdict:
        with exporting(laboratory, "export twice", operators=2) as (case, receiver):
            return judged(case, receiver)

    def settled(laboratory: Laboratory) -> Verdict:
        with exporting(laboratory, "export settled") as (case, receiver):
            (first, *_) = names = scans(case, receiver)
            account(case, receiver, names)
            ended = case.plan(first)
            with case.settled(ended, ended["status"], SETTLED):
                names.append("last")
                case.apply("last", runId="last", exports=exports(receiver))
                case.phase("Completed", "last")
                account(case, receiver, names)
                if len(receiver.requests) != len(names):
                    raise Broken(f"{len(receiver.requests)} requests, of {len(names)} results")
            case.fault_ends()
            return case.judge(60)

    work: tuple[Callable[[Laboratory], Verdict], ...] = (twice, settled)
    return Outcome(laboratory.each(lambda each: each(laboratory), work), f"{SETTLED:,} settled plans")
