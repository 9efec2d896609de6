"""What all users of the API share, and what one of them may have of it."""

from __future__ import annotations

import asyncio

import pytest

from scanplan.client.cluster.failure import Failure
from scanplan.client.models import ArtifactRef, ScanResult
from scanplan.controller.settings import OperatorSettings
from scanplan.web.api import sessions, throttle
from scanplan.web.api.cached import Cached
from scanplan.web.api.sessions import Sessions
from scanplan.web.api.throttle import Throttle
from scanplan.web.artifacts import remote, turns
from scanplan.web.artifacts.remote import Copies
from scanplan.web.artifacts.turns import TooMany, Turns
from scanplan.web.ui import live
from scanplan.web.ui.live import Feeds


def test_a_users_oldest_session_makes_room_for_the_users_next_one() -> None:
    """Lost otherwise: one user who logs in again and again logs everybody else out."""
    kept = Sessions()
    other, _ = kept.open("theirs", "other")
    names = [kept.open(str(number), "one")[0] for number in range(sessions.MAX_SESSIONS + 1)]
    assert kept.token(other) == "theirs"
    assert [kept.token(name) for name in names[-sessions.MAX_PER_USER :]] == [
        str(number) for number in range(sessions.MAX_SESSIONS + 1)
    ][-sessions.MAX_PER_USER :]
    assert not kept.token(names[-sessions.MAX_PER_USER - 1])


def test_many_users_make_room_by_who_has_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 8)
    kept = Sessions()
    first = kept.open("first", "quiet")[0]
    busy = [kept.open("busy", "busy")[0] for _ in range(7)]
    kept.open("new", "newcomer")
    assert kept.token(first) == "first"
    assert not kept.token(busy[0])


async def test_a_users_streams_are_bounded_and_leave_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: one user with a loop keeps the page from all others."""

    class Still:
        def __init__(self, *_: object) -> None:
            self.viewers: set[live.Viewer] = set()

        def stop(self) -> None:
            pass

    monkeypatch.setattr(live, "Feed", Still)
    feeds = Feeds()
    held = [feeds.watched(f"scope-{number}", "one") for number in range(live.MAX_PER_USER)]
    assert all(each.__enter__() for each in held)
    with feeds.watched("more", "one") as refused, feeds.watched("more", "other") as other:
        assert refused is None
        assert other is not None
    held[0].__exit__(None, None, None)
    with feeds.watched("more", "one") as again:
        assert again is not None
    for each in held[1:]:
        each.__exit__(None, None, None)


async def test_who_guesses_waits_for_his_own_turn_and_holds_up_nobody_else() -> None:
    """Lost otherwise: ten wrong tokens behind one proxy keep all its users out, or all reviews wait for a guesser's."""
    slowed = Throttle()
    for _ in range(throttle.FAILURES):
        assert not slowed.guesses("proxy")
        slowed.failed("proxy")
    assert slowed.guesses("proxy")
    assert not slowed.guesses("elsewhere")
    async with slowed.turn("proxy"), slowed.turn("elsewhere"):
        second = asyncio.create_task(slowed.turn("proxy").__aenter__())
        await asyncio.sleep(0.05)
        assert not second.done()
    await asyncio.wait_for(second, 5)


async def test_a_user_fetches_a_few_files_at_once_and_others_are_not_counted() -> None:
    shared = Turns()
    begun: list[str] = []
    release = asyncio.Event()

    async def fetch(user: str) -> None:
        async with shared.of(user):
            begun.append(user)
            await release.wait()

    waiting = [asyncio.create_task(fetch("one")) for _ in range(turns.MAX_WAITING)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(TooMany):
        await fetch("one")
    other = asyncio.create_task(fetch("other"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert sorted(begun) == ["one"] * turns.AT_ONCE + ["other"]
    release.set()
    await asyncio.gather(*waiting, other)
    assert len(begun) == turns.MAX_WAITING + 1
    assert not shared._waiting
    assert not shared._turns


@pytest.mark.parametrize("fails", [False, True])
async def test_an_answer_is_asked_for_once_for_all(fails: bool) -> None:
    """Lost otherwise: each call of /readyz lists at the API server."""
    asked = 0

    async def ask() -> int:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        if fails:
            raise ValueError
        return asked

    cached = Cached(ask, 60)
    answers = await asyncio.gather(*(cached.get() for _ in range(100)), return_exceptions=True)
    impatient = asyncio.create_task(cached.get())
    impatient.cancel()
    assert len(answers) == 100
    assert all(isinstance(each, ValueError) if fails else each == 1 for each in answers)
    assert asked == 1
    cached = Cached(ask, 0)
    for _ in range(3):
        await asyncio.gather(cached.get(), return_exceptions=True)
    assert asked == 4


def test_copies_keep_nothing_of_results_that_were_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: memory and folders for each result that anybody has ever asked for."""

    def unreadable(_: str) -> None:
        raise Failure("there is no such claim")

    monkeypatch.setattr(remote, "connect", unreadable)
    copies = Copies(1_000, OperatorSettings(scanner_image="scanner").bounds())

    def result(number: int, size: int) -> ScanResult:
        file = ArtifactRef(name="findings", bytes=size, sha256=f"{number:064x}")
        return ScanResult(
            run_id="r",
            success=True,
            endpoint_count=1,
            finding_count=0,
            duration_ms=0,
            task_id=f"scan-{number}",
            artifact_path=f"p/{number}",
            artifacts=[file],
        )

    for number in range(500):
        with pytest.raises(remote.Unreadable):
            copies.folder("n", result(number, 100), ["findings"])
    assert not copies._busy
    assert not list(copies._root.iterdir())
    with pytest.raises(remote.TooLarge, match="kubectl scanplan artifacts"):
        copies.folder("n", result(1, 251), ["findings"])
    copies.close()
