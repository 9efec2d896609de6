"""What commands that follow plans hear: every change, and whatever ends the watch for good."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from scanplan.cli import changes
from scanplan.client.cluster.failure import Failure, Forbidden


def plan(version: int) -> dict[str, Any]:
    return {"metadata": {"name": "nightly", "resourceVersion": str(version)}}


class Cluster:
    """Answers the lists one after the other, and each watch with these lines."""

    namespace = "scans"

    def __init__(self, *lists: Any, lines: tuple[bytes, ...] = ()) -> None:
        self._lists = iter(lists)
        self._lines = lines

    def path(self, *_: object, **__: object) -> str:
        return "/"

    def get(self, _: str) -> Any:
        answer = next(self._lists)
        if isinstance(answer, Exception):
            raise answer
        return {"metadata": {"resourceVersion": "1"}, "items": answer}

    def stream(self, *_: object) -> Iterator[bytes]:
        yield from self._lines


def heard(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is heard until the watch ends for good."""
    monkeypatch.setattr(changes, "PAUSE_SECONDS", 0.0)
    following = changes.Changes(cluster)
    told: list[Any] = []
    while True:
        news = following._news.get(timeout=20)
        if isinstance(news, Exception):
            return [*told, type(news)]
        told.append(news["metadata"]["resourceVersion"])


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [
        (Cluster([plan(1)], Failure("no answer"), [plan(2)], Forbidden("no")), ["1", "2", Forbidden]),
        (Cluster([plan(1)], [plan(2)], Forbidden("no"), lines=(b'{"type": "MODI',)), ["1", "2", Forbidden]),
        (
            Cluster([], Forbidden("no"), lines=(json.dumps({"type": "ADDED", "object": plan(3)}).encode(),)),
            ["3", Forbidden],
        ),
        (Cluster([plan(1)], lines=(b"{}",)), ["1", KeyError]),
        (Cluster([{}]), [KeyError]),
    ],
    ids=["no answer", "a cut line", "a change", "no change", "no plan"],
)
def test_the_watch_goes_on_or_says_why_it_ended(
    cluster: Cluster, expected: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: a `watch` or `submit --follow` that waits for a thread that is not there."""
    assert heard(cluster, monkeypatch) == expected
