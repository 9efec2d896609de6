"""The documents on the claim, beside the findings themselves.

`ShardRecord` says how one attempt of one shard came out, `TaskRecord` since when a task exists, `ScanMetadata` what the merged
findings are made of, and `RunRecord` lists a run's tasks. They are made of the words of `scanplan.api.documents`. Their only
times are those that the attempts measured, so two merges of the same attempts have equal bytes.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated

import msgspec

from scanplan.api.documents.report import (
    AppliedExceptions,
    ArtifactFile,
    EndpointTrouble,
    FindingCounts,
    HistoryCounts,
    ScannerVersion,
    TaskError,
    TemplateNotRun,
)
from scanplan.api.documents.task import MAX_SHARDS, EndpointsFile
from scanplan.api.documents.words import (
    Count,
    DiscoveryReport,
    DocumentVersion,
    EndpointsFileReport,
    Outcome,
    PlanReference,
    Severity,
    Value,
)

Mask = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]+\Z")]


class Record(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Base of all documents on the claim: complete, and readable by older versions than wrote them."""


class Unlisted(Record, frozen=True, kw_only=True):
    """How many endpoints a record counts and does not list, by their state."""

    unreachable: Count = 0
    skipped: Count = 0
    throttled: Count = 0
    blocked: Count = 0


class ShardRecord(Record, frozen=True, kw_only=True):
    """One attempt of one shard, written when it has ended: `layout.SHARD_RECORD`."""

    version: DocumentVersion = 1
    key: str
    shard: Count
    attempt: Count
    pod: str = ""
    outcome: Outcome
    error: TaskError | None = None
    endpoints: Count
    endpoints_scanned: Count = 0
    endpoints_unreachable: tuple[str, ...] = ()
    endpoints_skipped: tuple[str, ...] = ()
    endpoints_troubled: tuple[EndpointTrouble, ...] = ()
    endpoints_unlisted: Unlisted = msgspec.field(default_factory=Unlisted)
    """Beyond those that are listed above; not 0 with a file of endpoints alone."""
    templates_run: Count = 0
    templates_not_run: tuple[TemplateNotRun, ...] = ()
    templates_left_out: Mapping[str, Count] = {}
    """How many templates the plan's own selection leaves out, by cause."""
    steps: Count = 0
    """Steps that the attempt has saved."""
    requests: Count = 0
    """Requests that the attempt has sent, as far as it could tell."""
    pairs: Count = 0
    """Pairs of template and endpoint that were sent."""
    findings: FindingCounts = msgspec.field(default_factory=FindingCounts)
    malformed_lines: Count = 0
    scanner: ScannerVersion = msgspec.field(default_factory=ScannerVersion)
    started_at: str
    finished_at: str
    """RFC 3339, UTC: when the attempt was published."""
    duration_ms: Count = 0
    warnings: tuple[str, ...] = ()
    files: tuple[ArtifactFile, ...] = ()
    goes_on_since: str | None = None
    """RFC 3339: the attempt went on after those that were published since then. None: it is not known."""


def begun(
    key: str,
    shard: int,
    endpoints: int,
    moment: str,
    *,
    attempt: int = 0,
    pod: str = "",
    goes_on_since: str | None = None,
) -> ShardRecord:
    """The record of an attempt of which nothing is known but that it began."""
    return ShardRecord(
        goes_on_since=goes_on_since,
        key=key,
        shard=shard,
        attempt=attempt,
        pod=pod,
        outcome=Outcome.FAILED,
        endpoints=endpoints,
        started_at=moment,
        finished_at=moment,
    )


class ShardCoverage(Record, frozen=True, kw_only=True):
    """Where a complete attempt has looked: `layout.COVERAGE`. Masks are bits in hex, by the place of a shard's endpoint."""

    version: DocumentVersion = 1
    trusted: Mask
    """Endpoints that answered all the time."""
    templates: tuple[str, ...]
    """Ids of the templates that ran, under all of their names; sorted."""
    gaps: dict[str, Mask] = msgspec.field(default_factory=dict)
    """By template: endpoints of `trusted` that it was not sent to, or where one of its requests had no answer."""
    excluded_matchers: tuple[str, ...] = ()
    """Matchers whose findings were left out, as `TemplateFilter.matchers`; those of a template profile too."""

    @classmethod
    def of(
        cls,
        endpoints: Sequence[str],
        untroubled: Collection[str],
        ran: Mapping[str, int],
        excluded_matchers: tuple[str, ...] = (),
    ) -> ShardCoverage:
        """The record of an attempt.

        Args:
            endpoints: the shard's.
            untroubled: those that answered all the time.
            ran: by template, a bit for each endpoint where all of its requests had an answer.
            excluded_matchers: matchers whose findings were left out.
        """
        trusted = int("".join("01"[endpoint in untroubled] for endpoint in reversed(endpoints)), 2)
        gaps = {name: trusted & ~mask for name, mask in ran.items()}
        return cls(
            trusted=f"{trusted:x}",
            templates=tuple(sorted(ran)),
            gaps={name: f"{mask:x}" for name, mask in sorted(gaps.items()) if mask},
            excluded_matchers=excluded_matchers,
        )


