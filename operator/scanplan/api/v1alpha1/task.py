"""The documents between operator and runner.

A `TaskDocument` goes into the pod as a file and describes the whole scan. A `ShardReport` comes back as the pod's termination
message and describes the attempt. Both are JSON with camelCase names and are decoded strictly, so that an operator and a runner
of different versions fail with an error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from scanplan.api.v1alpha1.conditions import Reason

TERMINATION_MESSAGE_BYTES = 4096
"""Kubernetes keeps no more of a termination message."""

DocumentVersion = Literal[1]
MOST_COUNTED = 1 << 50
Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_COUNTED)]
"""A number in a report. Anybody may forge one who can start pods, and a status takes no more than 64 bits."""


class Severity(StrEnum):
    """Nuclei's severities, most severe first; the order is the display order."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"
    UNKNOWN = "unknown"

    @classmethod
    def of(cls, value: object) -> Severity:
        """The severity for a word of Nuclei's; `unknown` for any other value."""
        return _SEVERITIES.get(value.strip().lower(), cls.UNKNOWN) if isinstance(value, str) else cls.UNKNOWN


_SEVERITIES = {severity.value: severity for severity in Severity}


class Age(StrEnum):
    """How long a finding is known, in days; the youngest first."""

    WEEK = "0-7d"
    MONTH = "7-30d"
    QUARTER = "30-90d"
    OLDER = "90d+"

    @classmethod
    def of(cls, days: float) -> Age:
        """The age of a finding that was first seen so many days ago."""
        return next(
            (age for most, age in ((7, cls.WEEK), (30, cls.MONTH), (90, cls.QUARTER)) if days < most), cls.OLDER
        )


class Protocol(StrEnum):
    """The protocols of templates, by Nuclei's names; a workflow runs other templates."""

    HTTP = "http"
    DNS = "dns"
    TCP = "tcp"
    SSL = "ssl"
    WEBSOCKET = "websocket"
    WHOIS = "whois"
    JAVASCRIPT = "javascript"
    HEADLESS = "headless"
    CODE = "code"
    FILE = "file"
    WORKFLOW = "workflow"


class ErrorClass(StrEnum):
    """The three retry classes: never, up to `retry.temporary` times, up to `retry.unknown` times."""

    FATAL = "Fatal"
    TEMPORARY = "Temporary"
    UNKNOWN = "Unknown"


class Outcome(StrEnum):
    """How an attempt, or the merge of all shards, came out."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"


class Document(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    """Base of all wire documents: immutable, camelCase, strict."""


class PlanReference(Document, frozen=True, kw_only=True):
    """The plan that created the task's Job."""

    namespace: str
    name: str


class ScannerOptions(Document, frozen=True, kw_only=True):
    """Typed Nuclei options; there is no way to pass raw arguments. Defaults are Nuclei's own."""

    rate_limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 150
    """Requests a second, of one shard."""
    host_rate_limit: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0
    """Requests a second to each host; 0: as many as `rate_limit` allows."""
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 25
    """Templates in parallel."""
    bulk_size: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 25
    """Hosts in parallel for each template."""
    request_timeout_seconds: Annotated[int, msgspec.Meta(ge=1, le=300)] = 10
    request_retries: Annotated[int, msgspec.Meta(ge=0, le=10)] = 1
    follow_redirects: bool = False
    follow_host_redirects: bool = False
    max_redirects: Annotated[int, msgspec.Meta(ge=0, le=50)] = 0
    """0: Nuclei's default."""
    max_response_bytes: Annotated[int, msgspec.Meta(ge=0, le=100 << 20)] = 0
    """0: Nuclei's default."""
    max_host_errors: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 30
    """Failures in a row after which a host is skipped."""
    sni: str = ""
    verify_signatures: bool = False
    variables: Mapping[str, str] = {}
    """Template variables, which are no secrets: value by name."""
    proxy: str = ""
    """URL of the proxy, without credentials; empty: none."""
    no_proxy: tuple[str, ...] = ()
    """Targets that go direct although there is a proxy, as entries of NO_PROXY."""
    headers: Mapping[str, str] = {}
    """Headers of every request, which are no secrets: value by name."""


