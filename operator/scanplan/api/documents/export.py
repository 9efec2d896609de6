"""What operator and exporter tell each other: the document that goes into an export pod, and its termination message."""

from __future__ import annotations

from typing import Annotated

import msgspec

from scanplan.api import wire
from scanplan.api.documents.report import ArtifactFile
from scanplan.api.documents.words import Document, DocumentVersion, ExportFormat, PlanReference
from scanplan.api.v1alpha1.conditions import Reason

MESSAGE_LENGTH = 512
"""Characters of a message."""


class HttpTarget(Document, frozen=True, kw_only=True, tag_field="kind", tag="http"):
    """One POST."""

    url: str
    format: ExportFormat


class S3Target(Document, frozen=True, kw_only=True, tag_field="kind", tag="s3"):
    """Objects of a bucket."""

    endpoint: str
    bucket: str
    region: str
    folder: str
    """What all keys begin with, with a slash at its end."""


class DefectDojoTarget(Document, frozen=True, kw_only=True, tag_field="kind", tag="defectDojo"):
    """A test of DefectDojo."""

    url: str
    product: str
    engagement: str
    product_type: str = ""
    test: str
    """Title of the test. All results that take each other's place have the same title, and no other result has it."""


class Destination(Document, frozen=True, kw_only=True):
    """An export, as its pod is told of it: where the result goes."""

    name: str
    key: str
    """The same for each attempt to send the same result there."""
    target: HttpTarget | S3Target | DefectDojoTarget
    secret: str = ""
    """Folder with the values of its Secret; empty: it has none."""


class ExportDocument(Document, frozen=True, kw_only=True):
    """All that an export pod does: its completion index says which of the exports is its own."""

    version: DocumentVersion = 1
    plan: PlanReference
    run_id: str
    complete: bool
    """The result is of a complete scan."""
    files: tuple[ArtifactFile, ...]
    """The published files, in the order in which they are written to a bucket."""
    exports: Annotated[tuple[Destination, ...], msgspec.Meta(min_length=1, max_length=8)]
    denied_targets: tuple[str, ...] = ()
    """Ranges and names that nothing is sent to."""


class ExportReport(Document, frozen=True, kw_only=True):
    """What an attempt says when it ends: the pod's termination message."""

    version: DocumentVersion = 1
    export: Annotated[str, msgspec.Meta(max_length=63)]
    reason: Reason
    message: Annotated[str, msgspec.Meta(max_length=MESSAGE_LENGTH)] = ""


def decode_document(content: bytes) -> ExportDocument:
    """Read what an export pod was given.

    Raises:
        msgspec.MsgspecError: it is not one that this version understands.
    """
    return wire.decode(content, ExportDocument)


def decode_report(content: str) -> ExportReport | None:
    """Read a termination message; None where it is not a report."""
    try:
        return wire.decode(content, ExportReport)
    except wire.UNREADABLE:  # a pod may write there what it likes
        return None
