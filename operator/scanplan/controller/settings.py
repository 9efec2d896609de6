"""The operator's settings, from environment variables; a bad value ends the start with a message that names it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, ValidationInfo, field_validator

from scanplan.api import environment, names
from scanplan.api.names import PROXY
from scanplan.api.v1alpha1.plan.pod_template import Resources
from scanplan.api.v1alpha1.scanplan import MAX_ENDPOINTS
from scanplan.core.notify.receivers import DEFAULT_HOSTS
from scanplan.core.planning import pod_security
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.targets import ranges
from scanplan.core.planning.targets.denied import DEFAULT_DENIED
from scanplan.core.planning.targets.guard import Guard
from scanplan.settings import loading
from scanplan.settings.fields import (
    Amounts,
    DeniedTargets,
    LabelSelector,
    NameList,
    NoProxyList,
    Size,
    UnguardedProtocols,
)
from scanplan.settings.pod_bounds import PodBoundsSettings


def _by_resource(amounts: tuple[str, ...]) -> dict[str, str]:
    return dict(amount.split("=", 1) for amount in amounts)


def _texts(quantities: Mapping[str, int | str]) -> dict[str, str]:
    return {name: str(quantity) for name, quantity in quantities.items()}


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
    no_proxy: NoProxyList = Field(
        (),
        alias="SCANPLAN_NO_PROXY",
        description="Targets that go past that proxy: hosts, domains, addresses, CIDR ranges.",
    )
    allowed_proxies: NameList = Field(
        (), alias="SCANPLAN_ALLOWED_PROXIES", description="Further proxies that plans may name; shell patterns of URLs."
    )
    allowed_resolvers: NameList = Field(
        (),
        alias="SCANPLAN_ALLOWED_RESOLVERS",
        description="DNS resolvers that plans may name instead of the cluster's; shell patterns of addresses.",
    )
    allowed_interactsh_servers: NameList = Field(
        (),
        alias="SCANPLAN_ALLOWED_INTERACTSH_SERVERS",
        description="Out-of-band servers (interactsh) that plans may name, as they are written there; shell patterns.",
    )
    allow_code: bool = Field(
        False,
        alias="SCANPLAN_ALLOW_CODE",
        description="Let plans run signed templates that are programs (`scanner.code`). They see all that a scan pod sees.",
    )
    discovery_any_selector: bool = Field(
        False,
        alias="SCANPLAN_DISCOVERY_ANY_SELECTOR",
        description='Let plans discover objects by any labels; otherwise each object needs `scanplan.dev/scan: "true"`.',
    )
    discovery_namespaces: NameList = Field(
        (),
        alias="SCANPLAN_DISCOVERY_NAMESPACES",
        description="Namespaces besides their own in which plans may discover endpoints; shell patterns.",
    )
    max_range_addresses: int = Field(
        ranges.MAX_ADDRESSES,
        alias="SCANPLAN_MAX_RANGE_ADDRESSES",
        ge=0,
        le=MAX_ENDPOINTS,
        description="Addresses that the CIDR ranges of one plan may have together; 0: no ranges.",
    )
    denied_targets: DeniedTargets = Field(
        DEFAULT_DENIED,
        alias="SCANPLAN_DENIED_TARGETS",
        description="Ranges and names that plans may not scan. It replaces the default list.",
    )
    unguarded_protocols: UnguardedProtocols = Field(
        (),
        alias="SCANPLAN_UNGUARDED_PROTOCOLS",
        description="Template protocols to allow although Nuclei can't keep them from denied targets (`whois`, `headless`).",
    )
    default_requests: Amounts = Field(
        ("cpu=100m", "memory=384Mi"),
        alias="SCANPLAN_DEFAULT_REQUESTS",
        description="Requests of scan pods for resources that a plan says nothing about; `resource=quantity`.",
    )
    default_limits: Amounts = Field(
        ("memory=1Gi",),
        alias="SCANPLAN_DEFAULT_LIMITS",
        description="Limits of scan pods for resources that a plan says nothing about; `resource=quantity`.",
    )
    headless_memory: Size = Field(
        "2Gi",
        alias="SCANPLAN_HEADLESS_MEMORY",
        description="Least memory limit of scan pods with a browser (`scanner.headless`), where the plan sets none.",
    )
    tmp_size_limit: Size = Field(
        "1Gi",
        alias=environment.TMP_SIZE_LIMIT,
        description="What `/tmp` of a scan pod may hold; a scan that comes near ends with DiskFull. Empty: no limit.",
    )
    lifecycle_events: bool = Field(
        False,
        alias="SCANPLAN_LIFECYCLE_EVENTS",
        description="Record the Events `Started` and `Completed` too: two more requests for each plan.",
    )
    namespaces: NameList = Field((), alias="SCANPLAN_NAMESPACES", description="Namespaces to watch; empty: all.")
    namespace_selector: LabelSelector = Field(
        "",
        alias="SCANPLAN_NAMESPACE_SELECTOR",
        description="Label selector of the namespaces to work on, in place of a list. They may come and go. Empty: all.",
    )
    schedules: bool = Field(
        True,
        alias="SCANPLAN_SCHEDULES",
        description="Act on ScanSchedules. Without it, the operator needs neither their definition nor a right to make plans.",
    )
    notifiers: bool = Field(
        True,
        alias="SCANPLAN_NOTIFIERS",
        description="Act on ScanNotifiers. Without it, the operator needs neither their definition nor a way to receivers.",
    )
    notifier_hosts: NameList = Field(
        DEFAULT_HOSTS,
        alias="SCANPLAN_NOTIFIER_HOSTS",
        description="Hosts that ScanNotifiers may send to, with or without port; shell patterns of `*` and `?` alone. "
        "Link-local and metadata addresses are refused whatever it says.",
    )
    export_hosts: NameList = Field(
        (),
        alias="SCANPLAN_EXPORT_HOSTS",
        description="Hosts that plans may export results to, and read lists on S3 servers from, with or without port; shell "
        "patterns of `*` and `?` alone. Empty: none. "
        "Link-local and metadata addresses are refused whatever it says.",
    )
    page_url: str = Field(
        "",
        alias="SCANPLAN_PAGE_URL",
        pattern=r"^$|^https?://[!-~]+$",
        max_length=1_024,
        description="Where people reach the API and its page, such as `https://scans.example.com`. "
        "Messages then link to page and report.",
    )
    worker_concurrency: int = Field(
        4, alias="WORKER_CONCURRENCY", ge=1, le=100_000, description="Jobs that may be active at once in a namespace."
    )
    exception_max_days: int = Field(
        365,
        alias="SCANPLAN_EXCEPTION_MAX_DAYS",
        ge=1,
        le=365,
        description="Days after it was written until which a ScanException may last; a later end is refused.",
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
        description="Address of the API server's Service, set by Kubernetes. It is never a target.",
    )

    @field_validator("namespace_selector")
    @classmethod
    def _no_list_too(cls, value: str, info: ValidationInfo) -> str:
        if value and info.data.get("namespaces"):
            raise ValueError("can't be set together with SCANPLAN_NAMESPACES: leave one of them empty")
        return value

    @field_validator("lease_name")
    @classmethod
    def _object_name(cls, value: str) -> str:
        if not names.is_object_name(value):
            raise ValueError("must be the name of an object: lower case letters, digits, dashes and dots")
        return value

    def policy(self) -> Policy:
        """The part of the settings on which decisions depend."""
        defaults = self.scan_defaults.pod_template.resources if self.scan_defaults else Resources()
        own = (self.api_server_host,) if self.api_server_host else ()
        return Policy(
            scanner_image=self.scanner_image,
            image_pull_policy=self.image_pull_policy,
            claim_name=self.claim_name,
            allowed_images=self.allowed_images,
            allowed_claims=self.allowed_claims,
            proxy=self.proxy,
            no_proxy=self.no_proxy,
            allowed_proxies=self.allowed_proxies,
            allowed_resolvers=self.allowed_resolvers,
            allow_code=self.allow_code,
            allowed_interactsh_servers=self.allowed_interactsh_servers,
            allowed_service_accounts=self.allowed_service_accounts,
            allowed_priority_classes=self.allowed_priority_classes,
            allowed_tolerations=self.allowed_tolerations,
            allowed_pod_metadata=self.allowed_pod_metadata,
            max_range_addresses=self.max_range_addresses,
            export_hosts=self.export_hosts,
            guard=Guard((*self.denied_targets, *own)),
            unguarded_protocols=self.unguarded_protocols,
            discovery_any_selector=self.discovery_any_selector,
            discovery_namespaces=self.discovery_namespaces,
            default_requests={**_by_resource(self.default_requests), **_texts(defaults.requests)},
            default_limits={**_by_resource(self.default_limits), **_texts(defaults.limits)},
            scan_defaults=self.scan_defaults,
            headless_memory=self.headless_memory,
            tmp_size_limit=self.tmp_size_limit,
            pod_security_context=pod_security.chosen(self.pod_security_context, assigns_users=False),
            lifecycle_events=self.lifecycle_events,
            worker_concurrency=self.worker_concurrency,
            exception_max_days=self.exception_max_days,
        )


def load_settings() -> OperatorSettings:
    """Read the environment.

    Raises:
        InvalidSettings: with a line for each wrong or missing variable.
    """
    return loading.load(OperatorSettings, repeat_values=True)
