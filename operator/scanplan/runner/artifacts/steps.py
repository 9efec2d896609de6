"""Records the finished steps of a shard, in a file in the folder of each attempt.

When the findings of a step are on the volume, a line for the step is appended and synced. A step with a line is never repeated,
even if the attempt is killed. The next attempt reads the lines of all earlier attempts, and continues after them. A line also has
what the step showed about endpoints and templates, so one shard record can be made from the steps of several attempts.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from scanplan.api import layout, wire
from scanplan.api.documents.records import Mask
from scanplan.api.documents.words import Count
from scanplan.runner.artifacts import durable, publish
from scanplan.runner.nuclei.judging.evidence import Answers, Contact, Evidence
from scanplan.runner.nuclei.judging.statistics import ScannerLog
from scanplan.runner.work import Span


class Step(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One step that is done."""

    plan: str
    """Digest of the templates and endpoints that the positions in `span` refer to."""
    span: Span
    findings_bytes: Count
    """Size of the attempt's findings file after the step."""
    requests: Count
    contacts: dict[str, Contact]
    sent: dict[str, Mask]
    """By template: the endpoints that got its requests, as bits of a hexadecimal number."""
    unanswered: dict[str, Mask] = {}
    """As `sent`: endpoints where a request of the template had no answer."""
    questions: Mask
    skipped: tuple[str, ...]
    version: str
    templates_loaded: Count
    loaded: tuple[str, ...]
    not_loaded: dict[str, str]
    not_sent: dict[str, str]
    matched: tuple[str, ...]
    answers: dict[str, Answers] = {}


def step(
    plan: str, span: Span, findings_bytes: int, log: ScannerLog, evidence: Evidence, matched: Iterable[str]
) -> Step:
    """Make the record of a step that has ended."""
    return Step(
        plan=plan,
        span=span,
        findings_bytes=findings_bytes,
        requests=evidence.requests,
        contacts=evidence.contacts,
        sent={template: f"{mask:x}" for template, mask in evidence.sent.items()},
        unanswered={template: f"{mask:x}" for template, mask in evidence.unanswered.items()},
        questions=f"{evidence.questions:x}",
        skipped=tuple(sorted(log.skipped)),
        version=log.version,
        templates_loaded=log.templates_loaded or 0,
        loaded=tuple(sorted(log.loaded)),
        not_loaded=log.not_loaded,
        not_sent=log.not_sent,
        matched=tuple(sorted(log.loaded.intersection(matched))),
        answers=evidence.answers,
    )


def log_of(step: Step) -> ScannerLog:
    """What Nuclei said during a step."""
    log = ScannerLog(0.0)
    log.version, log.templates_loaded = step.version, step.templates_loaded
    log.loaded, log.skipped = set(step.loaded), set(step.skipped)
    log.not_loaded, log.not_sent = step.not_loaded, step.not_sent
    return log


def evidence_of(step: Step) -> Evidence:
    """What a step has sent, and what was answered."""
    evidence = Evidence(())
    evidence.contacts, evidence.answers = step.contacts, step.answers
    evidence.sent, evidence.unanswered = _masks(step.sent), _masks(step.unanswered)
    evidence.questions, evidence.requests = int(step.questions, 16), step.requests
    return evidence


def _masks(masks: Mapping[str, Mask]) -> dict[str, int]:
    """Endpoints by template, as bits."""
    return {template: int(mask, 16) for template, mask in masks.items()}


_decode = wire.decoder(Step).decode


class Journal:
    """The steps of a shard: those of earlier attempts, and the file to which this attempt adds its own."""

    def __init__(self, shard: Path, attempt: int, plan: str, *, not_before: float | None) -> None:
        """Read what earlier attempts have done.

        Args:
            shard: its folder.
            attempt: number of the attempt that runs now.
            plan: digest of the selected templates, and of all else that the positions in a step depend on.
            not_before: seconds since the epoch; attempts that were published earlier belong to an older run of the same key.

        Raises:
            OSError: the claim (PersistentVolumeClaim) could not be read.
        """
        self._path = publish.folder(shard, attempt) / layout.STEPS
        self.plan = plan
        self.earlier = tuple(
            step
            for record in publish.published(shard, not_before=not_before)
            if record.attempt < attempt
            for step in _kept(publish.folder(shard, record.attempt))
            if step.plan == plan
        )
        self.added = 0
        self._held: list[Step] = []

    def hold(self, step: Step) -> None:
        """Hold back a step in which nothing answered: its endpoints may be dead, or the network. `add` writes it later."""
        self._held.append(step)

    def add(self, step: Step) -> None:
        """Write a step as done, and the steps held before it, since now the network is known to work.

        The findings of the step must be on the volume.

        Raises:
            OSError: the claim could not be written; the step counts as not done.
        """
        for each in (*self._held, step):
            self._write(each)
        self._held.clear()

    def _write(self, step: Step) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with durable.own_folder(self._path.parent) as folder:
            descriptor = os.open(self._path.name, flags, 0o640, dir_fd=folder)
        try:
            content = msgspec.json.encode(step) + b"\n"
            if os.write(descriptor, content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if not self.added:
            durable.sync_directory(self._path.parent)
        self.added += 1


def requests(attempt: Path) -> int:
    """Requests of the steps that an attempt has saved."""
    return sum(step.requests for step in _kept(attempt))


def _kept(attempt: Path) -> Iterator[Step]:
    """The steps that an attempt has saved, up to the first whose line is damaged or whose findings are missing."""
    try:
        size = (attempt / layout.FINDINGS).lstat().st_size
        lines = durable.read_bytes(attempt / layout.STEPS).splitlines()
    except OSError:
        return
    for line in lines:
        try:
            step = _decode(line)
        except (*wire.UNREADABLE, msgspec.ValidationError):
            return  # the attempt was killed while it wrote
        if step.findings_bytes > size:
            return
        yield step
