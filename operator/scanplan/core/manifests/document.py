"""How a task's document reaches its pods: in an annotation while it is small, else in immutable ConfigMaps or Secrets.

An annotation costs no API write and no extra object, but every pod carries it. So lists of thousands of endpoints are gzipped
and cut into ConfigMaps instead (at most 1 MiB each). The Job owns them. They are made right after it, and its pods wait for them.
A document with endpoints from a Secret is always in Secrets: the `view` role reads annotations and ConfigMaps. A collector's
names no endpoint.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from dataclasses import dataclass, field
from typing import Any

from scanplan.api import environment, labels
from scanplan.api.documents.words import encode
from scanplan.core.observed.jobs import JobView
from scanplan.core.planning.task import Task

INLINE_BYTES = 32 << 10
PART_BYTES = 900 << 10
"""Of one ConfigMap: base64 and metadata must stay below etcd's request limit of 1.5 MiB."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A task document as it is handed to the pods of one Job: `inline`, or in `parts` of one object each."""

    job_name: str
    inline: str | None = field(repr=False)
    parts: tuple[bytes, ...] = field(repr=False)
    digest: str
    """SHA-256 of the plain document."""
    confidential: bool
    """The objects are Secrets; otherwise they are ConfigMaps."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the objects, in the order of the parts."""
        return tuple(f"{self.job_name}-task-{number:02d}" for number in range(len(self.parts)))


def pack(task: Task, job_name: str) -> Packed:
    """The same task gives the same bytes, so that what a crash has left undone can be done again."""
    content = encode(task.document)
    digest = hashlib.sha256(content).hexdigest()
    confidential = task.document.confidential and bool(task.document.endpoints)
    if len(content) <= INLINE_BYTES and not confidential:
        return Packed(job_name, content.decode(), (), digest, confidential)
    compressed = gzip.compress(content, mtime=0)
    parts = tuple(compressed[start : start + PART_BYTES] for start in range(0, len(compressed), PART_BYTES))
    return Packed(job_name, None, parts, digest, confidential)


def objects(task: Task, job: JobView) -> tuple[dict[str, Any], ...]:
    """The ConfigMaps or Secrets of a task's document, owned by the Job whose pods read them."""
    packed = pack(task, job.name)
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": job.name, "uid": job.uid}
    return tuple(
        {
            "apiVersion": "v1",
            "kind": "Secret" if packed.confidential else "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": job.namespace,
                "labels": {labels.MANAGED_BY: labels.MANAGED_BY_VALUE, labels.TASK: task.job_name},
                "ownerReferences": [owner],
            },
            "immutable": True,
            "data" if packed.confidential else "binaryData": {
                f"{environment.TASK_FILE}.gz.{number:02d}": base64.b64encode(part).decode()
            },
        }
        for number, (name, part) in enumerate(zip(packed.names, packed.parts, strict=True))
    )
