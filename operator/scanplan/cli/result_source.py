"""Finds and reads results of runs: on the claims of a cluster, or in a folder of this machine.

A run is named by its plan or by its runId. `~1` behind the name is the previous result: the one before the plan's own, or before
the run's newest. `~2` is the one before that. Each file is checked against the size and SHA-256 in the scan's own record: a changed
or incomplete file is an error, not a result.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Protocol

from scanplan.api import layout, wire
from scanplan.api.documents.records import RunRecord, ScanMetadata
from scanplan.api.documents.report import ArtifactFile
from scanplan.api.documents.words import LOCAL_NAMESPACE
from scanplan.cli import exceptions, plans
from scanplan.cli.output import failure
from scanplan.cli.output.failure import Failure, NotFound
from scanplan.cli.output.terminal import waiting
from scanplan.cli.plans import here
from scanplan.core.planning import keys
from scanplan.findings import history, lookup
from scanplan.findings.exceptions import ScanException, Suppressor
from scanplan.findings.history import Entry
from scanplan.findings.identity import identity
from scanplan.findings.lookup import Life
from scanplan.kube.resources import PLANS
from scanplan.report import finding, scan
from scanplan.report.finding import Finding
from scanplan.runner.artifacts import durable

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster
    from scanplan.kube.objects import Object

_NAME = re.compile(r"(?P<run>[A-Za-z0-9][-A-Za-z0-9_.]*)(~(?P<back>\d{1,4}))?")


class Findings:
    """The findings in a file. Each iteration reads the file from its start."""

    def __init__(self, path: Path, suppressed: Suppressor) -> None:
        self.path = path
        self.suppressed = suppressed
        """Says which lines fall under an exception now."""

    def __iter__(self) -> Iterator[Finding]:
        with self.path.open("rb") as lines:
            yield from finding.read(lines, self.suppressed)


class History:
    """The history of a run's findings up to a result. If the result has none, it is made from the findings."""

    def __init__(self, fetch: Callable[[], Path] | None, findings: Findings, began: str) -> None:
        """`fetch` copies the published history to this machine when it is first needed; None: none was published."""
        self._fetch = fetch
        self._findings = findings
        self._began = began

    @property
    def published(self) -> bool:
        """Whether the scan has left one."""
        return self._fetch is not None

    @functools.cached_property
    def _path(self) -> Path | None:
        return self._fetch() if self._fetch else None

    def lines(self) -> Iterator[bytes]:
        """Its lines, sorted by identity."""
        if self._path is not None:
            with self._path.open("rb") as lines:
                yield from history.bounded(lines)
            return
        with self._findings.path.open("rb") as found:
            sightings = (history.sighting(line) for line in found)
            seen = sorted(history.record(each) for each in sightings if each is not None)
        yield from history.continued((), seen, self._began, lambda _: False, history.Tally())

    def entries(self) -> Iterator[Entry]:
        """Its findings, by identity."""
        return history.entries(self.lines())

    @contextlib.contextmanager
    def opened(self) -> Iterator[Life]:
        """Looks up single findings."""
        if self._path is None:
            yield lookup.nowhere
            return
        with self._path.open("rb") as file:
            descriptor, size = file.fileno(), self._path.stat().st_size
            yield lookup.in_file(lambda offset, count: os.pread(descriptor, count, offset), size)


@dataclass(frozen=True)
class Result:
    """The published result of one task."""

    name: str
    """The name by which the user asked for it, such as ``nightly~1``."""
    scan: ScanMetadata
    findings: Findings
    history: History
    place: str
    """Where the findings are, as text for people."""
    report: Callable[[], Path] | None
    """Fetches the report that the scan wrote beside the findings; None where it wrote none."""

    def suppressed(self, entries: Iterable[Entry]) -> Mapping[str, ScanException]:
        """Which of these findings fall under an exception now: exceptions by identity.

        The records of this result decide, and all records of a finding have to fall under one. A finding without a record here
        is judged by its line of the history.
        """
        if not self.findings.suppressed:
            return {}
        wanted = {entry.identity: entry for entry in entries}
        found: dict[str, ScanException | None] = {}
        with self.findings.path.open("rb") as lines:
            for line in lines:
                mark = identity(line)
                if mark in wanted and (mark not in found or found[mark] is not None):
                    found[mark] = self.findings.suppressed(line)
        rest = {mark: self.findings.suppressed.of_entry(entry) for mark, entry in wanted.items() if mark not in found}
        return {mark: exception for mark, exception in (found | rest).items() if exception is not None}


class Sink(Protocol):
    """What a file's content is written to."""

    def write(self, piece: bytes, /) -> int: ...


class ArtifactStore(Protocol):
    """A place that has artifacts: a claim or a folder. Paths are relative to its root."""

    def copy(self, path: str, into: Sink) -> None:
        """Write a file's content to `into`. Raises NotFound."""


