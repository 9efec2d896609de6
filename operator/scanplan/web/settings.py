"""The API's settings, from environment variables; those of its queue are the library's (`scanplan.client.settings`)."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from scanplan.client.errors import InvalidSettings
from scanplan.settings import loading
from scanplan.settings.fields import NameList
from scanplan.settings.pod_bounds import PodBoundsSettings


class Authentication(StrEnum):
    """Who decides who may read."""

    KUBERNETES = "kubernetes"
    NONE = "none"


class ApiSettings(PodBoundsSettings):
    """What the API's owner decides; the environment variables are the aliases. Bounds on pods are for reader pods."""

    host: str = Field(
        "127.0.0.1",
        alias="SCANPLAN_API_HOST",
        min_length=1,
        description="Address to listen on; `*`: all, of IPv4 and IPv6.",
    )
    port: int = Field(8081, alias="SCANPLAN_API_PORT", ge=0, le=65_535, description="Port to listen on; 0: any.")
    authentication: Authentication = Field(
        Authentication.KUBERNETES,
        alias="SCANPLAN_API_AUTHENTICATION",
        description="kubernetes (TokenReview and SubjectAccessReview) or none: whoever reaches the port reads everything.",
    )
    hosts: NameList = Field(
        (),
        alias="SCANPLAN_API_HOSTS",
        description="Names that the API answers to, such as that of an Ingress. localhost and addresses always work; "
        "requests for other names are refused.",
    )
    connections: int = Field(
        512, alias="SCANPLAN_API_CONNECTIONS", ge=8, le=65_536, description="Most connections at the same time."
    )
    connections_per_address: int = Field(
        128,
        alias="SCANPLAN_API_CONNECTIONS_PER_ADDRESS",
        ge=4,
        le=65_536,
        description="Most connections from one address (IPv6: /64). A proxy in front of the API is one address.",
    )
    reader_pods: bool = Field(
        False,
        alias="SCANPLAN_API_READER_PODS",
        description="Read artifacts by short-lived pods in the plan's namespace, where their claim is not mounted here.",
    )
    namespaces: NameList = Field((), alias="SCANPLAN_NAMESPACES", description="Namespaces to watch; empty: all.")
    audience: str = Field(
        "scanplan-api",
        alias="SCANPLAN_API_AUDIENCE",
        min_length=1,
        max_length=253,
        description="Audience that tokens must be made for. A token for another audience is refused.",
    )


def load() -> ApiSettings:
    """Read the environment.

    Raises:
        InvalidSettings: with a line for each wrong variable.
    """
    return loading.load(ApiSettings, error=InvalidSettings)
