"""The operator's memory of exceptions: what pods get of it, and how much a tenant can fill."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.aio.client import ApiException

from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.controller.cache.exceptions import LONG_BYTES, KnownExceptions
from scanplan.controller.engine.scope import Scope
from scanplan.controller.engine.workqueue import ObjectName, WorkQueue
from scanplan.controller.exceptions import ExceptionController
from scanplan.core.observed import folding
from scanplan.findings import exceptions

NOW = datetime(2026, 11, 27, 14, tzinfo=UTC)


def body(
    name: str = "x", version: int = 1, days: float = 30, namespace: str = "team", **changed: Any
) -> dict[str, Any]:
    end = (NOW + timedelta(days=days)).isoformat()
    spec = {"match": {"templates": ["git-config"]}, "reason": "long " * 9, "expiresAt": end, **changed}
    metadata = {
        "namespace": namespace,
        "name": name,
        "uid": f"uid-{name}",
        "generation": version,
        "resourceVersion": str(version),
    }
    return {"metadata": metadata, "spec": spec}


def names(known: KnownExceptions, namespace: str = "team", now: datetime = NOW) -> list[str]:
    text = known.handed(namespace, 365, now)
    return [each.name for each in exceptions.read_handed(text.encode()).exceptions] if text else []


def test_pods_get_what_acts_in_their_own_namespace() -> None:
    """Lost otherwise: a tenant that decides about the findings of another one."""
    known = KnownExceptions()
    for each in (
        body("a"),
        body("gone", days=-1),
        body("late", days=366),
        body("odd", match={}),
        body("b", days=40),
        body("foreign", namespace="other"),
    ):
        assert known.put(each, NOW)
    assert names(known) == ["b", "a"]
    assert names(known, "other") == ["foreign"]
    assert known.handed("third", 365, NOW) == ""
    assert sorted(known) == ["other", "team"]


def test_news_replaces_what_is_known_and_old_news_does_not() -> None:
    known = KnownExceptions()
    known.put(body("a", 5), NOW)
    assert names(known) == ["a"]
    assert not known.put(body("a", 4, match={}), NOW)
    assert names(known) == ["a"]
    assert known.put(body("a", 6, match={}), NOW)
    assert names(known) == []
    known.drop("team", "a", "uid-of-another")
    assert len([*known.of("team")]) == 1
    known.drop("team", "a", "uid-a")
    assert [*known.of("team")] == []


def test_a_list_that_is_late_brings_no_deleted_exception_back() -> None:
    """Lost otherwise: findings, which an exception hides that nobody can see."""
    known = KnownExceptions()
    known.put(body("known"), NOW)
    known.drop("team", "known", "uid-known")
    assert not known.put(body("known"), NOW)
    assert [*known.of("team")] == []


def test_what_pods_get_is_bounded_and_says_so() -> None:
    """Lost otherwise: a Job that the API server refuses, since annotations have a limit."""
    known = KnownExceptions()
    for number in range(1_000):
        known.put(body(f"x{number}", days=1 + number / 10, match={"hosts": [f"host-{number}.example.com"]}), NOW)
    text = known.handed("team", 365, NOW)
    given = exceptions.read_handed(text.encode())
    assert len(text) < exceptions.HANDED_BYTES + 200
    assert len(given.exceptions) + given.left_out == 1_000
    assert given.exceptions[0].name == "x999"
    assert given.left_out > 100


def test_many_exceptions_are_not_read_again_for_each_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: seconds of everybody's time for each Job of a tenant who has many exceptions, and edits one of them."""
    known, read = KnownExceptions(), list[bytes]()
    for number in range(1_000):
        known.put(body(f"x{number}", days=1 + number / 10, match={"hosts": [f"host-{number}.example.com"]}), NOW)
    unfolded = folding.unfolded

    def reads(content: bytes) -> Any:
        read.append(content)
        return unfolded(content)

    monkeypatch.setattr(folding, "unfolded", reads)
    known.put(body("x7", 2, days=1, match={"hosts": ["edited.example.com"]}), NOW)
    given = exceptions.read_handed(known.handed("team", 365, NOW).encode())
    assert len(read) == len(given.exceptions)
    assert known.next_end("team", NOW) == NOW + timedelta(days=1)
    assert len(read) == len(given.exceptions)


def test_what_was_written_too_long_ago_does_not_act_after_a_restart() -> None:
    """Lost otherwise: the bound on how long a risk may be accepted, by anybody who can restart a pod."""
    refused = body(days=300)
    refused["status"] = {"observedGeneration": 1, "observedTime": (NOW - timedelta(days=100)).isoformat()}
    known = KnownExceptions()
    known.put(refused, NOW)
    assert names(known) == []
    known.put({**refused, "metadata": {**refused["metadata"], "generation": 2, "resourceVersion": "2"}}, NOW)
    assert names(known) == ["x"], "it was edited now"


