"""What a person is shown of a running scan. Lost otherwise: trust, where a finding comes twice or goes without a word."""

from __future__ import annotations

import json

import pytest

from scanplan.client.cluster.failure import Failure
from scanplan.client.running.shown import (
    Attempt,
    Current,
    Event,
    Found,
    Full,
    PassedOver,
    Shown,
    Withdrawn,
)

FIRST, SECOND, OTHER = Attempt("00ff", 1), Attempt("00ff", 2), Attempt("11ee", 1)


def line(template: str, time: str = "02:00") -> bytes:
    return json.dumps({"template-id": template, "host": "a.example", "timestamp": time}).encode()


def frame(attempt: Attempt, content: bytes = b"", kind: bytes = b"F") -> bytes:
    return b"%s %s %d%s\n" % (kind, attempt.shard.encode(), attempt.number, b" " + content if content else b"")


def fed(shown: Shown, *frames: bytes) -> list[Event]:
    return list(shown.feed(b"".join(frames)))


def test_a_finding_that_a_later_attempt_prints_again_is_shown_once() -> None:
    shown = Shown()
    shown.begin()
    assert fed(shown, frame(FIRST, line("a")), b"T\n") == [Found(FIRST, line("a")), Current()]
    again = line("a", time="03:00")
    assert fed(shown, frame(SECOND, again), frame(SECOND, line("b"))) == [Found(SECOND, line("b"))]
    assert shown.count == 2


def test_frames_come_in_any_pieces() -> None:
    shown, whole = Shown(), frame(FIRST, line("a")) + b"T\n"
    assert [event for byte in whole for event in shown.feed(bytes([byte]))] == [Found(FIRST, line("a")), Current()]


def test_what_is_taken_back_is_told_and_may_come_again() -> None:
    shown = Shown()
    fed(shown, frame(FIRST, line("a")), frame(FIRST, line("b")), frame(OTHER, line("c")))
    assert fed(shown, frame(FIRST, kind=b"W")) == [Withdrawn(FIRST, 2)]
    assert fed(shown, frame(FIRST, kind=b"W")) == []
    assert fed(shown, frame(SECOND, line("a"))) == [Found(SECOND, line("a"))]
    assert shown.count == 2


def test_a_new_reader_tells_nothing_twice_and_what_has_gone_meanwhile() -> None:
    shown = Shown()
    shown.begin()
    fed(shown, frame(FIRST, line("a")), frame(OTHER, line("b")), b"T\n", b"F 00ff 1 half a li")
    shown.begin()
    assert fed(shown, frame(FIRST, line("a")), b"T\n") == [Withdrawn(OTHER, 1), Current()]


def test_a_line_that_is_too_long_is_told() -> None:
    assert fed(Shown(), frame(FIRST, kind=b"L")) == [PassedOver(FIRST)]


def test_memory_is_bounded_and_that_is_told_once() -> None:
    shown = Shown(most=2)
    events = fed(shown, *(frame(FIRST, line(str(number))) for number in range(5)), frame(FIRST, line("0")))
    assert [type(event) for event in events] == [Found, Found, Full]
    assert shown.count == 2


@pytest.mark.parametrize("sent", [b"hello\n", b"F zz 1 {}\n", b"F 00ff 0 {}\n", b"F 00ff 1234567890 {}\n", b"\n"])
def test_a_pod_that_sends_something_else_is_not_believed(sent: bytes) -> None:
    with pytest.raises(Failure, match="can't be read"):
        fed(Shown(), sent)


def test_what_the_result_lacks_is_counted() -> None:
    shown = Shown()
    fed(shown, *(frame(FIRST, line(name)) for name in "abc"))
    compared = shown.compared()
    for piece in (line("a")[:10], line("a")[10:] + b"\n" + line("d") + b"\n"):
        compared.write(piece)
    assert compared.count == 2
    assert shown.count == 3
