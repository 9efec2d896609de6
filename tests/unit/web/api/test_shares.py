"""What all users of the API share, and what one of them may have of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from scanplan.client.cluster.failure import Failure
from scanplan.client.errors import QueueUnavailable
from scanplan.client.models import ArtifactRef, ScanResult
from scanplan.controller.settings import OperatorSettings
from scanplan.web.api import sessions, throttle
from scanplan.web.api.cached import Cached
from scanplan.web.api.sessions import Sessions
from scanplan.web.api.throttle import Throttle
from scanplan.web.artifacts import remote, turns
from scanplan.web.artifacts.remote import Copies
from scanplan.web.artifacts.turns import TooMany, Turns
from scanplan.web.ui import feeds
from scanplan.web.ui.feeds import Feeds


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
        def __init__(self, *_: object, **__: object) -> None:
            self.viewers: set[feeds.Viewer] = set()

        def stop(self) -> None:
            pass

    monkeypatch.setattr(feeds, "Feed", Still)
    server = Feeds()
    held = [server.watched(f"scope-{number}", "one") for number in range(feeds.MAX_PER_USER)]
    assert all(each.__enter__() for each in held)
    with server.watched("more", "one") as refused, server.watched("more", "other") as other:
        assert refused is None
        assert other is not None
    held[0].__exit__(None, None, None)
    with server.watched("more", "one") as again:
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


class Held:
    """Calls that hold their thread until they are let go."""

    def __init__(self, shared: Turns) -> None:
        self.shared = shared
        self.begun: list[str] = []
        self.go = threading.Event()

    def ask(self, namespace: str, user: str) -> asyncio.Task[str]:
        return asyncio.create_task(self.shared.run(namespace, user, lambda: self._hold(f"{namespace}/{user}")))

    async def settled(self, *expected: str) -> None:
        """Wait until these have begun, and look that it were no others."""
        for _ in range(200):
            await asyncio.sleep(0.005)
            if len(self.begun) >= len(expected):
                break
        await asyncio.sleep(0.02)
        assert sorted(self.begun) == sorted(expected)

    def _hold(self, who: str) -> str:
        self.begun.append(who)
        self.go.wait(60)
        return who


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held(Turns(threads=8))
    yield made
    made.go.set()
    made.shared.close()


async def test_a_user_has_one_turn_in_a_namespace_and_few_in_all(held: Held) -> None:
    """Lost otherwise: one user's fetches hold all threads that read claims."""
    tasks = [held.ask(namespace, "one") for namespace in "abcd" for _ in range(turns.MAX_WAITING // 4)]
    tasks += [held.ask("a", "other")]
    await held.settled("a/one", "b/one", "a/other")
    held.go.set()
    assert len(await asyncio.gather(*tasks)) == 9
    assert not held.shared._waiting
    assert not held.shared._running


async def test_users_of_one_namespace_never_have_all_turns(held: Held) -> None:
    """Lost otherwise: a tenant who makes a hundred accounts, and claims that are never mounted, holds up all others."""
    for number in range(20):
        held.ask("slow", f"account-{number}")
    await held.settled(*(f"slow/account-{number}" for number in range(4)))
    for namespace in ("second", "third", "fourth"):
        for number in range(3):
            held.ask(namespace, f"user-{number}")
    await asyncio.sleep(0.05)
    assert {who.partition("/")[0] for who in held.begun} == {"slow", "second", "third", "fourth"}


async def test_a_turn_lasts_as_long_as_its_thread(held: Held) -> None:
    """Lost otherwise: who goes away, or whose time is up, gets another thread while the first is still held."""
    held.shared._seconds = 0.05
    with pytest.raises(QueueUnavailable):
        await held.ask("a", "one")
    gone = held.ask("a", "two")
    await held.settled("a/one", "a/two")
    gone.cancel()
    again = [held.ask("a", "one"), held.ask("a", "two")]
    assert all(isinstance(each, QueueUnavailable) for each in await asyncio.gather(*again, return_exceptions=True))
    assert len(held.begun) == 2
    assert not held.shared._waiting
    held.go.set()
    held.shared._seconds = 60
    assert await held.ask("a", "one") == "a/one"


async def test_who_waits_for_much_already_is_refused(held: Held) -> None:
    tasks = [held.ask("a", "one") for _ in range(turns.MAX_WAITING)]
    await held.settled("a/one")
    with pytest.raises(TooMany):
        await held.ask("a", "one")
    tasks += [held.ask("a", f"account-{number}") for number in range(100)]
    await asyncio.sleep(0.05)
    assert sum(task.done() for task in tasks) > 50, "a namespace waits without a bound"
    other = held.ask("b", "one")
    held.go.set()
    assert await other == "b/one"
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_namespaces_take_turns() -> None:
    """Lost otherwise: a namespace that asks for a hundred files comes before one that asks for one."""
    held = Held(Turns(threads=2))
    first = held.ask("busy", "one")
    await held.settled("busy/one")
    tasks = [held.ask("busy", user) for user in ("one", "one", "one", "two")]
    tasks.append(held.ask("quiet", "three"))
    await held.settled("busy/one", "quiet/three")
    held.go.set()
    await asyncio.gather(first, *tasks)
    assert held.begun[2:] == ["busy/one", "busy/two", "busy/one", "busy/one"]
    held.shared.close()


async def test_what_a_call_raises_is_raised(held: Held) -> None:
    def timeout() -> None:
        raise TimeoutError("of the call")

    with pytest.raises(TimeoutError, match="of the call"):
        await held.shared.run("a", "one", timeout)
    assert not held.shared._running


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
