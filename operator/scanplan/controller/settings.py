"""The operator's settings, from environment variables; a bad value ends the start with a message that names it."""

from __future__ import annotations

import os
import re
from dataclasses import fields
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from scanplan.api import environment
from scanplan.api.names import PROXY
from scanplan.core.planning import quantities
from scanplan.core.planning.denied import DEFAULT_DENIED
from scanplan.core.planning.guard import Guard
from scanplan.core.planning.pod_bounds import PodBounds
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.protocols import UNGUARDED

MAX_NAME = 253
"""Characters of an object's name."""
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    return value


def _denied(value: tuple[str, ...]) -> tuple[str, ...]:
    Guard(value)
    return value


def _unguarded(value: tuple[str, ...]) -> tuple[str, ...]:
    if wrong := [protocol for protocol in value if protocol not in UNGUARDED]:
        raise ValueError(f"{wrong[0]!r} is none of {', '.join(UNGUARDED)}")
    return value


NameList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Comma-separated in the environment."""
DeniedTargets = Annotated[NameList, AfterValidator(_denied)]
"""Entries that a Guard takes: addresses, CIDRs, names."""


UnguardedProtocols = Annotated[NameList, AfterValidator(_unguarded)]
"""Protocols that are off unless they are named."""


def _tolerations(value: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in value:
        if ":" not in pattern and not pattern.endswith("*"):
            raise ValueError(f"{pattern!r} has no effect: write key=value:effect, and key=value:* for all effects")
    return value


Tolerations = Annotated[NameList, AfterValidator(_tolerations)]
"""Patterns for what `scanplan.core.planning.pod_bounds.spelled` writes."""


def _by_resource(amounts: tuple[str, ...]) -> dict[str, str]:
    return dict(amount.split("=", 1) for amount in amounts)


def _size(value: str) -> str:
    if value and not quantities.quantity(value) > 0:
        raise ValueError(f"{value!r} is no quantity above zero")
    return value


def _amounts(value: tuple[str, ...]) -> tuple[str, ...]:
    for amount in value:
        name, _, size = amount.partition("=")
        if not name or not size:
            raise ValueError(f"{amount!r} is not resource=quantity")
        _size(size)
    return value


Amounts = Annotated[NameList, AfterValidator(_amounts)]
"""Pairs such as ``memory=256Mi``."""


class PodBoundsSettings(BaseSettings):
    """The bounds on what plans say about their pods, for all who make pods of a plan: the operator and the API."""

    model_config = SettingsConfigDict(populate_by_name=True, extra="ignore", frozen=True)

    allowed_service_accounts: NameList = Field(
        ("default",),
        alias="SCANPLAN_ALLOWED_SERVICE_ACCOUNTS",
        description="Service accounts that scan pods and reader pods may run as; shell patterns.",
    )
    allowed_priority_classes: NameList = Field(
        (),
        alias="SCANPLAN_ALLOWED_PRIORITY_CLASSES",
        description="PriorityClasses, and WorkloadPriorityClasses of Kueue, that plans may name; shell patterns.",
    )
    allowed_tolerations: Tolerations = Field(
        (),
        alias="SCANPLAN_ALLOWED_TOLERATIONS",
        description="Tolerations that plans may set; shell patterns for `key=value:effect`. `key:effect` covers all values, "
        "`*` all keys and all effects.",
    )
    allowed_pod_metadata: NameList = Field(
        (),
        alias="SCANPLAN_ALLOWED_POD_METADATA",
        description="Keys of labels and annotations that plans may set on scan pods; shell patterns.",
    )

    def bounds(self) -> PodBounds:
        """The bounds as the core sees them."""
        return PodBounds(**{field.name: getattr(self, field.name) for field in fields(PodBounds)})


class OperatorSettings(PodBoundsSettings):
    """What the operator's owner decides; the names of the environment variables are the aliases."""

    scanner_image: str = Field(
        alias="SCANPLAN_SCANNER_IMAGE", min_length=1, description="Scanner image for plans that name none."
    )
    image_pull_policy: str = Field(
        "IfNotPresent",
        alias="SCANPLAN_IMAGE_PULL_POLICY",
        pattern="^(Always|IfNotPresent|Never)$",
        description="Pull policy of scan pods.",
    )
    claim_name: str = Field(
        "scanplan-artifacts", alias="SCANPLAN_CLAIM_NAME", description="Claim for plans that name none."
    )
    allowed_images: NameList = Field(
        (), alias="SCANPLAN_ALLOWED_IMAGES", description="Further scanner images that plans may name; shell patterns."
    )
    allowed_claims: NameList = Field(
        ("*",), alias="SCANPLAN_ALLOWED_CLAIMS", description="Claims that plans may name; shell patterns."
    )
    proxy: str = Field(
        "",
        alias="SCANPLAN_PROXY",
        pattern=f"^$|{PROXY}",
        description="Proxy for scans of plans that name none: an http, https or socks5 URL without credentials.",
    )
    allowed_proxies: NameList = Field(
        (), alias="SCANPLAN_ALLOWED_PROXIES", description="Further proxies that plans may name; shell patterns of URLs."
    )
    denied_targets: DeniedTargets = Field(
        DEFAULT_DENIED,
        alias="SCANPLAN_DENIED_TARGETS",
        description="Ranges and names that plans may not scan. It replaces the default list.",
    )
    unguarded_protocols: UnguardedProtocols = Field(
        (),
        alias="SCANPLAN_UNGUARDED_PROTOCOLS",
        description="Template protocols to allow although Nuclei can't keep them from denied targets (`whois`).",
    )
    default_requests: Amounts = Field(
        ("cpu=100m", "memory=256Mi"),
        alias="SCANPLAN_DEFAULT_REQUESTS",
        description="Requests of scan pods for resources that a plan says nothing about; `resource=quantity`.",
    )
    default_limits: Amounts = Field(
        ("memory=1Gi",),
        alias="SCANPLAN_DEFAULT_LIMITS",
        description="Limits of scan pods for resources that a plan says nothing about; `resource=quantity`.",
    )
    tmp_size_limit: Annotated[str, AfterValidator(_size)] = Field(
        "1Gi",
        alias=environment.TMP_SIZE_LIMIT,
        description="What `/tmp` of a scan pod may hold; a scan that comes near ends with DiskFull. Empty: no limit.",
    )
    namespaces: NameList = Field((), alias="SCANPLAN_NAMESPACES", description="Namespaces to watch; empty: all.")
    worker_concurrency: int = Field(
        4, alias="WORKER_CONCURRENCY", ge=1, le=100_000, description="Jobs that may be active at once in a namespace."
    )
    workers: int = Field(
        8, alias="SCANPLAN_WORKERS", ge=1, le=256, description="Plans that are reconciled at the same time."
    )
    probe_port: int = Field(
        8080, alias="SCANPLAN_PROBE_PORT", ge=0, le=65535, description="Port of /healthz and /readyz; 0: none."
    )
    metrics_port: int = Field(
        9464, alias="SCANPLAN_METRICS_PORT", ge=0, le=65535, description="Port of /metrics, for Prometheus; 0: none."
    )
    leader_election: bool = Field(
        False,
        alias="SCANPLAN_LEADER_ELECTION",
        description="Work only while holding the lease. All operators of the same plans share it. `true` in chart and manifests.",
    )
    lease_namespace: str = Field(
        "", alias="SCANPLAN_LEASE_NAMESPACE", description="Namespace of the lease; empty: the operator's own."
    )
    lease_name: str = Field(
        "scanplan-operator",
        alias="SCANPLAN_LEASE_NAME",
        description="Name of the lease. Operators that share a namespace but not their work need one each.",
    )
    pod_uid: str = Field(
        "",
        alias="SCANPLAN_POD_UID",
        description="UID of the operator's pod, from the downward API. With it, a restarted container has its lease back at once.",
    )
    api_server_host: str | None = Field(
        None,
        alias="KUBERNETES_SERVICE_HOST",
        description="Address of the API server, set by Kubernetes. It is never a target.",
    )

    @field_validator("lease_name")
    @classmethod
    def _object_name(cls, value: str) -> str:
        if len(value) > MAX_NAME or not _OBJECT_NAME.fullmatch(value):
            raise ValueError("must be the name of an object: lower case letters, digits, dashes and dots")
        return value

    def policy(self) -> Policy:
        """The part of the settings on which decisions depend."""
        own = (self.api_server_host,) if self.api_server_host else ()
        return Policy(
            scanner_image=self.scanner_image,
            image_pull_policy=self.image_pull_policy,
            claim_name=self.claim_name,
            allowed_images=self.allowed_images,
            allowed_claims=self.allowed_claims,
            proxy=self.proxy,
            allowed_proxies=self.allowed_proxies,
            allowed_service_accounts=self.allowed_service_accounts,
            allowed_priority_classes=self.allowed_priority_classes,
            allowed_tolerations=self.allowed_tolerations,
            allowed_pod_metadata=self.allowed_pod_metadata,
            guard=Guard((*self.denied_targets, *own)),
            unguarded_protocols=self.unguarded_protocols,
            default_requests=_by_resource(self.default_requests),
            default_limits=_by_resource(self.default_limits),
            tmp_size_limit=self.tmp_size_limit,
            worker_concurrency=self.worker_concurrency,
        )


class InvalidSettings(Exception):
    """One or more environment variables are wrong; the message has a line for each."""


def load() -> OperatorSettings:
    """Read the environment.

    Raises:
        InvalidSettings: with a line for each wrong or missing variable.
    """
    try:
        return OperatorSettings()
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            name = str(problem["loc"][0])
            given = f" (is {os.environ[name]!r})" if name in os.environ else ""
            lines.append(f"{name}: {problem['msg']}{given}")
        raise InvalidSettings("\n".join(lines)) from None
