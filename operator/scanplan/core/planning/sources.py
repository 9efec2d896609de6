"""What a plan names besides itself: ConfigMaps and Secrets with endpoints or templates, objects that name endpoints, its claim.

The core only says what it needs (`needed`); the controller reads it and asks again. What can't be read stops the plan with the
words that help (`Stalled`, InputUnavailable), and is looked for again, since in GitOps it may simply come later. What is larger
than `PLAN_BYTES` in all stops the plan too (`Stalled`, InputsTooLarge), and is looked at again when the plan is edited.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from scanplan.api import labels
from scanplan.api.documents.task import MAX_ENDPOINT_LENGTH, Bucket, EndpointsFile, content_digest
from scanplan.api.errors import InputUnavailable, InvalidEndpoint, InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.plan.sources import ClaimFile, ImageFile, S3File
from scanplan.api.v1alpha1.references import KeyReference
from scanplan.api.v1alpha1.scanplan import MAX_ENDPOINTS, ScanPlanSpec
from scanplan.core.discovery.reading import Found, Skipped
from scanplan.core.discovery.selection import Selection, selections
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.targets import ranges
from scanplan.core.planning.targets.endpoints import quoted

EndpointsSource = ClaimFile | ImageFile | S3File

ENDPOINTS_DIRECTORY = "/etc/scanplan/endpoints"
"""Where the folder or the image with the file of endpoints is mounted in the scan pod."""
PLAN_BYTES = 8 << 20
"""Content that all ConfigMaps and Secrets of one plan may have together: 100,000 endpoints of 80 characters."""
_LINE = re.compile(r"([^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]*)(?:\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]|$)")
"""A line as `str.splitlines` cuts it, which would make half a million objects of one ConfigMap."""


class Kind(StrEnum):
    """Kinds of objects that a plan may name."""

    CONFIG_MAP = "ConfigMap"
    SECRET = "Secret"  # noqa: S105 - a kind
    CLAIM = "PersistentVolumeClaim"


class Reference(NamedTuple):
    """An object in the plan's namespace."""

    kind: Kind
    name: str
    use: str = ""
    """What a Secret has to be labelled for; others need no label."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What the controller has read; `problem` says why it could not."""

    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """By key; it may be a Secret's content, so it is in no log."""
    labels: Mapping[str, str] = field(default_factory=dict)
    access_modes: tuple[str, ...] = ()
    problem: str = ""
    size: int = 0
    """Bytes that its files or endpoints take in memory; above `PLAN_BYTES` there are none."""
    found: tuple[Found, ...] = ()
    """Endpoints that the objects of a selection name."""
    left_out: tuple[Skipped, ...] = ()
    """The first of what they name, and is no endpoint."""
    left_out_count: int = 0


Inputs = Mapping[Reference | Selection, Input]


class Written(NamedTuple):
    """An endpoint as it is written."""

    text: str
    source: str = ""
    """The object and the key that it comes from; empty: the plan itself."""
    line: int = 0
    discovered: bool = False
    """An object of the cluster names it."""
    network: ranges.Network | None = None
    """The range that it is."""

    @property
    def where(self) -> str:
        """What messages say of it. Who may read a plan may not read the objects that it names, so never their content."""
        if self.discovered:
            return self.source
        return f"{self.source}, line {self.line}" if self.source else quoted(self.text)


def needed(spec: ScanPlanSpec, namespace: str, claim: str, policy: Policy) -> tuple[Reference | Selection, ...]:
    """All objects that resolving a plan of a namespace takes.

    Raises:
        InvalidPlan: it selects objects where it may not.
    """
    references: list[Reference | Selection] = [Reference(Kind.CLAIM, claim)]
    for source in spec.endpoints_from:
        references += selections(source, namespace, policy)
        if source.config_map_key_ref:
            references.append(Reference(Kind.CONFIG_MAP, source.config_map_key_ref.name))
        if source.secret_key_ref:
            references.append(Reference(Kind.SECRET, source.secret_key_ref.name, labels.USE_ENDPOINTS))
    references += [
        Reference(Kind.CONFIG_MAP, folder.config_map.name) for folder in spec.templates_from if folder.config_map
    ]
    if spec.scanner.requests_from:
        references.append(Reference(Kind.CONFIG_MAP, spec.scanner.requests_from.config_map_key_ref.name))
    references += [Reference(Kind.SECRET, name, use) for use, name in secret_names(spec).items()]
    return tuple(dict.fromkeys(references))


