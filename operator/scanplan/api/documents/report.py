"""What comes back as a pod's termination message: the report of an attempt, and of the merge that it may have made."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import msgspec

from scanplan.api import wire
from scanplan.api.documents.words import (
    Age,
    Count,
    Document,
    DocumentVersion,
    EndpointsFileReport,
    ErrorClass,
    Outcome,
    Severity,
    Value,
)
from scanplan.api.errors import ScanError
from scanplan.api.v1alpha1.conditions import Reason

TERMINATION_MESSAGE_BYTES = 4096
"""Kubernetes keeps no more of a termination message."""


class FindingCounts(Value, frozen=True, kw_only=True):
    """Findings by severity; `total` is their sum."""

    critical: Count = 0
    high: Count = 0
    medium: Count = 0
    low: Count = 0
    info: Count = 0
    unknown: Count = 0

    @property
    def total(self) -> int:
        return self.critical + self.high + self.medium + self.low + self.info + self.unknown


class NewFinding(Value, frozen=True, kw_only=True):
    """A finding by name. Its texts are the template's and the scanned host's."""

    severity: Severity
    name: Annotated[str, msgspec.Meta(max_length=120)]
    template: Annotated[str, msgspec.Meta(max_length=120)]
    where: Annotated[str, msgspec.Meta(max_length=256)] = ""
    """Without query; empty where the endpoints are secret."""


class NewFindings(Value, frozen=True, kw_only=True):
    """The new findings that fall under no exception."""

    counts: FindingCounts = msgspec.field(default_factory=FindingCounts)
    examples: Annotated[tuple[NewFinding, ...], msgspec.Meta(max_length=10)] = ()
    """The most severe ones, as far as there is room."""


class HistoryCounts(Value, frozen=True, kw_only=True):
    """What a scan has changed in its run's findings over time; each finding counts once, however many records it has."""

    since: str = ""
    """When the scan began that this one was compared with, RFC 3339; empty: none."""
    new: FindingCounts = msgspec.field(default_factory=FindingCounts)
    """Seen for the first time."""
    resolved: FindingCounts = msgspec.field(default_factory=FindingCounts)
    """Looked for, and not there any more."""
    reopened: FindingCounts = msgspec.field(default_factory=FindingCounts)
    """Resolved before, and seen again."""
    open: FindingCounts = msgspec.field(default_factory=FindingCounts)
    """All that are not resolved, also those that this scan did not look for."""
    open_by_age: Mapping[Age, FindingCounts] = {}
    """The same, by how long they were known when the scan began; ages without findings are missing."""
    told: NewFindings | None = None
    """Of the new ones those that fall under no exception; None: counted by a version that did not tell them."""


