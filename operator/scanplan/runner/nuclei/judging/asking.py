"""Asks many at once, in threads, and waits only so long: a resolver or a host that hangs must not hold up a scan."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

_TICK_SECONDS = 0.1

Answer = TypeVar("Answer")


def answers(
    questions: Iterable[str],
    ask: Callable[[str], Answer],
    stop: Callable[[], bool],
    *,
    threads: int,
    limit_seconds: float,
) -> dict[str, Answer]:
    """The answers that came in time, by question.

    Args:
        questions: each is asked once; those that nobody has begun with when the time is over are not asked.
        ask: called in other threads; raises nothing.
        stop: asked several times a second; once true, what is known by then is the answer.
        threads: so many questions are asked at the same time.
        limit_seconds: how long all of it may take.
    """
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    come: queue.SimpleQueue[tuple[str, Answer]] = queue.SimpleQueue()
    asked = list(dict.fromkeys(questions))
    for question in asked:
        waiting.put(question)

    def work() -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                question = waiting.get_nowait()
                come.put((question, ask(question)))

    for _ in range(min(threads, len(asked))):
        # Daemons: a question that hangs must not keep the process alive.
        threading.Thread(target=work, name="ask", daemon=True).start()
    found: dict[str, Answer] = {}
    deadline = time.monotonic() + limit_seconds
    while len(found) < len(asked) and time.monotonic() < deadline and not stop():
        with contextlib.suppress(queue.Empty):
            question, answer = come.get(timeout=_TICK_SECONDS)
            found[question] = answer
    with contextlib.suppress(queue.Empty):
        while True:
            waiting.get_nowait()
    return found
