"""Types that the task document, the report and the records on the claim share.

All are JSON with camelCase names. The operator writes the task document, and the runner the report. Both are decoded strictly,
so an operator and a runner of different versions fail with an error. The records stay on the claim for longer than a version is
in use. So an older version reads those of a later one, and ignores the members that it does not know.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec

DocumentVersion = Literal[1]
MOST_COUNTED = 1 << 50
Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_COUNTED)]
"""A number in a report. It is bounded, since anybody who can start pods can forge it, and a status takes at most 64 bits."""


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


class FuzzInputMode(StrEnum):
    """Files that fuzzing begins with, by Nuclei's names (`-input-mode`)."""

    OPENAPI = "openapi"
    SWAGGER = "swagger"
    BURP = "burp"
    JSONL = "jsonl"
    YAML = "yaml"


class ExportFormat(StrEnum):
    """Formats of findings that are sent over HTTP."""

    JSON = "JSON"
    """One list of Nuclei's events."""
    JSONL = "JSONL"
    """One of Nuclei's events a line."""
    SARIF = "SARIF"
    CSV = "CSV"


class ErrorClass(StrEnum):
    """The three retry classes: never, up to `retry.temporary` times, up to `retry.unknown` times."""

    FATAL = "Fatal"
    TEMPORARY = "Temporary"
    UNKNOWN = "Unknown"

    @classmethod
    def _missing_(cls, _: object) -> ErrorClass:
        """A class of a later version."""
        return cls.UNKNOWN


class Outcome(StrEnum):
    """How an attempt, or the merge of all shards, came out."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"


class Value(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of what documents and records share: immutable, camelCase. Unknown members are ignored when it is read."""


class Document(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all wire documents: a value that may not have unknown members."""


LOCAL_NAMESPACE = "local"
"""Stands for the namespace of a plan that is in no cluster."""


class PlanReference(Value, frozen=True, kw_only=True):
    """The plan that created the task's Job."""

    namespace: str
    name: str


class DiscoveryReport(Value, frozen=True, kw_only=True):
    """What the objects of the cluster named when the task was made."""

    found: Count = 0
    """Endpoints of the task that an object names."""
    left_out: Count = 0
    """What objects name, and could not be used."""
    examples: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=512)], ...], msgspec.Meta(max_length=10)] = ()
    """The first of what was left out, each with the cause; for people."""


class EndpointsFileReport(Value, frozen=True, kw_only=True):
    """What was in a file of endpoints, as far as its shards were scanned."""

    endpoints: Count = 0
    """Endpoints that were taken; each counts once."""
    refused: Count = 0
    """Lines that are no endpoint, or one that may not be scanned."""
    duplicates: Count = 0
    """Endpoints that were there before."""
    examples: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=512)], ...], msgspec.Meta(max_length=10)] = ()
    """Some of the refused lines by their numbers, each with the cause; for people."""


def encode(document: Document) -> bytes:
    """The document as compact JSON; keys in the order of the fields, so equal documents have equal bytes."""
    return msgspec.json.encode(document)