class ArtifactFile(Value, frozen=True, kw_only=True):
    """One published file: its name within the task's folder, size in bytes and SHA-256 in hex."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][-A-Za-z0-9_.]*\Z", max_length=253)]
    bytes: Count
    sha256: str


class ScannerVersion(Value, frozen=True, kw_only=True):
    """What scanned: recorded so that two results can be compared."""

    nuclei_version: str = ""
    templates_digest: str = ""
    """SHA-256 over the names and contents of the templates that this task selects."""
    templates_loaded: Count = 0


class TaskError(Value, frozen=True, kw_only=True):
    """Why an attempt failed: class, reason from the one enum, and a message that says what to do (at most 1 KiB)."""

    error_class: ErrorClass = msgspec.field(name="class")
    reason: Reason
    message: str

    @classmethod
    def of(cls, failed: ScanError) -> TaskError:
        """The same error, as it is reported."""
        return cls(error_class=failed.error_class, reason=failed.reason, message=failed.message)


class TemplateNotRun(Value, frozen=True, kw_only=True):
    """A template that was asked for, and of which no request was sent."""

    template: str
    """Its path below its source."""
    reason: str


class Trouble(StrEnum):
    """Why an endpoint that answers may not be fully scanned."""

    STOPPED = "stopped"
    """It answered at first, then no more."""
    FAILING = "failing"
    """Many requests to it failed."""
    THROTTLED = "throttled"
    """It answers 429."""
    UNAVAILABLE = "unavailable"
    """It answers 502, 503 or 504; so does a proxy that does not reach it."""
    BLOCKED = "blocked"
    """It answers 403, wherever it is asked."""

    @classmethod
    def _missing_(cls, _: object) -> Trouble:
        """A trouble of a later version."""
        return cls.FAILING


THROTTLING = (Trouble.THROTTLED, Trouble.UNAVAILABLE)
"""Troubles that count as throttling."""


class EndpointTrouble(Value, frozen=True, kw_only=True):
    """An endpoint that answers, but may not be fully scanned."""

    endpoint: str
    trouble: Trouble
    count: Count
    """Requests that failed; of `throttled`, `unavailable` and `blocked` the checks that were answered so."""
    total: Count
    """Requests, or checks, of which `count` is a part."""
    last_answer: str = ""
    """RFC 3339 time of the last answer; only where it stopped."""
    remark: str
    """The same in words."""


class ExceptionUse(Value, frozen=True, kw_only=True):
    """How many findings an exception matches."""

    name: Annotated[str, msgspec.Meta(max_length=63)]
    findings: Count


class AppliedExceptions(Value, frozen=True, kw_only=True):
    """The exceptions that a merge has counted with."""

    time: Annotated[str, msgspec.Meta(max_length=40)]
    """RFC 3339: when the operator put them together."""
    suppressed: FindingCounts = msgspec.field(default_factory=FindingCounts)
    """Findings that fall under one of them."""
    used: Annotated[tuple[ExceptionUse, ...], msgspec.Meta(max_length=1_000)] = ()
    """Those that match a finding, the most first."""
    more: bool = False
    """Others do too: there was no room for them, or they were not handed to the pod."""


class MergedResult(Document, frozen=True, kw_only=True):
    """The merged artifacts of all shards, published by the last shard or the collector."""

    path: str
    """The task's folder relative to the claim's root."""
    complete: bool
    shards: Count
    """Shards merged."""
    endpoints_scanned: Count
    endpoints_unreachable: Count
    endpoints_skipped: Count = 0
    """Endpoints that stopped answering, or that no template had anything to send to."""
    exceptions: AppliedExceptions | None = None
    """None: the namespace had no exceptions when the Job was made."""
    endpoints_throttled: Count = 0
    """Endpoints that answered 429, 502, 503 or 504."""
    endpoints_blocked: Count = 0
    """Endpoints that answered 403 wherever they were asked."""
    endpoints_file: EndpointsFileReport | None = None
    """None: the endpoints are not in a file."""
    endpoints_remark: str = ""
    """The first endpoints with troubles, each with its own; for people."""
    templates_run: Count = 0
    templates_not_run: Count = 0
    templates_remark: str = ""
    """The first templates that were not run, each with the cause; for people."""
    requests: Count = 0
    """Requests that were sent."""
    seconds: Count = 0
    """From the first attempt's begin to the last one's end."""
    coverage: Count = 0
    """Pairs of template and endpoint that were sent, in thousandths of all pairs of the templates that were loaded."""
    findings: FindingCounts
    history: HistoryCounts | None = None
    """None: merged by a version that kept no history."""
    files: tuple[ArtifactFile, ...]


class ShardReport(Document, frozen=True, kw_only=True):
    """What one attempt says when it ends: the pod's termination message, at most 4096 bytes."""

    version: DocumentVersion = 1
    shard: Annotated[int, msgspec.Meta(ge=-1, le=1 << 31)]
    attempt: Count
    outcome: Outcome
    error: TaskError | None = None
    replayed: bool = False
    """True where the shard was already on the claim and nothing was scanned."""
    published_at: Annotated[str, msgspec.Meta(max_length=40)] = ""
    """RFC 3339: since when a replayed shard has been on the claim; empty where this attempt scanned it."""
    endpoints: Count = 0
    endpoints_scanned: Count = 0
    endpoints_unreachable: Count = 0
    endpoints_skipped: Count = 0
    steps: Count = 0
    """Steps that this attempt has saved, after which the next one goes on; 0 where the shard is complete."""
    findings: FindingCounts = msgspec.field(default_factory=FindingCounts)
    scanner: ScannerVersion = msgspec.field(default_factory=ScannerVersion)
    duration_ms: Count = 0
    warnings: tuple[str, ...] = ()
    """Short remarks for people, such as templates that did not load."""
    merged: MergedResult | None = None
    """Set by the attempt that found its shard to be the last, and merged all of them."""


def decode_report(content: str | bytes) -> ShardReport | None:
    """Read a termination message; None where it is not a report (a runner killed before it could write one)."""
    try:
        return wire.decode(content, ShardReport)
    except wire.UNREADABLE:  # a pod may write there what it likes
        return None
