"""The record of a scan as the reports use it: `scan_metadata.json`, read leniently.

A report may be older or newer than the scan. So unknown members are ignored, and missing ones have defaults. All that a report
says about completeness comes from here.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from scanplan.api import wire
from scanplan.api.documents.report import FindingCounts
from scanplan.api.documents.words import Outcome
from scanplan.api.wire import UNREADABLE


class _View(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of the views: lenient, where the documents themselves are strict."""


class Counts(FindingCounts, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Findings by severity, as lenient as the rest."""


class Plan(_View, frozen=True, kw_only=True):
    """The plan that asked for the scan."""

    namespace: str = ""
    name: str = ""


class Scanner(_View, frozen=True, kw_only=True):
    """What scanned."""

    nuclei_version: str = ""
    templates_digest: str = ""
    templates_loaded: int = 0


class Error(_View, frozen=True, kw_only=True):
    """Why an attempt failed."""

    reason: str = ""
    message: str = ""


class Attempt(_View, frozen=True, kw_only=True):
    """One attempt of a shard."""

    attempt: int = 0
    outcome: Outcome = Outcome.FAILED
    error: Error | None = None


class Troubled(_View, frozen=True, kw_only=True):
    """An endpoint that answered, but may not be fully scanned, with what came of it in words."""

    endpoint: str = ""
    remark: str = ""


class Shard(_View, frozen=True, kw_only=True):
    """How one shard came out."""

    shard: int = 0
    outcome: Outcome = Outcome.FAILED
    endpoints: int = 0
    endpoints_scanned: int = 0
    endpoints_unreachable: tuple[str, ...] = ()
    endpoints_skipped: tuple[str, ...] = ()
    endpoints_troubled: tuple[Troubled, ...] = ()
    attempts: tuple[Attempt, ...] = ()

    @property
    def error(self) -> Error | None:
        """The error of the last attempt; None where it has none."""
        return self.attempts[-1].error if self.attempts else None


class NotRun(_View, frozen=True, kw_only=True):
    """A template that was asked for and not sent."""

    template: str = ""
    reason: str = ""


class History(_View, frozen=True, kw_only=True):
    """What the scan has changed in the run's findings over time."""

    since: str = ""
    new: Counts = Counts()
    resolved: Counts = Counts()
    reopened: Counts = Counts()
    open: Counts = Counts()


class EndpointsFile(_View, frozen=True, kw_only=True):
    """What was in a file of endpoints."""

    refused: int = 0


class File(_View, frozen=True, kw_only=True):
    """An artifact beside the record, with its size in bytes and SHA-256 in hex."""

    name: str = ""
    bytes: int = 0
    sha256: str = ""


class Scan(_View, frozen=True, kw_only=True):
    """One scan."""

    key: str = ""
    project_id: str = ""
    run_id: str = ""
    plan: Plan = Plan()
    complete: bool = False
    exceptions: dict[str, object] | None = None
    """Not None: exceptions were counted when the findings were merged."""
    started_at: str = ""
    finished_at: str = ""
    duration_ms: int = 0
    """Scanning time of all attempts together, in milliseconds."""
    templates: tuple[str, ...] = ()
    severity_levels: tuple[str, ...] = ()
    """Empty: all."""
    scanner: Scanner = Scanner()
    template_digests: tuple[str, ...] = ()
    endpoints: int = 0
    endpoints_scanned: int = 0
    endpoints_unreachable: int = 0
    endpoints_skipped: int = 0
    endpoints_throttled: int = 0
    endpoints_blocked: int = 0
    endpoints_file: EndpointsFile | None = None
    """None: the endpoints are not in a file."""
    templates_run: int = 0
    templates_not_run: tuple[NotRun, ...] = ()
    templates_left_out: Mapping[str, int] = {}
    """By cause: what the plan's own selection leaves out."""
    requests: int = 0
    coverage: int = 0
    """In thousandths."""
    findings: Counts = Counts()
    history: History | None = None
    shards: tuple[Shard, ...] = ()
    files: tuple[File, ...] = ()

    @property
    def unfinished(self) -> tuple[Shard, ...]:
        """The shards whose results are not complete."""
        return tuple(shard for shard in self.shards if shard.outcome is not Outcome.COMPLETE)

    @property
    def missed_nothing(self) -> bool:
        """Whether each template ran, and each endpoint answered all the time: what the scan did not find is not there."""
        missed = (
            self.endpoints_unreachable,
            self.endpoints_skipped,
            self.endpoints_throttled,
            self.endpoints_blocked,
            self.templates_not_run,
            *(shard.endpoints_troubled for shard in self.shards),
        )
        return self.complete and not any(missed)


def read(content: bytes) -> Scan:
    """Parse a `scan_metadata.json`.

    Raises:
        ValueError: the content can't be parsed.
    """
    try:
        return wire.decode(content, Scan)
    except UNREADABLE as error:
        raise ValueError(f"scan_metadata.json can't be read: {error}") from error


def remarks(scan: Scan) -> list[str]:
    """Remarks on what the scan did not cover; one sentence each, empty where it covered everything."""
    said = []
    if not scan.complete:
        unfinished = len(scan.unfinished)
        said.append(
            f"The scan is not complete: {unfinished} of {len(scan.shards)} shards did not finish."
            if unfinished
            else "The scan is not complete."
        )
    if scan.endpoints_file and scan.endpoints_file.refused:
        said.append(
            f"{scan.endpoints_file.refused:,} lines of the file of endpoints were left out: they are no endpoints, or may not be "
            "scanned."
        )
    if scan.endpoints_unreachable:
        said.append(
            f"{scan.endpoints_unreachable:,} of {scan.endpoints:,} endpoints did not answer: they were not, or not fully, scanned."
        )
    if scan.endpoints_skipped:
        said.append(
            f"{scan.endpoints_skipped:,} of {scan.endpoints:,} endpoints stopped answering, or got no request: they were not, "
            "or not fully, scanned."
        )
    for count, what in (
        (scan.endpoints_throttled, "throttled the scan, or were out of service"),
        (scan.endpoints_blocked, "blocked the scan"),
    ):
        if count:
            said.append(f"{count:,} of {scan.endpoints:,} endpoints {what}: findings may be missing.")
    if scan.templates_not_run:
        total = len(scan.templates_not_run) + scan.templates_run
        said.append(f"{len(scan.templates_not_run):,} of {total:,} templates were not run.")
    if len(scan.template_digests) > 1:
        said.append("Templates changed while the scan ran: its shards may have looked for different things.")
    return said
