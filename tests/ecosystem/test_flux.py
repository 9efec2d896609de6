"""Flux's own library over plans: what it applies and finds unchanged, and how its `wait: true` ends."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scanplan.api.documents.words import ErrorClass
from scanplan.api.exit_codes import ExitCode
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.client.cluster.cluster import FIELD_MANAGER
from tests.ecosystem import programs
from tests.fixtures.operators import StartOperator
from tests.integration import reports
from tests.integration.scene import Scene, scanplan

pytestmark = [pytest.mark.ecosystem, pytest.mark.integration]

SOURCE = Path(__file__).parent / "flux"


class Flux:
    """The program over one namespace."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._program = programs.path(SOURCE, "flux")

    def start(self, verb: str, name: str, **spec: Any) -> subprocess.Popen[str]:
        """Start applying a plan, or waiting for it."""
        plan = scanplan(name, **spec)
        plan["metadata"]["namespace"] = self._scene.namespace
        process = subprocess.Popen(
            [str(self._program), verb],
            env={**os.environ, "KUBECONFIG": str(self._scene.kubectl.kubeconfig)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin
        with process.stdin:
            process.stdin.write(json.dumps(plan))
        process.stdin = None
        return process

    def apply(self, name: str, **spec: Any) -> str:
        """Apply a plan; returns what Flux did with it."""
        words, errors = self.start("apply", name, **spec).communicate()
        assert not errors
        return words.strip()


@pytest.fixture
def flux(alone: Scene, start_operator: StartOperator) -> Flux:
    start_operator()
    return Flux(alone)


def test_a_wait_ends_with_the_scan_and_a_second_apply_changes_nothing(flux: Flux, alone: Scene) -> None:
    assert flux.apply("plan") == "created"
    alone.phase("Running")
    wait = flux.start("wait", "plan")
    assert wait.poll() is None
    alone.complete()
    _, errors = wait.communicate()
    assert (wait.returncode, errors) == (0, "")
    assert flux.apply("plan") == "unchanged"


def test_a_wait_fails_with_the_scan(flux: Flux, alone: Scene) -> None:
    flux.apply("plan")
    alone.phase("Running")
    wait = flux.start("wait", "plan")
    (pod,) = alone.run()
    error = reports.failed(ErrorClass.FATAL, Reason.NO_TEMPLATES_LOADED, "no template could be loaded")
    alone.kubelet.end(pod, ExitCode.FATAL, error)
    _, errors = wait.communicate()
    assert wait.returncode == 1
    assert "failed early due to stalled resources" in errors
    assert "status: 'Failed'" in errors


def test_a_suspended_plan_holds_no_wait_up(flux: Flux) -> None:
    flux.apply("plan", suspend=True)
    wait = flux.start("wait", "plan")
    _, errors = wait.communicate()
    assert (wait.returncode, errors) == (0, "")


def test_a_rerun_asked_for_by_our_program_stays_and_one_by_kubectl_is_undone(flux: Flux, alone: Scene) -> None:
    flux.apply("plan")
    alone.phase("Running")
    rerun = ["patch", "scanplan", "plan", "--type=merge", "--patch", json.dumps({"spec": {"rerun": "nightly-1"}})]
    alone.kubectl(*rerun, f"--field-manager={FIELD_MANAGER}")
    assert flux.apply("plan") == "unchanged"
    assert alone.plan()["spec"]["rerun"] == "nightly-1"
    alone.kubectl(*rerun[:-1], json.dumps({"spec": {"suspend": True}}))
    assert flux.apply("plan") == "configured"
    assert not alone.plan()["spec"].get("suspend")
