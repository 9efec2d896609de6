"""The document that goes into a pod as a file, and describes the whole scan."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated

import msgspec

from scanplan.api import wire
from scanplan.api.documents.words import (
    DiscoveryReport,
    Document,
    DocumentVersion,
    FuzzInputMode,
    PlanReference,
    Protocol,
    Severity,
)

MAX_ENDPOINT_LENGTH = 2_048
MAX_FILE_ENDPOINTS = 1_000_000
MAX_SHARDS = 1_000
"""Bound on a Job's completions: backoffLimitPerIndex allows 100,000, but status and pods are kept readable."""


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
    dast: bool = False
    """Run fuzzing templates."""
    headless: bool = False
    """Run templates that need a browser, which the image has."""
    code: bool = False
    """Run signed templates that are programs."""
    interactsh_server: str = ""
    """Out-of-band server; empty: none is asked."""
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
    """`content_digest` of its files as they were when the task was first seen; empty for an image, which has its own digest."""
    unsigned: bool = False
    """Its templates need no signature, although `ScannerOptions.verify_signatures` is on."""


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
    matchers: tuple[str, ...] = ()
    """Only in what is excluded: `ID:NAME` of matchers without findings, as written; * stands for all."""


class Bucket(Document, frozen=True, kw_only=True):
    """A bucket of an S3 server."""

    endpoint: str
    """URL of the server, without a slash at its end."""
    name: str
    region: str
    secret: str = ""
    """Folder with the access key; empty: requests are anonymous."""


class EndpointsFile(Document, frozen=True, kw_only=True):
    """A file of endpoints, one a line, which each pod reads for itself."""

    root: str = ""
    """The folder in the pod that it is in, or below; empty: it is in a bucket."""
    path: str
    """Its path there, no part of which may be a link; or its key."""
    bucket: Bucket | None = None
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    most: Annotated[int, msgspec.Meta(ge=1, le=MAX_FILE_ENDPOINTS)]
    """Endpoints that it has, at most."""
    most_addresses: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Addresses that its ranges may have together; 0: it may have no ranges."""


class TaskDocument(Document, frozen=True, kw_only=True):
    """All that a scan is: the same for every shard and attempt of a task."""

    version: DocumentVersion = 1
    key: str
    """The whole task key, ``scan:{projectId}:{runId}:…``."""
    project_id: str
    run_id: str
    plan: PlanReference
    endpoints: tuple[str, ...]
    """Canonical, sorted and unique; `scanplan.core.planning.shards` cuts them into `shards` parts. With a file there are none.
    A collector's has neither: it merges the shards of the task as its attempts had it."""
    endpoints_file: EndpointsFile | None = None
    confidential: bool = False
    """Some endpoints come from a Secret: logs and messages name none of them; files on the claim do."""
    discovery: DiscoveryReport | None = None
    """None: the plan discovers nothing."""
    shards: Annotated[int, msgspec.Meta(ge=1, le=MAX_SHARDS)] = 1
    templates: tuple[str, ...]
    template_folders: tuple[TemplateFolder, ...] = ()
    """Searched in this order, before the image's own."""
    severity_levels: tuple[Severity, ...] = ()
    """Empty: all."""
    workflows: tuple[str, ...] = ()
    """Paths of workflows; where there is nothing else, only these run."""
    profile: str = ""
    """Template profile, which says what the plan leaves open; empty: none."""
    automatic: bool = False
    """Nuclei chooses among the templates while it scans."""
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
    credentials_folder: str = ""
    """Where the Secret with Nuclei's secrets file is mounted; empty: none."""
    interactsh_folder: str = ""
    """Where the Secret with the token of the out-of-band server is mounted; empty: none."""
    requests_mode: FuzzInputMode | None = None
    """What kind of file `requests_file` is; None: fuzzing begins with the endpoints' URLs."""
    requests_file: str = ""
    """Where the file is mounted in the pod."""
    requests_digest: str = ""
    """SHA-256 of the file as it was when the task was first seen."""
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

    @property
    def most_endpoints(self) -> int:
        """How many endpoints the task has; where they are in a file, at most."""
        return self.endpoints_file.most if self.endpoints_file else len(self.endpoints)

    @property
    def names_endpoints(self) -> bool:
        """Whether it says what is scanned; a collector's does not."""
        return bool(self.endpoints or self.endpoints_file)


def content_digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 in hex over names and contents of a folder's files, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0".encode() + hashlib.sha256(files[name]).digest())
    return digest.hexdigest()


def decode_task(content: bytes) -> TaskDocument:
    """Read a task document.

    Raises:
        msgspec.ValidationError: an unknown field or version, a missing field, a value out of bounds.
        msgspec.DecodeError: not JSON.
    """
    return wire.decode(content, TaskDocument)
