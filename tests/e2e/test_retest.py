"""`scanplan retest` on a real node: a finding that is there is open, one that was mended is fixed, and nobody guesses."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from scanplan.cli.output import failure
from scanplan.findings import fingerprint
from tests.e2e.stage import EXPOSED, Stage, templates

pytestmark = pytest.mark.e2e


def retested(stage: Stage, mark: str) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of `scanplan retest`."""
    command = [sys.executable, "-m", "scanplan", "retest", mark, "--run", "first", "-n", stage.namespace, "-o", "json"]
    environment = {"KUBECONFIG": str(stage.kubectl.kubeconfig), "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, answer


def test_a_finding_is_open_until_it_is_mended(stage: Stage) -> None:
    """Lost otherwise: an hour for a whole scan, to see whether one file is gone; or a "fixed" while the host is down."""
    stage.apply(stage.plan("first"))
    status = stage.ends("first", "Completed")
    path = f"{status['artifacts']['path']}/nuclei_output.ndjson"
    lines = stage.read(path).splitlines()
    assert set(templates([json.loads(line) for line in lines])) == EXPOSED
    (line,) = (line for line in lines if json.loads(line)["template-id"] == "git-config")
    mark = fingerprint.of(line).hex()

    code, answer = retested(stage, mark)
    assert (code, answer["verdict"]) == (failure.ANSWER_IS_NO, "open")
    spec = stage.get(answer["plan"])["spec"]
    assert spec["endpoints"] == [stage.endpoint("app")]
    (template,) = spec["templates"]
    assert template.endswith("git-config.yaml")
    assert templates(stage.findings(stage.status(answer["plan"]))) == ["git-config"], "this one, and no other"

    stage.gate("mended")
    stage.open("mended")
    stage.reroute("app", "mended")
    code, answer = retested(stage, mark)
    assert (code, answer["verdict"]) == (0, "fixed")

    stage.reroute("app", "nobody")
    code, answer = retested(stage, mark)
    assert (code, answer["verdict"]) == (failure.UNAVAILABLE, "unknown")
