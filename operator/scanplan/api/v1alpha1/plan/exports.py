"""`spec.exports`: where a plan's result goes once its scan has ended, and what has become of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from scanplan.api.documents.words import ExportFormat
from scanplan.api.names import DNS_LABEL
from scanplan.api.v1alpha1.model import Model, one_of
from scanplan.api.v1alpha1.plan.buckets import AUTHORITY, Bucket
from scanplan.api.v1alpha1.references import KeyReference, LocalObjectReference

MAX_EXPORTS = 8
EXPORT_KINDS = ("http", "s3", "defectDojo")
"""As the spec names them."""
_URL = rf"^{AUTHORITY}([/?][!\"$-~]*)?$"
_BASE_URL = rf"^{AUTHORITY}(/[!\"$->@-~]*)?$"
_PREFIX = r"^([A-Za-z0-9_=][A-Za-z0-9_.=-]*/?)*$"
"""Segments that no server takes for another folder."""
_LINE = r"^[^\x00-\x1f\x7f]+$"

Title = Annotated[str, Field(min_length=1, max_length=200, pattern=_LINE)]


class ExportSecret(Model):
    """One key of a Secret in the plan's namespace, which carries the label scanplan.dev/use: export."""

    secret_key_ref: KeyReference


class ExportCredentials(Model):
    """A Secret in the plan's namespace, which carries the label scanplan.dev/use: export."""

    secret_ref: Annotated[
        LocalObjectReference,
        Field(description="Its keys are AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if need be, AWS_SESSION_TOKEN."),
    ]


class HttpTarget(Model):
    """One POST with the findings."""

    url: Annotated[
        str,
        Field(
            min_length=1,
            max_length=2_048,
            pattern=_URL,
            description="An http or https URL. The operator's owner lists the hosts that it may name.",
        ),
    ]
    format: Annotated[
        ExportFormat, Field(description="JSONL and JSON have Nuclei's own events. SARIF has no raw requests.")
    ] = ExportFormat.JSONL
    authorization_from: Annotated[
        ExportSecret | None, Field(description="Value of the Authorization header, such as Bearer TOKEN.")
    ] = None


class S3Target(Bucket):
    """All files of the result, in a bucket of an S3 server."""

    prefix: Annotated[
        str,
        Field(
            max_length=256,
            pattern=_PREFIX,
            description="Begin of all keys. Namespace, run, task and file name follow.",
        ),
    ] = ""
    credentials_from: Annotated[ExportCredentials, Field(description="The access key.")]


class DefectDojoTarget(Model):
    """A test of DefectDojo, by its reimport API. Partial results are never sent: DefectDojo would close what is missing."""

    url: Annotated[
        str,
        Field(min_length=1, max_length=512, pattern=_BASE_URL, description="Where DefectDojo is served, without /api."),
    ]
    product: Annotated[Title, Field(description="Name of the product.")]
    engagement: Annotated[Title, Field(description="Name of the engagement. DefectDojo makes it where there is none.")]
    product_type: Annotated[
        Title | None,
        Field(description="Name of the product's type. With it, DefectDojo makes a product that is not there."),
    ] = None
    token_from: Annotated[ExportSecret, Field(description="API v2 key of a user who may import scans.")]


class Export(Model):
    """One place that the result goes to."""

    model_config = ConfigDict(json_schema_extra=one_of(*EXPORT_KINDS))

    name: Annotated[
        str,
        Field(min_length=1, max_length=63, pattern=DNS_LABEL, description="Name of the export within the plan."),
    ]
    http: Annotated[HttpTarget | None, Field(description="An HTTP server.")] = None
    s3: Annotated[S3Target | None, Field(description="A bucket.")] = None
    defect_dojo: Annotated[DefectDojoTarget | None, Field(description="DefectDojo.")] = None

    @property
    def kind(self) -> str:
        """Which of the three it is, as the spec names it."""
        return "http" if self.http else "s3" if self.s3 else "defectDojo"


class ExportState(StrEnum):
    """How an export is doing."""

    EXPORTING = "Exporting"
    EXPORTED = "Exported"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    """There is nothing that it may be sent."""

    @property
    def is_terminal(self) -> bool:
        return self is not ExportState.EXPORTING


class ExportStatus(Model):
    """What has become of one export."""

    name: Annotated[str, Field(max_length=63)]
    state: ExportState
    reason: Annotated[str, Field(max_length=64)]
    message: Annotated[str, Field(max_length=1_024)] = ""
    at: Annotated[str, Field(json_schema_extra={"format": "date-time"}, description="When it came to this state.")]
    digest: Annotated[
        str, Field(max_length=64, description="Digest of the export and the result. With another one it is due again.")
    ]
    retry: Annotated[str | None, Field(max_length=63, description="spec.retryExports as it was then.")] = None
