"""A stand-in for the node and for the runner on it: pods start, scan, publish to a claim and end, as a case's script says.

The claim is kept in memory, by the runner's own rules: an attempt first looks whether its shard is there (and not too old for the
task document), else it scans; the shard that finds itself last merges. So the oracle can ask what was ever found, what is
published, and whether a shard was scanned again.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
import urllib3

from scanplan.api import labels
from scanplan.api.documents.report import ArtifactFile, FindingCounts, MergedResult, ShardReport
from scanplan.api.documents.task import TaskDocument, decode_task
from scanplan.api.exit_codes import ExitCode
from scanplan.api.times import format_precise, format_time
from scanplan.api.v1alpha1.conditions import Reason
from tests.faults.history import History, Object
from tests.integration import reports
from tests.integration.apiserver import ApiServer, Refused
from tests.integration.kubelet import Kubelet, deleted, index_of

FINDINGS_PER_SHARD = 3
MERGED_FILE = "nuclei_output.ndjson"


@dataclass
class TaskFolder:
    """What the claim holds of one task."""

    printed: set[str] = field(default_factory=set)
    """Every finding that any attempt has found."""
    written: defaultdict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Findings of each shard, whether or not the shard is complete."""
    published: dict[int, datetime] = field(default_factory=dict)
    """When each complete shard was published."""
    scans: list[tuple[int, str]] = field(default_factory=list)
    """(shard, pod UID) of every attempt that scanned."""
    scanned_again: list[int] = field(default_factory=list)
    """Shards that were scanned when they had been published already."""
    merged: dict[str, set[str]] = field(default_factory=dict)
    """Merged findings by the SHA-256 of their file."""
    shards: int = 0
    """How many the newest Job has; a collector's own document does not say."""


@dataclass(frozen=True)
class Ending:
    """How an attempt ends; with OK it publishes its shard."""

    exit_code: int = ExitCode.OK
    report: bool = True
    reason: str | None = None


Script = Callable[[int, int], Ending]
"""(shard, attempts of that shard before this one) → how this attempt ends."""


def completes(shard: int, before: int) -> Ending:
    """Every attempt goes well."""
    del shard, before
    return Ending()


Export = Callable[[Object], tuple[int, str]]
"""From an export pod to its exit code and its termination message."""


