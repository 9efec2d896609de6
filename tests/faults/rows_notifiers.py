"""Rows 25 to 28: notifiers. Each scan that ends is told, with one id, whatever happens around it; and nothing else is.

A case is a notifier with a receiver of its own, and plans whose scans end while the fault is at work. The receiver keeps every
request. The oracle of plans judges the scans as well: a message never costs one.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator

from tests.deploy import OPERATOR_ACCOUNT
from tests.faults.case import FULL, Case, Laboratory
from tests.faults.faults import HOWS, How, at_writes
from tests.faults.history import Object
from tests.faults.matrix import Outcome, row
from tests.faults.oracle import Broken, Verdict
from tests.fixtures.receivers import Answer, HttpReceiver, Request, http_receiver
from tests.integration.test_notifiers import KEY, LOCAL, NOTIFIERS, manifest

NAME = "team"
SCANS = 3
SETTLED = 1_000 if FULL else 200


def create(case: Case, receiver: HttpReceiver) -> None:
    """A notifier whose receiver the operator has found."""
    api, namespace = case.api, case.namespace
    values = {"url": receiver.url(), "signing": KEY}
    labels = {"scanplan.dev/use": "notifier"}
    api.create(
        f"/api/v1/namespaces/{namespace}/secrets",
        {"metadata": {"name": "hook", "labels": labels}, "stringData": values},
    )
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["hook"], "verbs": ["get"]}
    api.create(f"{roles}/roles", {"metadata": {"name": "notifiers"}, "rules": [rule]})
    account_namespace, account = OPERATOR_ACCOUNT.split(":")
    api.create(
        f"{roles}/rolebindings",
        {
            "metadata": {"name": "notifiers"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "notifiers"},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": account_namespace}],
        },
    )
    api.create(NOTIFIERS.format(namespace), manifest(NAME, on=["NewFindings", "Failed", "Recovered", "Completed"]))
    case.until(lambda: reason(case) == "ReceiverFound", "the receiver")


def get(case: Case) -> Object:
    found = case.api.get(f"{NOTIFIERS.format(case.namespace)}/{NAME}")
    assert found
    return found


def reason(case: Case) -> str:
    conditions = get(case)["status"].get("conditions", ())
    return next((str(each["reason"]) for each in conditions if each["type"] == "Ready"), "")


def scans(case: Case) -> list[str]:
    """Let some scans end, one after the other; their names."""
    names = [f"night-{number}" for number in range(SCANS)]
    for name in names:
        case.apply(name, runId=name)
        case.phase("Completed", name)
    return names


def told(receiver: HttpReceiver) -> dict[str, set[str]]:
    """The ids under which the receiver took messages about each plan."""
    found: dict[str, set[str]] = {}
    for request in receiver.taken:
        event = json.loads(request.body)
        found.setdefault(event["data"]["plan"], set()).add(event["id"])
    return found


def account(case: Case, receiver: HttpReceiver, names: list[str]) -> None:
    """Each scan was told under one id, and the status says that nothing is left.

    Raises:
        Broken: with what is not as it must be.
    """
    case.until(lambda: told(receiver).keys() >= set(names), "all messages")
    case.until(lambda: reason(case) == "Delivered" and get(case)["status"]["pending"] == 0, "an empty outbox")
    found, status = told(receiver), get(case)["status"]
    wrong = [f"told under several ids: {name}" for name, ids in found.items() if len(ids) > 1]
    wrong += [f"told, and never ended: {sorted(found.keys() - set(names))}"] if found.keys() - set(names) else []
    wrong += [f"{status.get('lost')} lost"] if status.get("lost") else []
    if wrong:
        raise Broken("\n".join([*wrong, str(status)]))


def of_notifier(laboratory: Laboratory, name: str, operators: int = 1) -> contextlib.AbstractContextManager[Case]:
    """A case whose operators may send to this machine."""
    return laboratory.case(name, operators=operators, program=None, **LOCAL)


@contextlib.contextmanager
def receiving(case: Case) -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        create(case, receiver)
        yield receiver


def judged(case: Case, receiver: HttpReceiver) -> Verdict:
    names = scans(case)
    account(case, receiver, names)
    case.proxy.faults = ()
    case.fault_ends()
    verdict = case.judge(60)
    account(case, receiver, names)
    return verdict


@row("25", "notifier: operator killed before and after each write; an answer lost", 60)
def killed_at_writes(laboratory: Laboratory) -> Outcome:
    met: list[str] = []

    def attempt(how: How) -> Verdict:
        with of_notifier(laboratory, f"notifier {how}") as case, receiving(case) as receiver:
            fault = at_writes(how, case.deployment.kill)
            case.proxy.faults = (fault,)
            verdict = judged(case, receiver)
            met.extend(fault.met)
            return verdict

    verdicts = laboratory.each(attempt, HOWS)
    return Outcome(verdicts, f"{len(met)} faults")


@row("26", "notifier: operator killed before and after each send", 60)
def killed_at_sends(laboratory: Laboratory) -> Outcome:
    deaths: list[str] = []

    def attempt(how: str) -> Verdict:
        with of_notifier(laboratory, f"notifier send {how}") as case, receiving(case) as receiver:
            met: set[str] = set()

            def kill(request: Request) -> None:
                """Once for each message: when it arrives, so that nobody hears the answer, or just after it was answered."""
                id_ = request.headers["webhook-id"]
                if id_ in met:
                    return
                met.add(id_)
                if how == "before":
                    case.deployment.kill()
                else:
                    threading.Timer(0.02, case.deployment.kill).start()

            receiver.hook = kill
            verdict = judged(case, receiver)
            deaths.extend(met)
            return verdict

    return Outcome(laboratory.each(attempt, ("before", "after")), f"{len(deaths)} deaths")


@row("27", "notifier: receiver answers 500 or 429, hangs, redirects, closes", 60)
def bad_receivers(laboratory: Laboratory) -> Outcome:
    answers = {
        "500": Answer(500),
        "429": Answer(429, {"Retry-After": "2"}),
        "hangs": Answer(hang=True),
        "redirects": Answer(307, {"Location": "http://127.0.0.1:1/"}),
        "closes": Answer(close=True),
    }

    def attempt(how: str) -> Verdict:
        with of_notifier(laboratory, f"notifier receiver {how}") as case, receiving(case) as receiver:
            receiver.answers.extend([answers[how]] * 2)
            verdict = judged(case, receiver)
            if len(receiver.taken) != SCANS:
                raise Broken(f"{len(receiver.taken)} messages were taken, of {SCANS} scans")
            return verdict

    return Outcome(laboratory.each(attempt, answers), "5 receivers")


@row("28", "notifier: two operators at once; a restart with many settled plans", 60)
def others(laboratory: Laboratory) -> Outcome:
    def twice(laboratory: Laboratory) -> Verdict:
        with of_notifier(laboratory, "notifier twice", operators=2) as case, receiving(case) as receiver:
            return judged(case, receiver)

    def settled(laboratory: Laboratory) -> Verdict:
        with of_notifier(laboratory, "notifier settled") as case, receiving(case) as receiver:
            (first, *_) = names = scans(case)
            account(case, receiver, names)
            ended = case.plan(first)
            old = json.loads(
                json.dumps(ended["status"]).replace(ended["status"]["completionTime"], "2026-01-01T00:00:00Z")
            )
            for condition in old["conditions"]:
                condition["lastTransitionTime"] = "2026-01-01T00:00:00Z"
            with case.settled(ended, old, SETTLED):
                case.until(lambda: get(case)["status"]["pending"] == 0, "an empty outbox")
                names.append("last")
                case.apply("last", runId="last")
                case.phase("Completed", "last")
                account(case, receiver, names)
                if len(receiver.requests) != len(names):
                    raise Broken(f"{len(receiver.requests)} messages, of {len(names)} scans")
            case.fault_ends()
            return case.judge(60)

    work: tuple[Callable[[Laboratory], Verdict], ...] = (twice, settled)
    return Outcome(laboratory.each(lambda each: each(laboratory), work), f"{SETTLED:,} settled plans")
