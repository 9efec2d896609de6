"""Buckets of S3 servers, as exports and lists of endpoints name them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from scanplan.api.v1alpha1.model import Model

AUTHORITY = r"https?://[A-Za-z0-9.:\[\]-]+"
"""Of a URL, without a user: credentials come from Secrets."""
_ENDPOINT = rf"^{AUTHORITY}/?$"
_BUCKET = r"^[a-z0-9][a-z0-9.-]*[a-z0-9]$"
_REGION = r"^[a-z0-9][a-z0-9-]*$"


class Bucket(Model):
    """A bucket of an S3 server."""

    endpoint: Annotated[
        str,
        Field(
            min_length=1,
            max_length=512,
            pattern=_ENDPOINT,
            description="URL of the server, such as https://s3.eu-central-1.amazonaws.com. Buckets are addressed by path.",
        ),
    ]
    bucket: Annotated[str, Field(min_length=3, max_length=63, pattern=_BUCKET, description="Name of the bucket.")]
    region: Annotated[
        str,
        Field(min_length=1, max_length=63, pattern=_REGION, description="Region that requests are signed for."),
    ] = "us-east-1"
