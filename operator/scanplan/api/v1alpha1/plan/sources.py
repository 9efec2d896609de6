"""`spec.endpointsFrom` and `spec.templatesFrom`: where endpoints and templates come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from scanplan.api.documents.task import MAX_FILE_ENDPOINTS
from scanplan.api.names import WORD
from scanplan.api.v1alpha1.model import Model, one_of
from scanplan.api.v1alpha1.plan.buckets import Bucket
from scanplan.api.v1alpha1.plan.discovery import DiscoverySource
from scanplan.api.v1alpha1.references import KeyReference, LocalObjectReference

_KEY = r"^[A-Za-z0-9_=][A-Za-z0-9_.=-]*(/[A-Za-z0-9_=][A-Za-z0-9_.=-]*)*$"
"""Segments that no server takes for another folder."""


class EndpointFile(Model):
    """A file of up to a million endpoints, one a line, which are all of its plan. Scan pods read it, and not the operator."""

    sha256: Annotated[
        str,
        Field(
            max_length=64,
            pattern=r"^[0-9a-f]{64}$",
            description="SHA-256 of the file in hex, as sha256sum prints it. A file with another one is not scanned.",
        ),
    ]
    endpoints: Annotated[
        int,
        Field(
            ge=1,
            le=MAX_FILE_ENDPOINTS,
            description="Endpoints in the file, at most, such as its number of lines. Shards and the deadline follow from it.",
        ),
    ]


class MountedFile(EndpointFile):
    """A file that scan pods see in a folder."""

    path: Annotated[
        str,
        Field(
            max_length=512,
            pattern=r"^[A-Za-z0-9_][-A-Za-z0-9_.]*(/[A-Za-z0-9_][-A-Za-z0-9_.]*)*$",
            description="Path below the folder `endpoints` of the claim, or in the image. The file may be no symbolic link.",
        ),
    ]


class ClaimFile(MountedFile):
    """A file of endpoints on the claim of the artifacts."""

    @property
    def folder(self) -> str:
        """The folder of the file, relative to that of all such files; empty: it is that folder."""
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The file's name in its folder."""
        return self.path.rpartition("/")[2]


class ImageSource(Model):
    """An OCI image, mounted read-only (Kubernetes 1.35+)."""

    reference: Annotated[
        str,
        Field(
            min_length=1,
            max_length=512,
            pattern=WORD,
            description="Image reference, best by digest. It must be on the operator's allow-list.",
        ),
    ]
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"


class ImageFile(MountedFile, ImageSource):
    """A file of endpoints in an OCI image, mounted read-only (Kubernetes 1.35+)."""


class S3Credentials(Model):
    """A Secret in the plan's namespace, which carries the label scanplan.dev/use: endpoints-file."""

    secret_ref: Annotated[
        LocalObjectReference,
        Field(
            description="Its keys are AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if need be, AWS_SESSION_TOKEN. "
            "A Role must let the operator get it. Scan pods mount it."
        ),
    ]


class S3File(EndpointFile, Bucket):
    """A file of endpoints that is an object of an S3 server. The operator's owner lists the hosts that it may name."""

    key: Annotated[
        str,
        Field(min_length=1, max_length=512, pattern=_KEY, description="Key of the object, such as lists/hosts.txt."),
    ]
    credentials_from: Annotated[
        S3Credentials | None, Field(description="The access key. Without it the object must be public.")
    ] = None


class EndpointSource(Model):
    """Endpoints in a ConfigMap, Secret or file, one a line, or those that objects of the cluster name when the scan starts.

    Empty lines and lines that begin with # are skipped.
    """

    model_config = ConfigDict(
        json_schema_extra=one_of(
            "configMapKeyRef",
            "secretKeyRef",
            "claimFile",
            "imageFile",
            "s3File",
            "ingresses",
            "httpRoutes",
            "services",
            "routes",
            "virtualServices",
        )
    )

    config_map_key_ref: KeyReference | None = None
    secret_key_ref: Annotated[
        KeyReference | None,
        Field(
            description="The Secret needs the label scanplan.dev/use: endpoints. A Role must let the operator get it, and create "
            "the Secret that brings the endpoints to the pods."
        ),
    ] = None
    claim_file: ClaimFile | None = None
    image_file: ImageFile | None = None
    s3_file: S3File | None = None
    ingresses: Annotated[DiscoverySource | None, Field(description="Every host of Ingresses; with TLS as https.")] = (
        None
    )
    http_routes: Annotated[
        DiscoverySource | None,
        Field(description="Every hostname of HTTPRoutes that a Gateway has accepted, at the Gateway's ports."),
    ] = None
    services: Annotated[
        DiscoverySource | None, Field(description="Every TCP port of Services, by their names in the cluster.")
    ] = None
    routes: Annotated[
        DiscoverySource | None, Field(description="Hosts of OpenShift Routes that a router has admitted.")
    ] = None
    virtual_services: Annotated[
        DiscoverySource | None, Field(description="Hosts of Istio VirtualServices at their gateways' ports.")
    ] = None


class TemplateSource(Model):
    """A folder of templates, searched before those in the scanner image."""

    model_config = ConfigDict(json_schema_extra=one_of("configMap", "image"))

    config_map: Annotated[LocalObjectReference | None, Field(description="Each key is a template file.")] = None
    image: ImageSource | None = None
    allow_unsigned: Annotated[
        bool,
        Field(
            description="These templates need no signature, although scanner.verifySignatures asks for one. For your own."
        ),
    ] = False
