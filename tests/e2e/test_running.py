"""Findings of a scan that goes on, as a person sees them at a terminal, through a killed attempt and to the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stage import EXPOSED, Stage
from tests.e2e.test_interruptions import evict

pytestmark = pytest.mark.e2e


def test_a_finding_is_seen_before_the_scans_end_and_once(stage: Stage) -> None:
    """Lost otherwise: the hours between the first finding and the end of a scan."""
    stage.gate("gate")
    stage.apply(stage.gated("nightly", "app", "gate"))
    command = [str(Path(sys.executable).parent / "scanplan"), "watch", "nightly", "--findings", "--output", "json"]
    environment = {**os.environ, "KUBECONFIG": str(stage.kubectl.kubeconfig)}
    with subprocess.Popen(
        [*command, "--namespace", stage.namespace], stdout=subprocess.PIPE, env=environment, text=True
    ) as watching:
        try:
            assert watching.stdout is not None
            told = map(json.loads, watching.stdout)
            first = sorted(finding["finding"]["template-id"] for finding in found(told, len(EXPOSED)))
            assert first == sorted(EXPOSED)
            assert stage.status("nightly")["phase"] == "Running"
            assert stage.files(stage.run("nightly") + "/tasks")
            evict(stage, "nightly")
            stage.standing("nightly")
            stage.open("gate")
            *between, last = told
        finally:
            watching.kill()
    assert {each["event"] for each in between} <= {"state"}, "the second attempt found the same, and that is shown once"
    assert (last["event"], last["phase"], last["shown"], last["notInResult"]) == ("ended", "Completed", 3, 0)
    assert last["findings"]["total"] == 3
    readers = "app.kubernetes.io/component=reader"
    stage.until(lambda: not stage.kubectl.get("pods", "--selector", readers)["items"])


def found(told: Iterator[dict[str, Any]], count: int) -> Iterator[dict[str, Any]]:
    """So many findings, none of which is said to be final."""
    while count:
        each = next(told)
        if each["event"] == "finding":
            assert each["final"] is False
            count -= 1
            yield each