class RetryLimits(Document, frozen=True, kw_only=True):
    """Attempts after the first, by error class, for one shard."""

    temporary: Annotated[int, msgspec.Meta(ge=0, le=20)] = 3
    unknown: Annotated[int, msgspec.Meta(ge=0, le=20)] = 1


class TemplateFolder(Document, frozen=True, kw_only=True):
    """A template source mounted beside those of the image."""

    path: str
    """Where it is mounted in the pod."""
    digest: str = ""
    """`content_digest` of its files as they were when the task was first seen; empty for an image, which pins itself."""


class TemplateFilter(Document, frozen=True, kw_only=True):
    """What templates say of themselves, in lower case; an empty list says nothing."""

    tags: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    """With * for any text, and ? for one character."""
    protocols: tuple[Protocol, ...] = ()
    severities: tuple[Severity, ...] = ()
    paths: tuple[str, ...] = ()
    """Files or folders, relative to a source."""


class DiscoveryReport(Document, frozen=True, kw_only=True):
    """What the objects of the cluster named when the task was made."""

    found: Count = 0
    """Endpoints of the task that an object names."""
    left_out: Count = 0
    """What objects name, and could not be used."""
    examples: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=512)], ...], msgspec.Meta(max_length=10)] = ()
    """The first of what was left out, each with the cause; for people."""


class TaskDocument(Document, frozen=True, kw_only=True):
    """All that a scan is: the same for every shard and attempt of a task."""

    version: DocumentVersion = 1
    key: str
    """The whole task key, ``scan:{projectId}:{runId}:…``."""
    project_id: str
    run_id: str
    plan: PlanReference
    endpoints: tuple[str, ...]
    """Canonical, sorted and unique; `scanplan.core.planning.shards` cuts them into `shards` parts. A collector's has none: it
    merges the shards of the task as its attempts had it."""
    confidential: bool = False
    """Some endpoints come from a Secret: logs and messages name none of them; files on the claim do."""
    discovery: DiscoveryReport | None = None
    """None: the plan discovers nothing."""
    shards: Annotated[int, msgspec.Meta(ge=1)] = 1
    templates: tuple[str, ...]
    template_folders: tuple[TemplateFolder, ...] = ()
    """Searched in this order, before the image's own."""
    severity_levels: tuple[Severity, ...] = ()
    """Empty: all."""
    include: TemplateFilter = msgspec.field(default_factory=TemplateFilter)
    """Only templates that have an item of each list run."""
    exclude: TemplateFilter = msgspec.field(default_factory=TemplateFilter)
    """Templates that have an item of any list don't run."""
    headers_folder: str = ""
    """Where the Secret with request headers is mounted in the pod; empty: none."""
    variables_folder: str = ""
    """Where the Secret with template variables is mounted; empty: none."""
    client_certificate_folder: str = ""
    """Where the Secret with a client certificate is mounted; empty: none."""
    scanner: ScannerOptions = msgspec.field(default_factory=ScannerOptions)
    retry: RetryLimits = msgspec.field(default_factory=RetryLimits)
    timeout_seconds: Annotated[int, msgspec.Meta(ge=1)] = 3600
    """Limit of one attempt of one shard; then what was found is published as partial."""
    denied_targets: tuple[str, ...] = ()
    """CIDR ranges and host names that must not be dialled (the operator's target guard)."""
    unguarded_protocols: tuple[str, ...] = ()
    """Protocols that are switched on although they can't be kept from denied targets."""
    replay_not_before: str | None = None
    """RFC 3339 time: a shard published on the claim earlier than this is scanned again rather than replayed."""


class FindingCounts(Document, frozen=True, kw_only=True):
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