def test_the_next_end_is_of_those_that_have_not_ended() -> None:
    known = KnownExceptions()
    for each in (body("a", days=5), body("b", days=3), body("c", days=-1), body("d", expiresAt="whenever")):
        known.put(each, NOW)
    assert known.next_end("team", NOW) == NOW + timedelta(days=3)
    assert known.next_end("team", NOW + timedelta(days=6)) is None
    assert known.next_end("other", NOW) is None


def test_a_long_exception_is_not_kept_and_is_told() -> None:
    known = KnownExceptions()
    known.put(body(match={"paths": [f"/{number}" + "x" * 1_000 for number in range(50)]}), NOW)
    (found,) = known.of("team")
    assert found.exception is None
    assert f"{LONG_BYTES >> 10} KiB" in found.problem
    assert names(known) == []


def test_an_edit_is_seen_anew_and_a_status_is_not() -> None:
    known = KnownExceptions()
    known.put(body(version=1), NOW)
    written = body(version=1)
    written["metadata"]["resourceVersion"] = "2"
    known.put(written, NOW + timedelta(days=1))
    assert next(known.of("team")).seen == NOW
    known.put(body(version=3), NOW + timedelta(days=2))
    assert next(known.of("team")).seen == NOW + timedelta(days=2)


def test_only_results_that_were_counted_with_exceptions_are_remembered() -> None:
    known, name = KnownExceptions(), ObjectName("team", "nightly")
    known.put_plan(name, ScanPlanStatus())
    assert known.uses("team") == []
    applied = {"time": NOW.isoformat(), "used": [{"name": "x", "findings": 2}]}
    known.put_plan(name, ScanPlanStatus.model_validate({"findings": {"total": 3}, "exceptions": applied}))
    (use,) = known.uses("team")
    assert (use.total, use.findings, use.time) == (3, {"x": 2}, NOW)
    known.put_plan(name, ScanPlanStatus.model_validate({"exceptions": {"time": "whenever"}}))
    assert known.uses("team") == []


class Server:
    """Takes statuses, and fails as it is told."""

    def __init__(self, failures: dict[str, Exception]) -> None:
        self.failures, self.asked, self.written = failures, list[str](), dict[str, Any]()
        self.known = KnownExceptions()
        for name in ("a", "b", "c"):
            self.known.put(body(name), NOW)

    def watch(self, *_: Any, **__: Any) -> None: ...

    async def patch_status(self, _kind: Any, _namespace: str, name: str, patch: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(name)
        if name in self.failures:
            raise self.failures[name]
        self.written[name] = patch["status"]
        return body(name, 2)

    def controller(self) -> ExceptionController:
        policy = SimpleNamespace(exception_max_days=365)
        plans: Any = SimpleNamespace(
            api=self, store=SimpleNamespace(exceptions=self.known), policy=policy, now=lambda: NOW, scope=Scope()
        )
        return ExceptionController(plans, WorkQueue())


@pytest.mark.parametrize("failure", [OverflowError("date value out of range"), ApiException(status=422)])
async def test_one_that_fails_holds_up_no_other_and_is_told(failure: Exception) -> None:
    """Lost otherwise: the conditions of a namespace, by one exception that anybody there may write."""
    server = Server({"a": failure})
    with pytest.raises(type(failure)) as told:
        await server.controller().look(ObjectName("team", ""))
    assert set(server.written) == {"b", "c"}
    assert told.value.__notes__ == ["ScanException team/a"]


@pytest.mark.parametrize("failure", [ConnectionResetError(), ApiException(status=429, http_resp=None)])
async def test_a_server_that_is_away_is_asked_once(failure: Exception) -> None:
    if isinstance(failure, ApiException):
        failure.headers = {"Retry-After": "3"}
    server = Server({"a": failure})
    with pytest.raises(type(failure)):
        await server.controller().look(ObjectName("team", ""))
    assert server.asked == ["a"]


async def test_a_status_of_a_newer_version_is_left_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    server = Server({})
    condition = {"type": "Ready", "status": "Maybe", "reason": "InForce", "message": "", "lastTransitionTime": "never"}
    server.known.put({**body("a", 9), "status": {"conditions": [condition]}}, NOW)
    await server.controller().look(ObjectName("team", ""))
    assert set(server.written) == {"b", "c"}
    assert names(server.known) == ["a", "b", "c"], "it acts"
    assert caplog.text.count("ScanException team/a is left as it is") == 1


async def test_a_time_that_is_none_in_utc_is_told() -> None:
    server = Server({})
    server.known.put(body("a", 9, expiresAt="0001-01-01T00:00:00+14:00"), NOW)
    await server.controller().look(ObjectName("team", ""))
    assert set(server.written) == {"a", "b", "c"}
    (message,) = {each["message"] for each in server.written["a"]["conditions"]}
    assert "expiresAt is not in the years" in message
