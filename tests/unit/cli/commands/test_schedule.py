"""What `scanplan schedule history` says of a run's start."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from scanplan.api import labels
from scanplan.cli import plans
from scanplan.cli.commands import schedule
from scanplan.cli.commands.schedule import _start
from scanplan.cli.main import app
from scanplan.client.cluster import cluster as clusters
from scanplan.core.schedule.names import name_of_rescan, name_of_trigger


@pytest.mark.parametrize(
    ("name", "annotations", "words"),
    [
        ("n-202611270100", {labels.SCHEDULED_AT: "2026-11-27T01:00:00Z"}, "2026-11-27T01:00:00Z"),
        (name_of_trigger("n", "x"), None, "triggered"),
        (name_of_rescan("n", "", "a", "b"), {labels.TEMPLATES_DIGEST: "b"}, "templates changed"),
    ],
)
def test_it_is_a_time_or_a_reason(name: str, annotations: dict[str, str] | None, words: str) -> None:
    run: dict[str, Any] = {"metadata": {"name": name, "annotations": annotations}}
    assert _start("n", run) == words


@pytest.mark.parametrize(("looks", "code"), [(0, 0), (3, 0), (10_000, 75)])
def test_a_run_is_asked_for_once_the_operator_has_seen_the_schedule(
    looks: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: "a run is asked for", of a schedule whose first `spec.trigger` starts none."""
    asked_for: list[Any] = []

    class Cluster:
        looks = 0

        def named(self, *_: object) -> dict[str, Any]:
            self.looks += 1
            status = {"timetableDigest": "0123"} if self.looks > looks else {}
            return {"metadata": {"name": "nightly", "generation": 1}, "spec": {}, "status": status}

        def change(self, *given: object) -> dict[str, Any]:
            asked_for.append(given)
            return self.named()

    monkeypatch.setattr(clusters, "connect", lambda *_: Cluster())
    monkeypatch.setattr(plans, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(schedule, "SEEN_SECONDS", 0.2)
    done = CliRunner().invoke(app, ["schedule", "trigger", "nightly"])
    assert (done.exit_code, bool(asked_for)) == (code, code == 0), done.output
    assert ("the operator has not seen it yet" in done.stderr) == bool(code)