def has_ranges(spec: ScanPlanSpec, inputs: Inputs) -> bool:
    """Whether some endpoints may be ranges, which take longer than their text is long."""
    texts = (text for found in inputs.values() for text in found.files.values())
    return any(ranges.IN_BYTES.match(each.encode()) for each in spec.endpoints) or any(
        map(ranges.IN_BYTES.search, texts)
    )


def are_confidential(spec: ScanPlanSpec) -> bool:
    """Whether some of the endpoints come from a Secret: then none of them goes where its readers can't read Secrets."""
    return any(source.secret_key_ref for source in spec.endpoints_from)


def endpoints_file(spec: ScanPlanSpec) -> EndpointsSource | None:
    """The file that holds all endpoints of a plan, and that nobody but its pods reads; None: it has none."""
    for source in spec.endpoints_from:
        if file := source.claim_file or source.image_file or source.s3_file:
            return file
    return None


def file_in_pods(file: EndpointsSource, policy: Policy, secret: str) -> EndpointsFile:
    """The file of endpoints as its pods see it.

    Args:
        secret: where pods have the access key of a bucket, if the plan names one.
    """
    root, bucket = ENDPOINTS_DIRECTORY, None
    match file:
        case ClaimFile():
            path = file.name
        case ImageFile():
            path = file.path
        case S3File():
            root, path, bucket = "", file.key, _bucket(file, secret)
    return EndpointsFile(
        root=root,
        path=path,
        bucket=bucket,
        sha256=file.sha256,
        most=file.endpoints,
        most_addresses=policy.max_range_addresses,
    )


def _bucket(file: S3File, secret: str) -> Bucket:
    return Bucket(
        endpoint=file.endpoint.rstrip("/"),
        name=file.bucket,
        region=file.region,
        secret=secret if file.credentials_from else "",
    )


def secret_names(spec: ScanPlanSpec) -> dict[str, str]:
    """The Secrets that scan pods read, by their uses."""
    file = endpoints_file(spec)
    if isinstance(file, S3File) and file.credentials_from:
        return {labels.USE_ENDPOINTS_FILE: file.credentials_from.secret_ref.name, **spec.scanner.secret_names}
    return spec.scanner.secret_names


def problem_of(reference: Reference | Selection, found: Input) -> str:
    """Why an object can't be used, whatever is in it; empty: it can."""
    if found.problem:
        return f"{reference} can't be used: {found.problem}"
    if isinstance(reference, Reference) and reference.use and found.labels.get(labels.USE) != reference.use:
        use = reference.use
        return f"{reference} may not be used for {use}: label it {labels.USE}={use} to allow that"
    return ""


def check(inputs: Inputs) -> None:
    """Raise the first problem of the inputs that is not about what is in them.

    Where there is one, the others have not been read.

    Raises:
        InputUnavailable: something is not there, or may not be read.
        InvalidPlan: there is too much of it.
    """
    for reference, found in inputs.items():
        if problem := problem_of(reference, found):
            raise InputUnavailable(problem)
    if sum(found.size for found in inputs.values()) > PLAN_BYTES:
        others = "which select fewer objects each" if discovers(inputs) else "or take templates from an image"
        raise InvalidPlan(
            Reason.INPUTS_TOO_LARGE,
            f"what this plan names holds more than {PLAN_BYTES >> 20} MiB together; make several plans of it, {others}",
        )


def endpoints(spec: ScanPlanSpec, inputs: Inputs) -> Iterator[Written]:
    """All endpoints as they are written, inline and from their sources.

    Raises:
        InputUnavailable: a source is not there, or nothing was discovered yet.
        InvalidEndpoint: there are too many, or none.
    """
    count = 0
    for count, each in enumerate(itertools.chain(_written(spec, inputs), _discovered(inputs)), 1):
        if count > MAX_ENDPOINTS:
            raise InvalidEndpoint(f"there are more than {MAX_ENDPOINTS:,} endpoints; make several plans of them")
        yield each
    if not count and discovers(inputs):
        selected = ", ".join(str(reference) for reference in inputs if isinstance(reference, Selection))
        raise InputUnavailable(f"no object names an endpoint that can be scanned; looked for: {selected}")
    if not count:
        raise InvalidEndpoint("endpointsFrom names no endpoint: every line is empty or a comment")