class Folder:
    """A folder on this machine. It may be a copy of a claim, so no symbolic link in it is followed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def copy(self, path: str, into: Sink) -> None:
        try:
            with os.fdopen(durable.open_below(self._root, PurePosixPath(path)), "rb") as file:
                while block := file.read(1 << 20):
                    into.write(block)
        except OSError as error:
            raise NotFound(
                f"{self._root / path}: {error.strerror}", "--directory the folder that has ui_projects/"
            ) from None


class ResultSource:
    """Finds results. `opened` makes one, and removes the reader pods that it started."""

    def __init__(
        self,
        scratch: Path,
        cluster: Cluster | None,
        folder: Path | None,
        resources: contextlib.ExitStack,
        files: list[Path] | None = None,
    ) -> None:
        self._files = files
        self._scratch = scratch
        self._cluster = cluster
        self._folder = folder
        self._resources = resources
        self._stores: dict[str, ArtifactStore] = {}
        self._suppressors: dict[str, Suppressor] = {}
        self._found = 0

    def _suppressed(self, namespace: str) -> Suppressor:
        """Says which findings of a plan's namespace fall under an exception now."""
        if namespace not in self._suppressors:
            self._suppressors[namespace] = exceptions.suppressor(self._cluster, self._files, namespace)
        return self._suppressors[namespace]

    def find(self, name: str) -> Result:
        """Find the result of a name such as ``nightly`` or ``nightly~1``.

        Raises:
            NotFound: there is none.
            Failure: the scan has not ended, or the result can't be read.
        """
        match = _NAME.fullmatch(name)
        if not match:
            raise Failure(f"{name!r} names no run", "PLAN, PLAN~1, RUNID or RUNID~1", failure.USAGE)
        run, back = match["run"], int(match["back"] or 0)
        if self._cluster is None:
            assert self._folder is not None  # noqa: S101 - one of them is always there
            return self._of_run(name, run, back, Folder(self._folder), str(self._folder))
        plan = self._plan(run)
        artifacts = plans.status(plan).artifacts
        by_name = plans.name(plan) == run
        if artifacts is None or not artifacts.claim_name or (by_name and not plans.is_current(plan)):
            raise _absent(run, plan, back)
        here(plan)
        if by_name and not back and not plans.findings(plan):
            raise _absent(run, plan)
        store, place = self._store(plan, artifacts.claim_name), f"on claim {artifacts.claim_name}"
        if by_name and not back:
            return self._read(name, artifacts.path, store, place)
        try:
            run_id, own = str(plan["spec"].get("runId") or plans.name(plan)), artifacts.path if by_name else ""
            is_recorded = plans.has_ended(plan) and bool(plans.findings(plan))
            return self._of_run(name, run_id, back, store, place, own, is_recorded=is_recorded)
        except NotFound:
            if back or plans.has_ended(plan):
                raise
            raise _absent(run, plan) from None

    def _plan(self, run: str) -> Object:
        """The plan of that name, else the newest plan with that runId that has scanned, or that waits."""
        assert self._cluster is not None  # noqa: S101 - `find` has checked it
        try:
            return self._cluster.named(PLANS, run)
        except NotFound as error:
            found = [plan for plan in self._cluster.listed(PLANS) if plan["spec"].get("runId") == run]
            if not found:
                raise error from None
            found.sort(key=lambda plan: str(plan["metadata"]["creationTimestamp"]))
            return next((plan for plan in reversed(found) if plans.status(plan).artifacts), found[-1])

    def _store(self, plan: Object, claim: str) -> ArtifactStore:
        from scanplan.client.cluster import reader  # noqa: PLC0415 - needs the `kubernetes` extra

        assert self._cluster is not None  # noqa: S101 - `find` has checked it
        if claim not in self._stores:
            scanner = plans.status(plan).scanner
            image = scanner.image if scanner else ""
            with waiting(f"Starting a reader for claim {claim}"):
                self._stores[claim] = self._resources.enter_context(reader.opened(self._cluster, plan, claim, image))
        return self._stores[claim]

    def _of_run(
        self,
        name: str,
        run: str,
        back: int,
        store: ArtifactStore,
        place: str,
        own: str = "",
        *,
        is_recorded: bool = False,
    ) -> Result:
        """The result of a run that is `back` results older than the newest one.

        Args:
            own: the folder of a plan's result, relative to the claim: the result is older than this one instead.
            is_recorded: the plan has ended with a result, which the run's record names, unless it was removed.
        """
        folder = layout.run_directory(run)
        path = self._fetch(store, str(folder / layout.RUN_RECORD))
        try:
            record = wire.decode(path.read_bytes(), RunRecord)
        except wire.UNREADABLE as error:
            raise Failure(f"the record of run {run} can't be read: {error}", code=failure.DATA) from None
        if own and is_recorded and all(str(folder / task.path) != own for task in record.tasks):
            raise NotFound(
                f"the result of {name.partition('~')[0]} was removed, so nobody knows what came before it: no {name}"
            )
        before = itertools.takewhile(lambda task: str(folder / task.path) != own, record.tasks)
        merged = [task for task in before if task.nuclei_output]
        steps = back if own else back + 1
        if steps > len(merged):
            than = " before that of this plan" if own else ""
            raise NotFound(f"run {run} has {len(merged)} results{than}: there is no {name}")
        task = merged[-steps]
        where = layout.task_directory(keys.key_digest(task.key))
        if task.path != str(where):  # anybody who can write to the claim could name another run's folder here
            raise Failure(f"the record of run {run} names {task.path!r} where {where} belongs", code=failure.DATA)
        return self._read(name, str(folder / where), store, place)

    def _read(self, name: str, folder: str, store: ArtifactStore, place: str) -> Result:
        try:
            described = scan.read_scan(self._fetch(store, f"{folder}/{layout.METADATA}").read_bytes())
        except ValueError as error:
            raise Failure(str(error), code=failure.DATA) from None
        listed = {file.name: file for file in described.files}
        path, page = f"{folder}/{layout.FINDINGS}", f"{folder}/{layout.REPORT}"
        namespace = self._cluster.namespace if self._cluster else namespace_of(described)
        suppressed = self._suppressed(namespace)
        findings = Findings(self._fetch(store, path, listed.get(layout.FINDINGS)), suppressed)
        report = functools.partial(self._fetch, store, page, listed[layout.REPORT]) if layout.REPORT in listed else None
        kept = listed.get(layout.HISTORY)
        fetch = functools.partial(self._fetch, store, f"{folder}/{layout.HISTORY}", kept) if kept else None
        lives = History(fetch, findings, described.started_at)
        return Result(name, described, findings, lives, f"{path} {place}", report)

    def _fetch(self, store: ArtifactStore, path: str, listed: ArtifactFile | None = None) -> Path:
        """Copy a file to this machine, and check it against its entry in the record."""
        self._found += 1
        target = self._scratch / f"{self._found}-{PurePosixPath(path).name}"
        with target.open("wb") as file:
            store.copy(path, file if listed else _Record(file, path))
        if listed:
            check(target, path, listed.bytes, listed.sha256)
        return target


