"""`scanplan logs`: a pod without a log takes nothing from the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from scanplan.cli.commands import logs
from scanplan.cli.main import app
from scanplan.client.cluster import cluster as clusters
from scanplan.client.cluster.failure import Failure, Forbidden, NotFound

STARTING = 'container "scanner" in pod "b" is waiting to start: ContainerCreating'
WAITS = Failure(f"Kubernetes refuses it: {STARTING}", code=65)
GONE = NotFound('pods "b" not found')
BROKEN = Failure("the connection to the API server broke off")
REFUSED = Failure("Kubernetes refuses it: the container is terminated", code=65)


def pod(name: str, phase: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "scans", "creationTimestamp": "2026-11-24T06:00:00Z"}
    return {"metadata": metadata, "status": {"phase": phase}}


class Cluster:
    """Pods `a`, `b` and `c`. Of `b` each request for its log has the next answer, and each look the next phase."""

    def __init__(self, answers: list[Any], phases: list[Any]) -> None:
        self._answers = iter(answers)
        self._phases = iter(phases)

    def named(self, *_: object) -> dict[str, Any]:
        return {"metadata": {"name": "nightly"}}

    def pods(self, _: object) -> list[dict[str, Any]]:
        return [pod("a", "Running"), self.object(), pod("c", "Running")]

    def object(self, *_: object, **__: object) -> dict[str, Any]:
        phase = next(self._phases)
        if isinstance(phase, Exception):
            raise phase
        return pod("b", phase)

    def log(self, of: dict[str, Any], **_: Any) -> Iterator[bytes]:
        name = of["metadata"]["name"]
        answer = b"" if name != "b" else next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        yield f"the log of {name}".encode()


@pytest.mark.parametrize(
    ("answers", "phases", "follow", "code", "shown", "words"),
    [
        ([WAITS], ["Pending"], False, 0, "ac", f"b: Kubernetes refuses it: {STARTING}"),
        ([GONE], ["Running"], False, 0, "ac", 'b: pods "b" not found'),
        ([BROKEN], ["Running"], False, 69, "a", "broke off"),
        ([Forbidden("no")], ["Running"], False, 77, "a", "error: no"),
        ([b""], ["Running"], True, 0, "abc", ""),
        (
            [WAITS, WAITS, b""],
            ["Pending", "Pending", "Running"],
            True,
            0,
            "abc",
            f"b: Kubernetes refuses it: {STARTING}",
        ),
        ([WAITS], ["Pending", GONE], True, 0, "ac", 'b: pods "b" not found'),
        ([GONE], ["Running"], True, 0, "ac", 'b: pods "b" not found'),
        ([REFUSED], ["Succeeded"], True, 0, "ac", "b: Kubernetes refuses it: the container is terminated"),
        ([BROKEN], ["Running"], True, 69, "ac", "b: the connection to the API server broke off"),
    ],
)
def test_a_pod_without_a_log_takes_nothing_from_the_others(
    answers: list[Any],
    phases: list[Any],
    follow: bool,
    code: int,
    shown: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Lost otherwise: the log of a shard, since the pod of another one still starts, or was evicted."""
    monkeypatch.setattr(logs, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(clusters, "connect", lambda *_: Cluster(answers, phases))
    done = CliRunner().invoke(app, ["logs", "nightly", *(["--follow"] if follow else [])])
    assert done.exit_code == code, done.output
    assert sorted(done.stdout.splitlines()) == [f"{name}: the log of {name}" for name in shown]
    assert words in done.stderr
    assert done.stderr.count(STARTING) <= 1, "it is told once"


def test_whatever_ends_the_reading_of_a_log_ends_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: the end of `logs --follow`, which waits for a thread that is not there."""
    monkeypatch.setattr(clusters, "connect", lambda *_: Cluster([KeyError("x")], ["Running"]))
    assert isinstance(CliRunner().invoke(app, ["logs", "nightly", "--follow"]).exception, KeyError)
