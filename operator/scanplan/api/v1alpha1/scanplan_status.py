"""The status of a ScanPlan: what a user reads.

One frozen model for everybody: the core writes it, and the operator, the command line, the API and the library read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field

from scanplan.api.v1alpha1.model import Model
from scanplan.api.v1alpha1.notification import MAX_EXAMPLES, NewFinding
from scanplan.api.v1alpha1.plan.exports import MAX_EXPORTS, ExportStatus
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.status import Status


class JobReference(Model):
    """The Job that runs, or ran, the plan's task."""

    name: str
    uid: str


class ShardCounts(Model):
    """Shards by state."""

    total: int
    active: int = 0
    succeeded: int = 0
    failed: int = 0


BySeverity = dict[str, int]


class Findings(Model):
    """Findings of the published result, by severity, and what has changed since the last complete scan of the run."""

    total: int = 0
    critical: int = 0
    high: int = 0
    medium: int = 0
    low: int = 0
    info: int = 0
    unknown: int = 0
    suppressed: Annotated[
        int | None, Field(description="Those of them that fell under a ScanException when they were merged.")
    ] = None
    suppressed_by_severity: Annotated[
        dict[str, int] | None, Field(description="The same by severity, where it is not 0.")
    ] = None
    new: Annotated[int | None, Field(description="Findings that this scan has seen for the first time.")] = None
    resolved: Annotated[
        int | None, Field(description="Findings that this complete scan looked for, and that are not there any more.")
    ] = None
    reopened: Annotated[
        int | None, Field(description="Findings that were resolved before, and that this scan has seen again.")
    ] = None
    open: Annotated[
        int | None,
        Field(description="Findings of the run that are not resolved, also those that this scan did not look for."),
    ] = None
    new_by_severity: Annotated[BySeverity | None, Field(description="`new`, where it is not 0.")] = None
    resolved_by_severity: Annotated[BySeverity | None, Field(description="`resolved`, where it is not 0.")] = None
    reopened_by_severity: Annotated[BySeverity | None, Field(description="`reopened`, where it is not 0.")] = None
    open_by_severity: Annotated[BySeverity | None, Field(description="`open`, where it is not 0.")] = None
    open_by_age: Annotated[
        dict[str, BySeverity] | None,
        Field(
            description="`open` by severity and by the days since a finding was first seen, when the scan began: 0-7d, 7-30d, "
            "30-90d, 90d+."
        ),
    ] = None

    @property
    def counts(self) -> dict[str, int]:
        """The numbers by name: total, severities, and what has changed where that is known."""
        return {name: value for name, value in self.model_dump().items() if isinstance(value, int)}


class NewFindings(Model):
    """New findings that fall under no exception: what notifiers tell."""

    by_severity: Annotated[BySeverity, Field(description="Their number, where it is not 0.")] = {}
    examples: Annotated[
        tuple[NewFinding, ...], Field(max_length=MAX_EXAMPLES, description="The most severe ones, by name.")
    ] = ()


class ExceptionUse(Model):
    """How many findings a ScanException matches."""

    name: str
    findings: int


class AppliedExceptions(Model):
    """The ScanExceptions that the findings were counted with."""

    time: Annotated[
        str,
        Field(json_schema_extra={"format": "date-time"}, description="Exceptions that were there then are counted."),
    ]
    used: Annotated[
        tuple[ExceptionUse, ...], Field(max_length=1_000, description="Those that match a finding, the most first.")
    ] = ()
    more: Annotated[bool, Field(description="Others match too, that are not listed.")] = False


class PublishedFile(Model):
    """One artifact with its size in bytes and SHA-256 in hex."""

    name: str
    bytes: int
    sha256: str


class PublishedArtifacts(Model):
    """Where the result is; `path` starts at the claim's root."""

    claim_name: str
    path: str
    complete: bool
    files: tuple[PublishedFile, ...] | None = None
    cluster: Annotated[
        str | None, Field(description="The cluster that has scanned and has the claim, where it is another one.")
    ] = None


class ScannerStatus(Model):
    """The scanner. Its image is pinned when the task is first seen; the other fields come with the end."""

    image: str = ""
    nuclei_version: str | None = None
    templates_digest: str | None = None
    templates_loaded: int | None = None


class Discovery(Model):
    """What the objects of the cluster named when the scan started."""

    found: Annotated[int, Field(description="Endpoints that an object names.")] = 0
    left_out: Annotated[int, Field(description="What objects name, and could not be scanned.")] = 0
    examples: Annotated[
        tuple[Annotated[str, Field(max_length=512)], ...],
        Field(max_length=10, description="The first of what was left out, each with the cause."),
    ] = ()


class EndpointsFile(Model):
    """What scan pods have found in the file of endpoints."""

    refused: Annotated[
        int, Field(description="Lines that are no endpoint, or one that may not be scanned; they were left out.")
    ] = 0
    duplicates: Annotated[int, Field(description="Endpoints that are in the file more than once.")] = 0
    examples: Annotated[
        tuple[Annotated[str, Field(max_length=512)], ...],
        Field(max_length=10, description="Some of the refused lines by their numbers, each with the cause."),
    ] = ()