def namespace_of(described: ScanMetadata) -> str:
    """The namespace of a result's plan; empty where it is in no cluster."""
    namespace = described.plan.namespace
    return "" if namespace == LOCAL_NAMESPACE else namespace


def _absent(run: str, plan: Object, back: int = 0) -> Failure:
    """The failure of a plan that has no result; it may come, unless the plan has ended."""
    phase = plans.phase(plan)
    if phase.is_terminal:
        return NotFound(f"{run} has no result: it is {phase}", f"scanplan explain {plans.name(plan)}")
    why = f"{run} has no result yet: it is {phase}"
    if back:
        why = f"{run}~{back} can't be read yet: {run} is {phase}, and says where its results are once it has begun"
    return Failure(why, f"scanplan watch {plans.name(plan)}", failure.TEMPORARY)


class _Record:
    """Bounds the copy of a record. Somebody with access to the claim may put a file there that fills this machine's disk."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        self._file = file
        self._path = path
        self._left = durable.RECORD_BYTES

    def write(self, piece: bytes, /) -> int:
        self._left -= len(piece)
        if self._left < 0:
            raise Failure(f"{self._path} can't be read: it is too large for a record", code=failure.DATA)
        return self._file.write(piece)


def check(file: Path, path: str, size: int, sha256: str) -> None:
    """Check a copy against its entry in the record.

    Args:
        path: of the original, relative to the claim or the plan's folder.
        size: that the entry names, in bytes. It is for the message: the digest decides.

    Raises:
        Failure: the file differs.
    """
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != sha256:
        raise Failure(
            f"{path} is not what the scan has published: {file.stat().st_size:,} bytes with SHA-256 {digest[:12]}…, "
            f"not {size:,} with {sha256[:12]}…",
            "the same command again; if it stays so, somebody has changed the claim",
            failure.DATA,
        )


@contextlib.contextmanager
def opened(
    directory: Path | None,
    namespace: str | None,
    context: str | None,
    kubeconfig: Path | None,
    files: list[Path] | None = None,
) -> Iterator[ResultSource]:
    """Open the results of a folder or, where `directory` is None, of a cluster.

    Args:
        files: files with exceptions, which replace those of the cluster.
    """
    cluster = None
    if not directory:
        from scanplan.client.cluster.cluster import connect  # noqa: PLC0415 - needs the `kubernetes` extra

        cluster = connect(namespace, context, kubeconfig)
    with contextlib.ExitStack() as resources:
        scratch = resources.enter_context(tempfile.TemporaryDirectory(prefix="scanplan-"))
        yield ResultSource(Path(scratch), cluster, directory, resources, files)
