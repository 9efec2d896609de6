"""A stand-in for the nodes of a control plane without any: it takes pods and really runs their runner, on this machine.

The API server, the Job controller and the operator are real, and so are the runner and what it leaves on the "claim", a folder;
only containers are missing. A pod that is deleted has its runner told to stop, as the kubelet does; pods
whose task is in ConfigMaps stay Pending.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path

from scanplan.api import environment, labels, layout
from scanplan.api.documents.report import ShardReport, decode_report
from scanplan.api.documents.words import encode
from tests.integration.apiserver import PODS, ApiServer, Object, Refused
from tests.integration.kubelet import Kubelet, deleted, document_of, index_of


class Node:
    """Runs the pods of one namespace until it is closed."""

    def __init__(self, api: ApiServer, namespace: str, claim: Path, folder: Path, variables: dict[str, str]) -> None:
        self._api = api
        self._kubelet = Kubelet(api, namespace)
        self._pods = PODS.format(namespace)
        self._claim = claim
        self._folder = folder
        self._variables = variables
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ended: set[str] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="node", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _work(self) -> None:
        while not self._closing.wait(0.1):
            for pod in self._api.list(self._pods):
                with contextlib.suppress(Refused):  # it went, or changed, meanwhile: the next round sees it as it is
                    self._look_after(pod)

    def _look_after(self, pod: Object) -> None:
        name = pod["metadata"]["name"]
        process = self._processes.get(name)
        if process is None:
            inline = labels.TASK_DOCUMENT in pod["metadata"].get("annotations", {})
            if inline and not deleted(pod) and name not in self._ended:
                self._kubelet.run(pod)
                self._processes[name] = self._start(pod)
        elif process.poll() is not None:
            self._kubelet.end(pod, process.returncode, self._report(name))
            self._ended.add(name)
            del self._processes[name]
        elif deleted(pod):
            process.terminate()
        if deleted(pod) and name not in self._processes:
            self._api.delete(f"{self._pods}/{name}", gracePeriodSeconds=0)

    def _start(self, pod: Object) -> subprocess.Popen[bytes]:
        name = pod["metadata"]["name"]
        folder = self._folder / name
        folder.mkdir(parents=True)
        document = document_of(pod)
        (folder / "task.json").write_bytes(encode(document))
        collector = "collect" in pod["spec"]["containers"][0].get("args", [])
        variables = {
            "PATH": os.environ["PATH"],
            **self._variables,
            environment.TASK_DIRECTORY: str(folder),
            environment.RUN_DIRECTORY: str(self._claim / layout.run_directory(document.run_id)),
            environment.COMPLETION_INDEX: str(index_of(pod)),
            environment.TERMINATION_LOG: str(folder / "termination"),
            environment.POD_NAME: name,
        }
        command = [sys.executable, "-m", "scanplan.runner", *(["collect"] if collector else [])]
        with (folder / "log").open("wb") as log:
            return subprocess.Popen(
                command, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def _report(self, name: str) -> ShardReport | None:
        path = self._folder / name / "termination"
        return decode_report(path.read_bytes()) if path.exists() else None
