"""What a plan names besides itself: ConfigMaps and Secrets with endpoints or templates, and its claim.

The core only says what it needs (`needed`); the shell reads it and asks again. What can't be read stops the plan with the
words that help (`Stalled`, InputUnavailable), and is looked for again, since in GitOps it may simply come later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from scanplan.api import labels
from scanplan.api.errors import InputUnavailable, InvalidEndpoint, InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scanplan import MAX_ENDPOINTS, KeyReference, ScanPlanSpec
from scanplan.api.v1alpha1.task import content_digest
from scanplan.core.planning import endpoints as spelling
from scanplan.core.planning import headers


class Kind(StrEnum):
    """Kinds of objects that a plan may name."""

    CONFIG_MAP = "ConfigMap"
    SECRET = "Secret"  # noqa: S105 - a kind
    CLAIM = "PersistentVolumeClaim"


class Reference(NamedTuple):
    """An object in the plan's namespace."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What the shell has read; `problem` says why it could not."""

    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """By key; it may be a Secret's content, so it is in no log."""
    labels: Mapping[str, str] = field(default_factory=dict)
    access_modes: tuple[str, ...] = ()
    problem: str = ""


Inputs = Mapping[Reference, Input]


class Written(NamedTuple):
    """An endpoint as it is written."""

    text: str
    source: str = ""
    """The object and the key that it comes from; empty: the plan itself."""
    line: int = 0

    @property
    def where(self) -> str:
        """What messages say of it. Who may read a plan may not read the objects that it names, so never their content."""
        return f"{self.source}, line {self.line}" if self.source else spelling.quoted(self.text)


def needed(spec: ScanPlanSpec, claim: str) -> tuple[Reference, ...]:
    """All objects that resolving the plan takes."""
    references = [Reference(Kind.CLAIM, claim)]
    for source in spec.endpoints_from:
        if source.config_map_key_ref:
            references.append(Reference(Kind.CONFIG_MAP, source.config_map_key_ref.name))
        if source.secret_key_ref:
            references.append(Reference(Kind.SECRET, source.secret_key_ref.name))
    references += [
        Reference(Kind.CONFIG_MAP, folder.config_map.name) for folder in spec.templates_from if folder.config_map
    ]
    if spec.scanner.headers_from:
        references.append(Reference(Kind.SECRET, spec.scanner.headers_from.secret_ref.name))
    return tuple(dict.fromkeys(references))


def are_confidential(spec: ScanPlanSpec) -> bool:
    """Whether some of the endpoints come from a Secret: then none of them goes where its readers can't read Secrets."""
    return any(source.secret_key_ref for source in spec.endpoints_from)


def endpoints(spec: ScanPlanSpec, inputs: Inputs) -> Iterator[Written]:
    """All endpoints as they are written, inline and from their sources.

    Raises:
        InputUnavailable: a source is not there.
        InvalidEndpoint: there are too many, or none.
    """
    count = 0
    for endpoint in spec.endpoints:
        count += 1
        yield Written(endpoint)
    for source in spec.endpoints_from:
        for line in _lines(source.config_map_key_ref, Kind.CONFIG_MAP, inputs):
            count += 1
            yield line
        for line in _lines(source.secret_key_ref, Kind.SECRET, inputs):
            count += 1
            yield line
        if count > MAX_ENDPOINTS:
            raise InvalidEndpoint(f"there are more than {MAX_ENDPOINTS:,} endpoints; make several plans of them")
    if not count:
        raise InvalidEndpoint("endpointsFrom names no endpoint: every line is empty or a comment")


def template_digests(spec: ScanPlanSpec, inputs: Inputs) -> list[str]:
    """The content of each template source: the digest of a ConfigMap's files, an image's reference.

    Raises:
        InputUnavailable: a ConfigMap is not there.
    """
    digests = []
    for source in spec.templates_from:
        if source.config_map:
            digests.append(content_digest(_get(Reference(Kind.CONFIG_MAP, source.config_map.name), inputs).files))
        if source.image:
            digests.append(source.image.reference)
    return digests


def check_headers(spec: ScanPlanSpec, inputs: Inputs) -> None:
    """Refuse headers that could not be sent as they are written.

    Raises:
        InputUnavailable: the Secret is not there, or not for plans.
        InvalidPlan: a header of the plan or of the Secret can't be sent; the message names it, and not its value.

    Of the Secret, only its name is part of the key: a rotated token is no other scan, and a digest of a weak secret
    would give it away.
    """
    secret: Mapping[str, str] = {}
    if spec.scanner.headers_from:
        reference = Reference(Kind.SECRET, spec.scanner.headers_from.secret_ref.name)
        secret = headers.parse(_get_secret(reference, inputs, labels.USE_HEADERS).files)
    names = [header.name for header in spec.scanner.headers]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise InvalidPlan(Reason.INVALID_SPEC, f"request header {double!r} is in headers twice: keep one of them")
    headers.check_together({header.name: header.value for header in spec.scanner.headers}, secret)


def one_node_only(claim: str, inputs: Inputs) -> bool:
    """Whether all pods of a claim have to be on one node (it is ReadWriteOnce, and nothing better).

    Raises:
        InputUnavailable: there is no such claim.
    """
    modes = _get(Reference(Kind.CLAIM, claim), inputs).access_modes
    return bool(modes) and not {"ReadWriteMany", "ReadWriteOncePod"} & set(modes)


def _lines(reference: KeyReference | None, kind: Kind, inputs: Inputs) -> Iterator[Written]:
    if reference is None:
        return
    where = Reference(kind, reference.name)
    secret = kind is Kind.SECRET
    found = _get_secret(where, inputs, labels.USE_ENDPOINTS) if secret else _get(where, inputs)
    if reference.key not in found.files:
        others = "" if secret else f"; it has {', '.join(sorted(found.files)) or 'none'}"
        raise InputUnavailable(f"{where} has no key {reference.key!r}{others}")
    source = f"{where}, key {reference.key!r}"
    try:
        text = found.files[reference.key].decode()
    except UnicodeDecodeError:
        raise InvalidEndpoint(f"{source} is not text (UTF-8), one endpoint a line") from None
    for number, line in enumerate(text.splitlines(), 1):
        endpoint = line.strip()
        if endpoint and not endpoint.startswith("#"):
            yield Written(endpoint, source, number)


def _get_secret(reference: Reference, inputs: Inputs, use: str) -> Input:
    """A Secret that its owner has labelled for this use by plans. One of headers, read as endpoints, would be sent out."""
    secret = _get(reference, inputs)
    if secret.labels.get(labels.USE) != use:
        raise InputUnavailable(f"{reference} may not be used for {use}: label it {labels.USE}={use} to allow that")
    return secret


def _get(reference: Reference, inputs: Inputs) -> Input:
    found = inputs[reference]
    if found.problem:
        raise InputUnavailable(f"{reference} can't be used: {found.problem}")
    return found
