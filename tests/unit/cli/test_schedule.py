"""What `scanplan schedule history` says of a run's start."""

from __future__ import annotations

from typing import Any

import pytest

from scanplan.api import labels
from scanplan.cli.commands.schedule import _start
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
