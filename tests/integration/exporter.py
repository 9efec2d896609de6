"""A node on which export pods run: the real exporter, as a process of this machine, with what the pod would have mounted."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from scanplan.api import environment, labels
from scanplan.api.documents.report import ArtifactFile
from scanplan.runner.artifacts import run_record
from tests.integration.apiserver import ApiServer, Object
from tests.integration.kubelet import Kubelet, index_of
from tests.unit.runner.artifacts.merging.test_merge import TWO, merged, published
from tests.unit.runner.documents import finding


class ExportNode:
    """Runs export pods of one namespace."""

    def __init__(self, api: ApiServer, kubelet: Kubelet, namespace: str, folder: Path) -> None:
        """`folder`: for the published result, and for what pods mount."""
        self._api = api
        self._kubelet = kubelet
        self._namespace = namespace
        self._folder = folder
        run = folder / "run"
        run.mkdir(parents=True)
        run_record.enter(run, TWO, 0.0)
        published(run, TWO, 0, finding("one"), finding("two", severity="critical"))
        published(run, TWO, 1, finding("three", at="http://b.example/y", host="b.example"))
        self.files: tuple[ArtifactFile, ...] = merged(run, TWO).files
        """What a scan reports to have published."""
        self.result = run_record.task_folder(run, TWO)

    def run(self, pod: Object) -> int:
        """Run a pending pod to its end; returns its exit code."""
        self._kubelet.run(pod)
        code, message = attempt(pod, self.result, self._folder / pod["metadata"]["name"], self._mount)
        self._kubelet.end(pod, code, message)
        return code

    def _mount(self, volume: Object, folder: Path) -> None:
        secret = self._api.get(f"/api/v1/namespaces/{self._namespace}/secrets/{volume['secretName']}")
        for item in volume["items"]:
            if secret and item["key"] in secret.get("data", {}):
                (folder / item["path"]).write_bytes(base64.b64decode(secret["data"][item["key"]]))


def attempt(
    pod: Object, result: Path, place: Path, mount: Callable[[Object, Path], None] = lambda _, __: None
) -> tuple[int, str]:
    """What the container of an export pod does: its exit code, and its termination message.

    Args:
        place: a folder for what the pod mounts besides the result; it is made.
        mount: puts the keys of a Secret's volume into a folder.
    """
    task, log = place / "task", place / "log"
    task.mkdir(parents=True)
    document = pod["metadata"]["annotations"][labels.TASK_DOCUMENT]
    paths = {each["name"]: each["mountPath"] for each in pod["spec"]["containers"][0]["volumeMounts"]}
    for volume in pod["spec"]["volumes"]:
        if "secret" in volume:
            folder = place / volume["name"]
            folder.mkdir()
            mount(volume["secret"], folder)
            document = document.replace(paths[volume["name"]], str(folder))
    (task / environment.TASK_FILE).write_text(document)
    done = subprocess.run(
        [sys.executable, "-m", "scanplan.runner", "export"],
        env={
            **os.environ,
            environment.TASK_DIRECTORY: str(task),
            environment.RESULT_DIRECTORY: str(result),
            environment.TERMINATION_LOG: str(log),
            environment.COMPLETION_INDEX: str(index_of(pod)),
        },
        check=False,
        stdout=subprocess.DEVNULL,
    )
    return done.returncode, log.read_text() if log.exists() else ""