class NewFinding(Document, frozen=True, kw_only=True):
    """A finding by name. Its texts are the template's and the scanned host's."""

    severity: Severity
    name: Annotated[str, msgspec.Meta(max_length=120)]
    template: Annotated[str, msgspec.Meta(max_length=120)]
    where: Annotated[str, msgspec.Meta(max_length=256)] = ""
    """Without query; empty where the endpoints are secret."""


class NewFindings(Document, frozen=True, kw_only=True):
    """The new findings that fall under no exception."""

    counts: FindingCounts = msgspec.field(default_factory=FindingCounts)
    examples: Annotated[tuple[NewFinding, ...], msgspec.Meta(max_length=10)] = ()
    """The most severe ones, as far as there is room."""


class HistoryCounts(Document, frozen=True, kw_only=True):
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


class ArtifactFile(Document, frozen=True, kw_only=True):
    """One published file: its name within the task's folder, size in bytes and SHA-256 in hex."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][-A-Za-z0-9_.]*\Z", max_length=253)]
    bytes: Count
    sha256: str


class ScannerVersion(Document, frozen=True, kw_only=True):
    """What scanned: recorded so that two results can be compared."""

    nuclei_version: str = ""
    templates_digest: str = ""
    """SHA-256 over the names and contents of the templates that this task selects."""
    templates_loaded: Count = 0


class TaskError(Document, frozen=True, kw_only=True):
    """Why an attempt failed: class, reason from the one enum, and a message that says what to do (at most 1 KiB)."""

    error_class: ErrorClass = msgspec.field(name="class")
    reason: Reason
    message: str


class TemplateNotRun(Document, frozen=True, kw_only=True):
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


class EndpointTrouble(Document, frozen=True, kw_only=True):
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


class ExceptionUse(Document, frozen=True, kw_only=True):
    """How many findings an exception matches."""

    name: Annotated[str, msgspec.Meta(max_length=63)]
    findings: Count


class AppliedExceptions(Document, frozen=True, kw_only=True):
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
    """Endpoints that stopped to answer, or that no template had anything to send to."""
    exceptions: AppliedExceptions | None = None
    """None: the namespace had no exceptions when the Job was made."""
    endpoints_throttled: Count = 0
    """Endpoints that answered 429, 502, 503 or 504."""
    endpoints_blocked: Count = 0
    """Endpoints that answered 403 wherever they were asked."""
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
    endpoints: Count = 0
    endpoints_scanned: Count = 0
    endpoints_unreachable: Count = 0
    endpoints_skipped: Count = 0
    steps: Count = 0
    """Steps that this attempt has saved: the next one goes on after them."""
    findings: FindingCounts = msgspec.field(default_factory=FindingCounts)
    scanner: ScannerVersion = msgspec.field(default_factory=ScannerVersion)
    duration_ms: Count = 0
    warnings: tuple[str, ...] = ()
    """Short remarks for people, such as templates that did not load."""
    merged: MergedResult | None = None
    """Set by the attempt that found its shard to be the last, and merged all of them."""


def content_digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 in hex over names and contents of a folder's files, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0".encode() + hashlib.sha256(files[name]).digest())
    return digest.hexdigest()


def encode(document: Document) -> bytes:
    """The document as compact JSON; keys in the order of the fields, so equal documents have equal bytes."""
    return msgspec.json.encode(document)


def decode_task(content: bytes) -> TaskDocument:
    """Read a task document.

    Raises:
        msgspec.ValidationError: an unknown field or version, a missing field, a value out of bounds.
        msgspec.DecodeError: not JSON.
    """
    return msgspec.json.decode(content, type=TaskDocument)


def decode_report(content: str | bytes) -> ShardReport | None:
    """Read a termination message; None where it is not a report (a runner killed before it could write one)."""
    try:
        return msgspec.json.decode(content, type=ShardReport)
    except (msgspec.DecodeError, UnicodeError, RecursionError):  # a pod may write there what it likes
        return None