def _written(spec: ScanPlanSpec, inputs: Inputs) -> Iterator[Written]:
    yield from map(Written, spec.endpoints)
    for source in spec.endpoints_from:
        yield from _lines(source.config_map_key_ref, Kind.CONFIG_MAP, inputs)
        yield from _lines(source.secret_key_ref, Kind.SECRET, inputs)


def _discovered(inputs: Inputs) -> Iterator[Written]:
    for found in inputs.values():
        for each in found.found:
            yield Written(each.endpoint, each.origin, discovered=True)


def discovers(inputs: Inputs) -> bool:
    """Whether the plan takes what objects of the cluster name."""
    return any(isinstance(reference, Selection) for reference in inputs)


def template_digests(spec: ScanPlanSpec, inputs: Inputs) -> list[str]:
    """The content of each template source: the digest of a ConfigMap's files, an image's reference.

    Raises:
        InputUnavailable: a ConfigMap is not there.
    """
    digests = []
    for source in spec.templates_from:
        if source.config_map:
            digests.append(content_digest(get(Reference(Kind.CONFIG_MAP, source.config_map.name), inputs).files))
        if source.image:
            digests.append(source.image.reference)
    return digests


def fuzz_input(spec: ScanPlanSpec, inputs: Inputs) -> bytes:
    """The file of `scanner.requestsFrom`; empty: there is none.

    Raises:
        InputUnavailable: it is not there.
    """
    source = spec.scanner.requests_from
    if source is None:
        return b""
    where = Reference(Kind.CONFIG_MAP, source.config_map_key_ref.name)
    files = get(where, inputs).files
    if source.config_map_key_ref.key not in files:
        raise InputUnavailable(
            f"{where} has no key {source.config_map_key_ref.key!r}; it has {', '.join(sorted(files)) or 'none'}"
        )
    return files[source.config_map_key_ref.key]


def one_node_only(claim: str, inputs: Inputs) -> bool:
    """Whether all pods of a claim have to be on one node (it is ReadWriteOnce, and nothing better).

    Raises:
        InputUnavailable: there is no such claim.
    """
    modes = get(Reference(Kind.CLAIM, claim), inputs).access_modes
    return bool(modes) and not {"ReadWriteMany", "ReadWriteOncePod"} & set(modes)


def _lines(reference: KeyReference | None, kind: Kind, inputs: Inputs) -> Iterator[Written]:
    if reference is None:
        return
    secret = kind is Kind.SECRET
    # One of headers, read as endpoints, would be sent out.
    where = Reference(kind, reference.name, labels.USE_ENDPOINTS if secret else "")
    found = get(where, inputs)
    if reference.key not in found.files:
        others = "" if secret else f"; it has {', '.join(sorted(found.files)) or 'none'}"
        raise InputUnavailable(f"{where} has no key {reference.key!r}{others}")
    source = f"{where}, key {reference.key!r}"
    try:
        text = found.files[reference.key].decode()
    except UnicodeDecodeError:
        raise InvalidEndpoint(f"{source} is not text (UTF-8), one endpoint a line") from None
    for number, line in enumerate(_LINE.finditer(text), 1):
        endpoint = line[1].strip()
        if endpoint and not endpoint.startswith("#"):
            if len(endpoint) > MAX_ENDPOINT_LENGTH:
                raise InvalidEndpoint(f"{source}, line {number} is longer than {MAX_ENDPOINT_LENGTH:,} characters")
            yield Written(endpoint, source, number)


def get(reference: Reference, inputs: Inputs) -> Input:
    """An object that was read. Raises InputUnavailable."""
    found = inputs[reference]
    if problem := problem_of(reference, found):
        raise InputUnavailable(problem)
    return found
