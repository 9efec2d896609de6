"""`scanplan`, the command, in a namespace of a test."""

from __future__ import annotations

import os
import tempfile

from tests import prefork
from tests.integration.scene import PATIENCE, Scene


def scanplan(scene: Scene, *words: str, code: int = 0) -> str:
    """What a command prints, errors last; it must end with `code`."""
    environment = {**os.environ, "COLUMNS": "200"}
    # Not by KUBECONFIG, which Kubernetes' client has read when it was imported.
    cluster = ("--kubeconfig", str(scene.kubectl.kubeconfig), "--namespace", scene.namespace)
    arguments = ("scanplan", *words, *cluster)
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = prefork.operators().start(arguments, environment, output.fileno(), errors.fileno())
        ended = process.wait(PATIENCE)
        said = b""
        for file in (output, errors):
            file.seek(0)
            said += file.read()
    assert ended == code, f"{words}: {said.decode()}"
    return said.decode()
