"""A stand-in for the kubelet: it says of pods what a node would say, and runs nothing.

A control plane alone has no nodes, so the Job controller's pods would stay Pending for ever. Here a test binds them, lets them
run and end with an exit code and the runner's report, and finishes those that were deleted; all else in the cluster is real.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import urllib3

from scanplan.api import labels
from scanplan.api.documents.report import ShardReport
from scanplan.api.documents.task import TaskDocument, decode_task
from scanplan.api.documents.words import Document, encode
from scanplan.api.exit_codes import ExitCode
from scanplan.api.times import format_time
from tests.integration.apiserver import CONFIG_MAPS, PODS, ApiServer, Object, Refused
from tests.kubectl import eventually

INDEX = "batch.kubernetes.io/job-completion-index"
BACKOFF = timedelta(hours=1)
"""A failed container is said to have ended this long ago, so that the Job's back-off (10 s, 20 s, …) has passed already."""


NODE = "stand-in"
"""The one node that there is, as far as the API server knows."""


class Heartbeat:
    """Makes the node's object and keeps it alive: pods of a node that is not there, or silent, are deleted by Kubernetes."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self._stopped = threading.Event()

    def start(self) -> Heartbeat:
        self._api.create("/api/v1/nodes", {"metadata": {"name": NODE}})
        threading.Thread(target=self._run, daemon=True, name="heartbeat").start()
        return self

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while True:
            now = format_time(datetime.now(UTC))
            ready = {"type": "Ready", "status": "True", "reason": "StandIn", "lastHeartbeatTime": now}
            with contextlib.suppress(Refused, OSError, urllib3.exceptions.HTTPError):
                self._api.patch(f"/api/v1/nodes/{NODE}/status", {"status": {"conditions": [ready]}}, "strategic-merge")
            if self._stopped.wait(10):
                return


class Kubelet:
    """The node's kubelet, as a namespace sees it."""

    def __init__(self, api: ApiServer, namespace: str) -> None:
        self._api = api
        self._path = PODS.format(namespace)

    # looking

    def pods(self, job: str) -> list[Object]:
        """All pods of a Job, whatever has become of them."""
        return self._api.list(self._path, labelSelector=f"batch.kubernetes.io/job-name={job}")

    def pending(self, job: str, count: int = 1) -> list[Object]:
        """Wait until at least `count` pods of a Job wait for a node; returns them by completion index."""

        def look() -> list[Object]:
            found = [pod for pod in self.pods(job) if pod["status"]["phase"] == "Pending" and not deleted(pod)]
            return found if len(found) >= count else []

        return sorted(eventually(look, interval=0.05), key=index_of)

    def document(self, pod: Object) -> TaskDocument:
        """The task document that the pod's runner would read: of its annotation, or of the ConfigMaps that it mounts."""
        if labels.TASK_DOCUMENT in pod["metadata"].get("annotations", {}):
            return document_of(pod)
        volume = next(volume for volume in pod["spec"]["volumes"] if volume["name"] == "task")
        folder = CONFIG_MAPS.format(pod["metadata"]["namespace"])

        def part(name: str) -> bytes:
            found = eventually(lambda: self._api.get(f"{folder}/{name}"))
            assert found
            (value,) = found["binaryData"].values()
            return base64.b64decode(value)

        names = [source["configMap"]["name"] for source in volume["projected"]["sources"]]
        return decode_task(gzip.decompress(b"".join(map(part, names))))

    # what happens on a node

    def run(self, pod: Object) -> None:
        """The pod gets the node, its container starts and is ready."""
        name = pod["metadata"]["name"]
        binding = {"metadata": {"name": name}, "target": {"apiVersion": "v1", "kind": "Node", "name": NODE}}
        self._api.create(f"{self._path}/{name}/binding", binding)
        self._status(pod, phase="Running", state={"running": {"startedAt": format_time(now())}}, ready=True)

    def end(
        self,
        pod: Object,
        exit_code: int,
        report: Document | str | None = None,
        reason: str | None = None,
    ) -> None:
        """The container ends: with its program's report as termination message, or without one if it was killed."""
        terminated: Object = {
            "exitCode": exit_code,
            "reason": reason or ("Error" if exit_code else "Completed"),
            "startedAt": format_time(now() - 2 * BACKOFF),
            "finishedAt": format_time(now() - BACKOFF if exit_code else now()),
        }
        if report:
            terminated["message"] = report if isinstance(report, str) else encode(report).decode()
        phase = "Failed" if exit_code else "Succeeded"
        self._status(pod, phase=phase, state={"terminated": terminated}, ready=False)

    def evict(self, pod: Object) -> None:
        """The node needs the room: the pod fails, with the condition by which Kubernetes marks disruptions."""
        self._status(
            pod,
            phase="Failed",
            state={"terminated": {"exitCode": 137, "finishedAt": format_time(now() - BACKOFF)}},
            ready=False,
            conditions=[{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}],
            reason="Evicted",
            message="the node was low on memory",
        )

    def wait_for_reason(self, pod: Object, reason: str, message: str) -> None:
        """The container can't start (ImagePullBackOff, …)."""
        self._status(pod, phase="Pending", state={"waiting": {"reason": reason, "message": message}}, ready=False)

    def unschedulable(self, pod: Object, message: str) -> None:
        """No node takes the pod: the scheduler's word rather than the kubelet's."""
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        self._api.patch(
            f"{self._path}/{pod['metadata']['name']}/status", {"status": {"conditions": [condition]}}, "strategic-merge"
        )

    def stop_deleted(self, job: str, report: Callable[[Object], ShardReport] | None = None, count: int = 1) -> None:
        """Wait for at least `count` deleted pods of a Job; their containers end by SIGTERM, and the pods go."""

        def look() -> list[Object]:
            found = [pod for pod in self.pods(job) if deleted(pod)]
            return found if len(found) >= count else []

        for pod in eventually(look, interval=0.05):
            if pod["status"]["phase"] not in {"Succeeded", "Failed"}:
                self.end(pod, ExitCode.INTERRUPTED, report(pod) if report else None)
            self._api.delete(f"{self._path}/{pod['metadata']['name']}", gracePeriodSeconds=0)

    def _status(
        self, pod: Object, *, phase: str, state: Object, ready: bool, conditions: Sequence[Object] = (), **more: str
    ) -> None:
        containers = pod["spec"]["containers"]
        container = next((each for each in containers if each["name"] == labels.CONTAINER), containers[0])
        condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": format_time(now())}
        status = {
            "phase": phase,
            "startTime": format_time(now()),
            "conditions": [condition, *conditions],
            "containerStatuses": [
                {
                    "name": container["name"],
                    "image": container["image"],
                    "imageID": "",
                    "ready": ready,
                    "restartCount": 0,
                    "state": state,
                }
            ],
            **more,
        }
        self._api.patch(f"{self._path}/{pod['metadata']['name']}/status", {"status": status}, "strategic-merge")


def deleted(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def index_of(pod: Object) -> int:
    """The pod's completion index, which is its shard."""
    return int(pod["metadata"].get("annotations", {}).get(INDEX, 0))


def document_of(pod: Object) -> TaskDocument:
    """The task document that the pod carries in its annotation: what its runner would read."""
    return decode_task(pod["metadata"]["annotations"][labels.TASK_DOCUMENT].encode())


def now() -> datetime:
    return datetime.now(UTC)