class ShardEndpoints(Record, frozen=True, kw_only=True):
    """The part of a file of endpoints that is a shard's own: `layout.ENDPOINTS`."""

    version: DocumentVersion = 1
    file: EndpointsFileReport
    """Of the shard's own lines; one that is no endpoint belongs to one shard too."""
    endpoints: tuple[str, ...]
    """Canonical, sorted and unique."""


class TaskRecord(Record, frozen=True, kw_only=True):
    """What a task is: `layout.TASK_RECORD`; written once, by the first attempt of any of its shards."""

    version: DocumentVersion = 1
    key: str
    project_id: str
    run_id: str
    plan: PlanReference
    created_at: str
    compared_with: str | None = None
    """The task's folder, relative to the run's, that the report says what is new since; fixed here, so that all mergers
    make the same report."""


class TaskScope(Record, frozen=True, kw_only=True):
    """What a task scans, as its newest Job has it: `layout.SCOPE`; written by each attempt that finds another one.

    By the time when a collector comes, the objects that the plan names may have changed or gone.
    """

    version: DocumentVersion = 1
    endpoints: tuple[str, ...]
    endpoints_file: EndpointsFile | None = None
    shards: Annotated[int, msgspec.Meta(ge=1, le=MAX_SHARDS)]
    templates: tuple[str, ...]
    severity_levels: tuple[Severity, ...]
    discovery: DiscoveryReport | None = None


class AttemptSummary(Record, frozen=True, kw_only=True):
    """An attempt whose findings are in the merge."""

    attempt: Count
    outcome: Outcome
    error: TaskError | None = None
    started_at: str
    finished_at: str
    findings: Count


class ShardSummary(Record, frozen=True, kw_only=True):
    """How one shard came out in the merge; without attempts it was never scanned."""

    shard: Count
    content: str
    """The content digest: the name of the shard's folder."""
    outcome: Outcome
    endpoints: Count
    endpoints_scanned: Count
    endpoints_unreachable: tuple[str, ...]
    endpoints_skipped: tuple[str, ...] = ()
    endpoints_troubled: tuple[EndpointTrouble, ...] = ()
    endpoints_unlisted: Unlisted = msgspec.field(default_factory=Unlisted)
    attempts: tuple[AttemptSummary, ...]

    @property
    def error(self) -> TaskError | None:
        """The error of the last attempt; None where it has none."""
        return self.attempts[-1].error if self.attempts else None


class ScanMetadata(Record, frozen=True, kw_only=True):
    """What the merged findings are made of: `layout.METADATA`, beside `layout.FINDINGS`."""

    version: DocumentVersion = 1
    key: str
    project_id: str
    run_id: str
    plan: PlanReference
    complete: bool
    started_at: str
    finished_at: str
    duration_ms: Count
    """Scanning time of the attempts merged, added up."""
    templates: tuple[str, ...]
    severity_levels: tuple[Severity, ...]
    scanner: ScannerVersion
    template_digests: tuple[str, ...]
    """All digests that the attempts saw; more than one means that templates changed under the scan."""
    endpoints: Count
    endpoints_scanned: Count
    endpoints_unreachable: Count
    endpoints_skipped: Count = 0
    endpoints_throttled: Count = 0
    endpoints_blocked: Count = 0
    endpoints_file: EndpointsFileReport | None = None
    """None: the endpoints are not in a file."""
    discovery: DiscoveryReport | None = None
    templates_run: Count = 0
    templates_not_run: tuple[TemplateNotRun, ...] = ()
    """Templates that no shard has run, with the cause."""
    templates_left_out: Mapping[str, Count] = {}
    """How many templates the plan's own selection leaves out, by cause."""
    requests: Count = 0
    seconds: Count = 0
    """From the first attempt's begin to the last one's end."""
    coverage: Count = 0
    """Pairs of template and endpoint that were sent, in thousandths of all pairs of the templates that were loaded."""
    findings: FindingCounts
    history: HistoryCounts | None = None
    exceptions: AppliedExceptions | None = None
    """What the merge has counted as suppressed; None: there were no exceptions."""
    shards: tuple[ShardSummary, ...]
    files: tuple[ArtifactFile, ...]

    @property
    def unfinished(self) -> tuple[ShardSummary, ...]:
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


class TaskArtifacts(Record, frozen=True, kw_only=True):
    """One task in its run's record; the paths are relative to the run's folder, absent until merged."""

    key: str
    plan: PlanReference
    created_at: str
    path: str
    complete: bool = False
    nuclei_output: str | None = None
    metadata: str | None = None


class RunRecord(Record, frozen=True, kw_only=True):
    """A run: `layout.RUN_RECORD`. Belongs to one project; its tasks are in order of their creation."""

    version: DocumentVersion = 1
    run_id: str
    project_id: str
    tasks: tuple[TaskArtifacts, ...] = ()


def timestamp(seconds: float) -> str:
    """RFC 3339 with milliseconds, UTC, of seconds since the epoch; sorts as text in order of time."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time.

    Raises:
        ValueError: not one.
    """
    moment = datetime.datetime.fromisoformat(text)
    return moment.replace(tzinfo=moment.tzinfo or datetime.UTC).timestamp()


def readable(record: Record) -> bytes:
    """A record as indented JSON, as people read it on the claim."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"