class Node:
    """The node of one namespace.

    `hold` keeps running pods running, `hold_if` some of them (by shard and earlier attempts), `hold_collectors` those
    that only merge, `hold_stopping` those that were told to stop.
    """

    def __init__(self, api: ApiServer, history: History, namespace: str) -> None:
        self.script: Script = completes
        self.hold = False
        self.hold_if: Callable[[int, int], bool] = lambda _, __: False
        self.hold_collectors = False
        self.hold_stopping = False
        self.claim: defaultdict[str, TaskFolder] = defaultdict(TaskFolder)
        self.contents: dict[str, bytes] = {}
        """Merged findings by the SHA-256 of their file."""
        self.export: Export = lambda _: (ExitCode.OK, "")
        """Does what an export pod would do."""
        self._exported: dict[str, tuple[int, str]] = {}
        self._api = api
        self._history = history
        self._namespace = namespace
        self._kubelet = Kubelet(api, namespace)
        self._started: dict[str, bool] = {}
        """By pod UID: whether it scans (True) or replays."""
        self._ended: set[str] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"node of {namespace}")

    def start(self) -> Node:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(timeout=120)

    def _run(self) -> None:
        while not self._stopped.is_set():
            seen = self._history.count(self._namespace)
            pods = self._history.now("pod", self._namespace)
            done = [self._advance(pod) for pod in sorted(pods.values(), key=index_of)]
            if not any(done):
                self._history.changed(self._namespace, seen, 0.2)

    def _export(self, pod: Object) -> None:
        """An export pod has no part in scans. What it has done it does not do again, also where its end can't be told yet."""
        uid = pod["metadata"]["uid"]
        if uid not in self._started:
            self._kubelet.run(pod)
            self._started[uid] = False
        if uid not in self._exported:
            self._exported[uid] = self.export(pod)
        self._kubelet.end(pod, *self._exported[uid])
        self._ended.add(uid)

    def _advance(self, pod: Object) -> bool:
        """One step of a pod's life; whether there was one."""
        uid, phase = pod["metadata"]["uid"], pod["status"].get("phase", "")
        try:
            if uid in self._ended or phase in {"Succeeded", "Failed"}:
                if deleted(pod) and uid not in self._started:
                    return False
                if deleted(pod):
                    self._started.pop(uid, None)
                    self._remove(pod)
                return False
            if deleted(pod):
                if self.hold_stopping:
                    return False
                self._interrupt(pod)
                return True
            if exports(pod):
                self._export(pod)
                return True
            if uid not in self._started:
                return self._begin(pod)
            if self.hold_collectors if collects(pod) else self.hold or self._is_held(pod):
                return False
            self._end(pod)
            return True
        except Refused as error:
            if error.status == 400:
                raise
            return False  # the pod has gone or changed meanwhile, or the API server is not itself yet: try again
        except (OSError, urllib3.exceptions.HTTPError):
            return False  # the API server is down

    def _is_held(self, pod: Object) -> bool:
        document = self._document(pod)
        return document is not None and self.hold_if(index_of(pod), self._before(document.key, pod))

    def _before(self, key: str, pod: Object) -> int:
        """Attempts of a pod's shard that came before it."""
        uid = pod["metadata"]["uid"]
        return sum(1 for shard, other in self.claim[key].scans if shard == index_of(pod) and other != uid)

    def _begin(self, pod: Object) -> bool:
        document = self._document(pod)
        if document is None:
            return False
        self._kubelet.run(pod)
        uid, shard = pod["metadata"]["uid"], index_of(pod)
        folder = self.claim[document.key]
        if document.endpoints:
            folder.shards = document.shards
        published = folder.published.get(shard)
        not_before = document.replay_not_before
        replays = published is not None and (not_before is None or format_time(published) >= not_before)
        scans = not collects(pod) and not replays
        if scans:
            if published is not None:
                folder.scanned_again.append(shard)
            folder.scans.append((shard, uid))
            found = {f"{document.key} {shard} {number}" for number in range(FINDINGS_PER_SHARD)}
            folder.printed |= found
            folder.written[shard] |= found  # the runner writes a finding down before it looks for the next
        self._started[uid] = scans
        return True

    def _end(self, pod: Object) -> None:
        document = self._document(pod)
        assert document
        uid, shard = pod["metadata"]["uid"], index_of(pod)
        folder = self.claim[document.key]
        if collects(pod):
            self._kubelet.end(pod, ExitCode.OK, reports.collected(self._merge(document)))
            self._ended.add(uid)
            return
        ending = self.script(shard, self._before(document.key, pod)) if self._started[uid] else Ending()
        report: ShardReport | None = None
        if ending.exit_code == ExitCode.OK:
            folder.published.setdefault(shard, datetime.now(UTC))
            last = self._merge(document) if len(folder.published) == document.shards else None
            replayed = "" if self._started[uid] else format_precise(folder.published[shard])
            report = reports.complete(shard, last, published_at=replayed)
        elif ending.report:
            report = reports.partial(shard, Reason.UNKNOWN_ERROR)
        self._kubelet.end(pod, ending.exit_code, report, ending.reason)
        self._ended.add(uid)

    def _interrupt(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        if uid in self._started:
            self._kubelet.end(pod, ExitCode.INTERRUPTED, reports.partial(index_of(pod)))
        self._ended.add(uid)
        self._started.pop(uid, None)
        self._remove(pod)

    def _remove(self, pod: Object) -> None:
        path = f"/api/v1/namespaces/{self._namespace}/pods/{pod['metadata']['name']}"
        self._api.delete(path, gracePeriodSeconds=0)

    def _merge(self, document: TaskDocument) -> MergedResult:
        folder = self.claim[document.key]
        found = set().union(*folder.written.values()) if folder.written else set()
        content = "\n".join(sorted(found)).encode()
        digest = hashlib.sha256(content).hexdigest()
        folder.merged[digest] = found
        self.contents[digest] = content
        result = reports.merged(
            document,
            complete=len(folder.published) == folder.shards,
            findings=FindingCounts(info=len(found)),
        )
        file = ArtifactFile(name=MERGED_FILE, bytes=len(content), sha256=digest)
        return msgspec.structs.replace(result, shards=len(folder.written), files=(file,))

    def _document(self, pod: Object) -> TaskDocument | None:
        """What the pod's runner reads; None while its ConfigMaps are missing, for which the kubelet waits too."""
        inline = pod["metadata"].get("annotations", {}).get(labels.TASK_DOCUMENT)
        if inline is not None:
            return decode_task(inline.encode())
        job = pod["metadata"]["labels"]["batch.kubernetes.io/job-name"]
        of_job = self._history.now("job", self._namespace).get(job)
        parts = int(of_job["metadata"]["annotations"][labels.DOCUMENT_PARTS]) if of_job else 0
        content = b""
        for number in range(parts):
            name = f"{job}-task-{number:02d}"
            found = self._api.get(f"/api/v1/namespaces/{self._namespace}/configmaps/{name}")
            if found is None:
                return None
            content += base64.b64decode(found["binaryData"][f"task.json.gz.{number:02d}"])
        return decode_task(gzip.decompress(content)) if content else None


def collects(pod: Object) -> bool:
    """Whether it is a collector's pod, which scans nothing."""
    return bool(pod["metadata"]["labels"].get(labels.COMPONENT) == labels.COMPONENT_COLLECTOR)


def exports(pod: Object) -> bool:
    """Whether it is an export pod, which scans nothing."""
    return bool(pod["metadata"]["labels"].get(labels.COMPONENT) == labels.COMPONENT_EXPORTER)