class StatusError(Model):
    """Why the scan failed."""

    class_: Annotated[str, Field(alias="class")]
    reason: str
    message: str


class ScanPlanStatus(Status):
    """The state and the result of the plan."""

    phase: Phase | None = None
    reason: Annotated[
        str | None,
        Field(description="What is not well, in a word: an error, what the plan waits for, or what its result lacks."),
    ] = None
    project_id: Annotated[str | None, Field(description="Project that the findings belong to.")] = None
    run_id: Annotated[str | None, Field(description="Run that the findings belong to.")] = None
    task_id: Annotated[
        str | None, Field(description="Name of the task's Job, and the task's id in queues and APIs.")
    ] = None
    task_key: Annotated[
        str | None, Field(description="The task's idempotency key, pinned when this content was first seen.")
    ] = None
    input_digest: Annotated[
        str | None, Field(description="Digest of the spec's key fields as written. The key is pinned to it.")
    ] = None
    job_ref: JobReference | None = None
    start_time: Annotated[
        str | None,
        Field(
            json_schema_extra={"format": "date-time"},
            description="When the scan began. Neither a pause nor a Job that is made again renews it.",
        ),
    ] = None
    running_since: Annotated[
        str | None,
        Field(
            json_schema_extra={"format": "date-time"},
            description="Since when the scan has been at work without a pause (`suspend`, windows, a wait for a slot or quota). "
            "The deadline counts from here, also where the Job was made again.",
        ),
    ] = None
    completion_time: Annotated[str | None, Field(json_schema_extra={"format": "date-time"})] = None
    duration_ms: int | None = None
    duration: Annotated[str | None, Field(description="durationMs in a form for people, such as 4m12s.")] = None
    attempts: Annotated[int | None, Field(description="Pods that ran for this task, over all shards.")] = None
    shards: ShardCounts | None = None
    progress: Annotated[str | None, Field(description="Finished shards and all shards, such as 3/8.")] = None
    endpoint_count: Annotated[
        int | None,
        Field(
            description="Endpoints of the scan. Of a file, until there is a result, as many as the plan says at most."
        ),
    ] = None
    discovery: Discovery | None = None
    endpoints_file: EndpointsFile | None = None
    endpoints_scanned: int | None = None
    endpoints_unreachable: Annotated[int | None, Field(description="Endpoints that never answered.")] = None
    endpoints_skipped: Annotated[
        int | None,
        Field(description="Endpoints that stopped answering during the scan, or that no template could be sent to."),
    ] = None
    endpoints_throttled: Annotated[
        int | None, Field(description="Endpoints that answered 429, 502, 503 or 504 while they were scanned.")
    ] = None
    endpoints_blocked: Annotated[
        int | None, Field(description="Endpoints that answered 403, wherever they were asked, while they were scanned.")
    ] = None
    templates_run: Annotated[
        int | None, Field(description="Templates that sent a request to at least one endpoint.")
    ] = None
    templates_not_run: Annotated[
        int | None,
        Field(description="Templates that were asked for and not sent; the causes are in `scan_metadata.json`."),
    ] = None
    requests_sent: Annotated[int | None, Field(description="Requests that were sent, over all attempts.")] = None
    sending_seconds: Annotated[
        int | None, Field(description="Seconds from the first attempt's begin to the last one's end.")
    ] = None
    requests_per_second: Annotated[
        int | None,
        Field(description="requestsSent by sendingSeconds, rounded up: what was sent on average, by all shards."),
    ] = None
    coverage: Annotated[
        str | None,
        Field(description="Share of the pairs of loaded template and endpoint that were sent, such as 98.4%."),
    ] = None
    findings: Findings | None = None
    new_findings: Annotated[
        NewFindings | None,
        Field(
            description="New findings that fell under no exception when they were merged, the most severe by name: what "
            "notifiers tell. None of a result that was taken over from an earlier scan or another cluster."
        ),
    ] = None
    exceptions: AppliedExceptions | None = None
    artifacts: PublishedArtifacts | None = None
    scanner: ScannerStatus | None = None
    error: StatusError | None = None
    exports: Annotated[
        tuple[ExportStatus, ...] | None,
        Field(
            max_length=MAX_EXPORTS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
            description="What has become of each export of this result.",
        ),
    ] = None

    @classmethod
    def of_ended(cls, body: Mapping[str, Any]) -> Self | None:
        """As `read`, where the phase is terminal; None otherwise. Most events are of plans that run: their status is not read."""
        status = body.get("status")
        phase = status.get("phase") if isinstance(status, Mapping) else None
        return cls.read(body) if phase in _TERMINAL else None

    def is_over(self, generation: int | None) -> bool:
        """Whether nothing more will come of this generation of the plan: its task has ended, or it can't run as written."""
        return self.observed_generation == generation and self.phase is not None and self.phase.is_terminal

    @property
    def ended(self) -> bool:
        """Whether the task has ended for good. A plan that can't run as written has failed, but its task has not ended."""
        return self.phase is not None and self.phase.is_terminal and self.completion_time is not None


_TERMINAL = tuple(phase.value for phase in Phase if phase.is_terminal)
