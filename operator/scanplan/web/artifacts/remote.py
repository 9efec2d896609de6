"""Artifacts on claims that are not mounted here: copied through a short-lived reader pod of their namespace, served from the copy.

A published file never changes and its SHA-256 is known, so a copy is checked once and good for all that ask later, in ranges or
whole. Copies are bounded in bytes, one file and all of them; the one not asked for the longest goes first. What a tenant's claim
holds never leads out of the copy's own folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.client.cluster import reader
from scanplan.client.cluster.cluster import connect
from scanplan.client.cluster.failure import Failure
from scanplan.client.errors import ClientError, InvalidPayload
from scanplan.client.models import ArtifactRef, ScanResult
from scanplan.core.planning.pod_bounds import PodBounds
from scanplan.kube.resources import PLANS

log = logging.getLogger("scanplan.api")

COPY_SECONDS = 240.0
"""For a reader pod to start and to send what is asked for; it is ended then."""


class Unreadable(ClientError):
    """The claim can't be read; the message says why."""


class TooLarge(ClientError):
    """The files are larger than what one request may have copied."""


class Copies:
    """Copies of artifacts on other claims; safe to use from several threads."""

    def __init__(self, limit: int, bounds: PodBounds) -> None:
        """What they are bounded by.

        Args:
            limit: of all copies together, in bytes; one request may have a quarter of it.
            bounds: on what plans say about the reader pods, which are made with the operator's rights.
        """
        self._limit = limit
        self._most = limit // 4
        self._bounds = bounds
        self._root = Path(tempfile.mkdtemp(prefix="scanplan-artifacts-"))
        self._busy: weakref.WeakValueDictionary[Path, threading.Lock] = weakref.WeakValueDictionary()
        """By folder, for as long as somebody copies to it or waits for that."""
        self._changing = threading.Lock()
        self._coming = 0
        """Bytes that are being copied."""

    def folder(self, namespace: str, result: ScanResult, names: Sequence[str]) -> Path:
        """A folder with copies of these published files of a plan's result.

        Raises:
            FileNotFoundError: one of them was not published.
            Unreadable: the claim can't be read.
            TooLarge: there is no room for them, ever.
            InvalidPayload: what is on the claim is not what was published.
        """
        published = {file.name: file for file in result.artifacts}
        files = [published[name] for name in names if name in published]
        if len(files) < len(names):
            raise FileNotFoundError(", ".join(names))
        if sum(file.bytes for file in files) > self._most:
            raise TooLarge(
                f"it is larger than {self._most >> 20} MiB: `kubectl scanplan artifacts get {result.task_id}` fetches it"
            )
        until = time.monotonic() + COPY_SECONDS
        what = (namespace, str(result.artifact_path), *sorted(file.sha256 for file in result.artifacts))
        folder = self._root / hashlib.sha256("\0".join(what).encode()).hexdigest()
        with self._changing:
            busy = self._busy.setdefault(folder, threading.Lock())
        if not busy.acquire(timeout=COPY_SECONDS):
            raise Unreadable("others have been fetching the same files for long")
        try:
            missing = [file for file in files if not (folder / file.name).exists()]
            if missing:
                self._copy(namespace, result, missing, folder, until)
            with self._changing:
                for file in files:
                    os.utime(folder / file.name)
        finally:
            busy.release()
        return folder

    def close(self) -> None:
        """Remove all copies."""
        shutil.rmtree(self._root, ignore_errors=True)

    def _copy(self, namespace: str, result: ScanResult, files: list[ArtifactRef], folder: Path, until: float) -> None:
        needed = sum(file.bytes for file in files)
        self._make_room(needed, folder)
        try:
            cluster = connect(namespace)
            plan = cluster.named(PLANS, str(result.task_id))
            status = ScanPlanStatus.of(plan)
            if not (status.artifacts and status.scanner):
                raise Failure(
                    f"plan {result.task_id} is being scanned again: its files can be read once that has ended"
                )
            claim, image = status.artifacts.claim_name, status.scanner.image
            with reader.opened(cluster, plan, claim, image, self._bounds, until=until) as opened:
                for file in files:
                    _copy(opened, f"{result.artifact_path}/{file.name}", file, folder)
        except Failure as error:
            log.warning("%s/%s: %s", namespace, result.task_id, error.message)
            raise Unreadable(error.message) from None
        finally:
            with self._changing:
                self._coming -= needed

    def _make_room(self, needed: int, kept: Path) -> None:
        with self._changing:
            self._coming += needed
            ages = {copy: copy.stat() for copy in self._root.glob("*/[!.]*")}
            used = sum(each.st_size for each in ages.values())
            for copy in sorted((each for each in ages if each.parent != kept), key=lambda each: ages[each].st_mtime):
                if used + self._coming <= self._limit:
                    return
                used -= ages[copy].st_size
                copy.unlink()
                with contextlib.suppress(OSError):  # it has others
                    copy.parent.rmdir()


def _copy(opened: reader.Reader, path: str, file: ArtifactRef, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    draft = folder / f".{file.name}"
    try:
        with draft.open("w+b") as content:
            opened.copy(path, _Bounded(content, file))
            content.seek(0)
            if hashlib.file_digest(content, "sha256").hexdigest() != file.sha256:
                raise InvalidPayload(f"{path} is not what was published")
        draft.rename(folder / file.name)
    finally:
        draft.unlink(missing_ok=True)


class _Bounded:
    """Takes no more than was published: a claim's owner may put there what he likes."""

    def __init__(self, content: BinaryIO, file: ArtifactRef) -> None:
        self._content = content
        self._name = file.name
        self._left = file.bytes

    def write(self, piece: bytes) -> int:
        self._left -= len(piece)
        if self._left < 0:
            raise InvalidPayload(f"{self._name} is larger than what was published")
        return self._content.write(piece)
