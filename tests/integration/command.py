"""`scanplan`, the command, in a namespace of a test."""

from __future__ import annotations

import os

from tests import prefork
from tests.integration.scene import PATIENCE, Scene


def scanplan(scene: Scene, *words: str, code: int = 0) -> str:
    """What a command prints, errors last; it must end with `code`."""
    environment = {**os.environ, "COLUMNS": "200"}
    # Not by KUBECONFIG, which Kubernetes' client has read when it was imported.
    cluster = ("--kubeconfig", str(scene.kubectl.kubeconfig), "--namespace", scene.namespace)
    done = prefork.run(("scanplan", *words, *cluster), environment, patience=PATIENCE)
    assert done.returncode == code, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr
