"""Endpoints that are dialled by the runner must not hold up a scan."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from scanplan.core.planning.targets.guard import Guard
from scanplan.runner.nuclei.judging import asking, dial

NOBODY = Guard(())


def test_many_are_dialled_at_the_same_time_and_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: the attempt's time, since they were dialled after each step."""
    endpoints = [f"http://dead-{number}" for number in range(60)] + ["http://alive"]
    all_at_once, asked = threading.Barrier(len(endpoints)), list[str]()

    def listens(endpoint: str, _guard: Guard, _timeout: float) -> bool:
        asked.append(endpoint)
        all_at_once.wait(120)
        return "alive" in endpoint

    monkeypatch.setattr(dial, "listens", listens)
    listeners = dial.Listeners(NOBODY, 60.0, lambda: False)
    for _ in range(3):
        assert listeners.among(endpoints) == {"http://alive"}
    assert sorted(asked) == sorted(endpoints)


def test_who_is_told_to_stop_waits_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: the grace period of the pod, in which what was found is published."""
    never, asked = threading.Event(), []

    def listens(endpoint: str, _guard: Guard, _timeout: float) -> bool:
        asked.append(endpoint)
        return never.wait(600)

    monkeypatch.setattr(dial, "listens", listens)
    told: list[bool] = []
    listeners = dial.Listeners(NOBODY, 10.0, lambda: bool(told))
    threading.Timer(0.3, lambda: told.append(True)).start()
    assert listeners.among(f"http://dead-{number}" for number in range(500)) == set()
    never.set()
    time.sleep(0.2)
    assert len(asked) < 500, "those that nobody had begun with are left"


def test_the_time_for_all_of_them_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(dial, "listens", lambda *_: never.wait(600))
    assert dial.Listeners(NOBODY, 0.1, lambda: False).among(["http://dead"]) == set()
    never.set()


@pytest.mark.parametrize("number", [1, 64, 250, 1000])
def test_there_is_time_for_each_of_them_if_all_are_dead(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Lost otherwise: living endpoints behind many dead ones, which would count as unreachable."""
    limits: list[float] = []

    def answers(questions: list[str], *_: object, threads: int, limit_seconds: float) -> dict[str, bool]:
        limits.append(limit_seconds - 2 * 10.0 * -(-len(questions) // threads))
        return {}

    monkeypatch.setattr(asking, "answers", answers)
    dial.Listeners(NOBODY, 10.0, lambda: False).among(f"http://e-{each}" for each in range(number))
    assert limits[0] > 0


def test_what_was_not_answered_in_time_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    listeners = dial.Listeners(NOBODY, 10.0, lambda: False)
    monkeypatch.setattr(dial, "listens", lambda *_: True)
    monkeypatch.setattr(dial, "_ADDRESSES", 0)
    assert listeners.among(["http://a"]) == set()
    monkeypatch.setattr(dial, "_ADDRESSES", 2)
    assert listeners.among(["http://a"]) == {"http://a"}


def test_a_port_is_tried_for_real() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert dial.listens(f"http://127.0.0.1:{port}", NOBODY, 5.0)
        assert not dial.listens(f"http://127.0.0.1:{port}", Guard(["127.0.0.0/8"]), 5.0)
    assert not dial.listens(f"127.0.0.1:{port}", NOBODY, 5.0)
    assert not dial.listens("http://a:x", NOBODY, 5.0)
