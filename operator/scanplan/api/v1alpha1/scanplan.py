"""The spec of a ScanPlan: what a user writes. `scanplan_status` has what a user reads.

The models are the source of the CRD: `scanplan.api.schema.crd` turns their JSON schema, bounds and CEL rules into `crds/`.
Field names are those of the first, in-process version, in Kubernetes' spelling. Beside each field is its `Effect`: what a change
of it does to a running scan.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.types import JsonValue

from scanplan.api.names import DATA_KEY, DNS_SUBDOMAIN, PROXY
from scanplan.api.v1alpha1.discovery import DiscoverySource
from scanplan.api.v1alpha1.model import Effect, Model, cel, effect, one_of
from scanplan.api.v1alpha1.task import Severity

RUN_NAME = r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
"""Names of projects and runs: they become folder names on the claim, so no slash and no leading or trailing dot."""
ENDPOINT = r"^[^\s,]+$"
"""CEL would cost too much on 1,000 items: a pattern refuses what no endpoint may have; the planner parses the rest."""
TEMPLATE = r"^[A-Za-z0-9_][-A-Za-z0-9_./]*$"

MAX_INLINE_ENDPOINTS = 1_000
MAX_ENDPOINTS = 100_000
MAX_ENDPOINT_LENGTH = 2_048


class Phase(StrEnum):
    """A plan's state in one word, for people; programs use conditions."""

    PENDING = "Pending"
    QUEUED = "Queued"
    RUNNING = "Running"
    RETRYING = "Retrying"
    SUSPENDED = "Suspended"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in {Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED}


class Sharding(Model):
    """How a scan is divided into shards, one pod each. A host is never in two shards."""

    max_endpoints_per_shard: Annotated[
        int,
        Field(
            ge=1,
            le=10_000,
            json_schema_extra=effect(Effect.NEXT),
            description="Average number of endpoints in a shard, at most.",
        ),
    ] = 250
    parallelism: Annotated[
        int,
        Field(ge=1, le=1_000, json_schema_extra=effect(Effect.LIVE), description="Shards that run at the same time."),
    ] = 4


class Retry(Model):
    """Attempts after the first, for each shard. Evictions, preemptions and suspensions never count."""

    temporary: Annotated[
        int,
        Field(
            ge=0,
            le=20,
            json_schema_extra=effect(Effect.NEXT),
            description="Further attempts after errors of network, disk or memory, with exponential backoff.",
        ),
    ] = 3
    unknown: Annotated[
        int,
        Field(
            ge=0,
            le=20,
            json_schema_extra=effect(Effect.NEXT),
            description="Further attempts after an error of unknown class.",
        ),
    ] = 1


ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)]
"""The name of an object: it becomes part of a request's path, so nothing else may pass."""


class LocalObjectReference(Model):
    """The name of an object in the plan's namespace."""

    name: ObjectName


class HeaderSource(Model):
    """Request headers in a Secret. Each key is a header's name."""

    secret_ref: Annotated[
        LocalObjectReference,
        Field(
            description="The Secret. It needs the label scanplan.dev/use: headers, and a Role that lets the operator get it."
        ),
    ]


class Header(Model):
    """A request header that is not secret."""

    name: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9!$%&'*+.^_`|~-]+$")]
    value: Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Scanner(Model):
    """Which Nuclei, and its options. Defaults are Nuclei's own."""

    image: Annotated[
        str | None,
        Field(
            max_length=512,
            pattern=r"^[^\s]+$",
            json_schema_extra=effect(Effect.KEY),
            description="Scanner image; by default the operator's own. It must be on the operator's allow-list.",
        ),
    ] = None
    rate_limit: Annotated[
        int,
        Field(
            ge=1, le=10_000, json_schema_extra=effect(Effect.NEXT), description="Requests per second, for each shard."
        ),
    ] = 150
    max_requests_per_second: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            json_schema_extra=effect(Effect.NEXT),
            description="Requests per second, for the whole plan. The shards that run at the same time share it.",
        ),
    ] = None
    max_requests_per_second_per_host: Annotated[
        int | None,
        Field(
            ge=1,
            le=10_000,
            json_schema_extra=effect(Effect.NEXT),
            description="Requests per second to each host, by HTTP. A host is never in two shards.",
        ),
    ] = None
    concurrency: Annotated[
        int, Field(ge=1, le=1_000, json_schema_extra=effect(Effect.NEXT), description="Templates that run in parallel.")
    ] = 25
    bulk_size: Annotated[
        int,
        Field(
            ge=1,
            le=1_000,
            json_schema_extra=effect(Effect.NEXT),
            description="Hosts that each template scans in parallel.",
        ),
    ] = 25
    request_timeout_seconds: Annotated[
        int,
        Field(ge=1, le=300, json_schema_extra=effect(Effect.NEXT), description="Seconds that one request may take."),
    ] = 10
    request_retries: Annotated[
        int, Field(ge=0, le=10, json_schema_extra=effect(Effect.NEXT), description="Repeats of a failed request.")
    ] = 1
    headers: Annotated[
        list[Header],
        Field(
            max_length=32,
            json_schema_extra=effect(
                Effect.KEY, **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
            ),
            description="Headers for every request that are not secret, such as User-Agent. Results show them.",
        ),
    ] = []
    headers_from: Annotated[
        HeaderSource | None,
        Field(
            json_schema_extra=effect(Effect.KEY),
            description="Secret headers for every request. Their values are kept out of logs and artifacts.",
        ),
    ] = None
    proxy: Annotated[
        str | None,
        Field(
            max_length=512,
            pattern=PROXY,
            json_schema_extra=effect(Effect.KEY),
            description="Proxy for all requests: an http, https or socks5 URL without credentials, such as "
            "socks5://proxy.example.com:1080. It must be on the operator's allow-list. By default the operator's own, if any.",
        ),
    ] = None
    follow_redirects: Annotated[
        bool, Field(json_schema_extra=effect(Effect.KEY), description="Follow HTTP redirects in templates.")
    ] = False


class Artifacts(Model):
    """Where findings are kept."""

    claim_name: Annotated[
        str | None,
        Field(
            max_length=253,
            pattern=DNS_SUBDOMAIN,
            json_schema_extra=effect(Effect.KEY),
            description="PersistentVolumeClaim in the plan's namespace; by default from the operator's settings.",
        ),
    ] = None


class KeyReference(Model):
    """One key of a ConfigMap or Secret in the plan's namespace."""

    name: ObjectName
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=DATA_KEY)]


class EndpointSource(Model):
    """Endpoints in a ConfigMap or Secret, one a line, or those that objects of the cluster name when the scan starts.

    Empty lines and lines that begin with # are skipped.
    """

    model_config = ConfigDict(
        json_schema_extra=one_of(
            "configMapKeyRef", "secretKeyRef", "ingresses", "httpRoutes", "services", "routes", "virtualServices"
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


class ImageSource(Model):
    """An OCI image whose files are templates, mounted read-only (Kubernetes 1.35+)."""

    reference: Annotated[
        str,
        Field(
            min_length=1,
            max_length=512,
            pattern=r"^[^\s]+$",
            description="Image reference, best by digest. It must be on the operator's allow-list.",
        ),
    ]
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"


class TemplateSource(Model):
    """A folder of templates, searched before those in the scanner image."""

    model_config = ConfigDict(json_schema_extra=one_of("configMap", "image"))

    config_map: Annotated[LocalObjectReference | None, Field(description="Each key is a template file.")] = None
    image: ImageSource | None = None


Quantity = Annotated[int | str, Field(json_schema_extra={"maxLength": 32})]
"""A quantity such as 500m or 2Gi; checked when the Job is created."""


class Resources(Model):
    """Requests and limits of the scanner container."""

    requests: Annotated[dict[str, Quantity], Field(max_length=16)] = {}
    limits: Annotated[dict[str, Quantity], Field(max_length=16)] = {}


class Toleration(Model):
    """As in a pod (https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/)."""

    key: Annotated[str | None, Field(max_length=316)] = None
    operator: Literal["Exists", "Equal", "Lt", "Gt"] | None = None
    value: Annotated[str | None, Field(max_length=63)] = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: Annotated[int | None, Field(ge=0, le=31_536_000)] = None


PRESERVE: dict[str, JsonValue] = {"x-kubernetes-preserve-unknown-fields": True}
RESERVED_METADATA = (
    "self.all(key, !key.matches('^([a-z0-9.-]+[.])?(scanplan[.]dev|kubernetes[.]io|k8s[.]io)/') "
    "&& !(key in ['job-name', 'controller-uid', 'batch.kubernetes.io/job-name']))"
)


class PodTemplate(Model):
    """What users may set on scan pods. It is merged, and never replaces what keeps the pod restricted."""

    resources: Resources = Resources()
    node_selector: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=32)] = {}
    tolerations: Annotated[
        list[Toleration], Field(max_length=32, description="Each must be on the operator's allow-list.")
    ] = []
    affinity: Annotated[
        dict[str, Any] | None,
        Field(
            json_schema_extra=PRESERVE,
            description="As in a pod, but never to pods of other namespaces. It is checked when the Job is created.",
        ),
    ] = None
    topology_spread_constraints: Annotated[
        list[Annotated[dict[str, Any], Field(json_schema_extra=PRESERVE)]],
        Field(max_length=8, description="As in a pod. They are checked when the Job is created."),
    ] = []
    priority_class_name: Annotated[
        str | None,
        Field(max_length=253, pattern=DNS_SUBDOMAIN, description="It must be on the operator's allow-list."),
    ] = None
    service_account_name: Annotated[
        str | None,
        Field(
            max_length=253,
            pattern=DNS_SUBDOMAIN,
            description="It must be on the operator's allow-list. Its token is never mounted.",
        ),
    ] = None
    image_pull_secrets: Annotated[list[LocalObjectReference], Field(max_length=8)] = []
    labels: Annotated[
        dict[str, Annotated[str, Field(max_length=63)]],
        Field(
            max_length=32,
            description="Their keys must be on the operator's allow-list.",
            json_schema_extra={
                "x-kubernetes-validations": [
                    cel(
                        RESERVED_METADATA,
                        "labels of scanplan.dev, kubernetes.io and k8s.io are reserved: choose a prefix of your own",
                    )
                ]
            },
        ),
    ] = {}
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=4096)]],
        Field(
            max_length=32,
            description="Their keys must be on the operator's allow-list.",
            json_schema_extra={
                "x-kubernetes-validations": [
                    cel(
                        RESERVED_METADATA,
                        "annotations of scanplan.dev, kubernetes.io and k8s.io are reserved: choose a prefix of your own",
                    )
                ]
            },
        ),
    ] = {}


class ScanPlanSpec(Model):
    """What to scan, with what, and how."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                cel(
                    "!has(self.deadlineSeconds) || self.deadlineSeconds >= self.timeoutSeconds",
                    "deadlineSeconds (the whole scan) must not be shorter than timeoutSeconds (one attempt of one shard)",
                ),
                cel(
                    "(has(self.endpoints) && size(self.endpoints) > 0) || "
                    "(has(self.endpointsFrom) && size(self.endpointsFrom) > 0)",
                    "there is nothing to scan: set endpoints, or endpointsFrom",
                ),
                cel(
                    "!has(self.queuePriorityClassName) || has(self.queueName)",
                    "queuePriorityClassName needs queueName, the LocalQueue that it is for",
                ),
            ]
        }
    )

    project_id: Annotated[
        str | None,
        Field(
            max_length=63,
            pattern=RUN_NAME,
            json_schema_extra=effect(Effect.KEY),
            description="Project of the run; by default the namespace.",
        ),
    ] = None
    run_id: Annotated[
        str | None,
        Field(
            max_length=253,
            pattern=RUN_NAME,
            json_schema_extra=effect(Effect.KEY),
            description="Run that the findings belong to, and their folder on the claim. By default the plan's name.",
        ),
    ] = None
    endpoints: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=MAX_ENDPOINT_LENGTH, pattern=ENDPOINT)]],
        Field(
            max_length=MAX_INLINE_ENDPOINTS,
            json_schema_extra=effect(Effect.KEY, **{"x-kubernetes-list-type": "atomic"}),
            description="Hosts, host:port or http(s) URLs.",
        ),
    ] = []
    endpoints_from: Annotated[
        list[EndpointSource],
        Field(
            max_length=16,
            json_schema_extra=effect(Effect.KEY, **{"x-kubernetes-list-type": "atomic"}),
            description="Further endpoints, for long lists. At most 100,000 in all.",
        ),
    ] = []
    templates: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=512, pattern=TEMPLATE)]],
        Field(
            min_length=1,
            max_length=1_000,
            json_schema_extra=effect(Effect.KEY, **{"x-kubernetes-list-type": "atomic"}),
            description="Nuclei templates: paths of files or folders, or ids, within the template sources.",
        ),
    ]
    templates_from: Annotated[
        list[TemplateSource],
        Field(
            max_length=8,
            json_schema_extra=effect(Effect.KEY, **{"x-kubernetes-list-type": "atomic"}),
            description="Template sources besides the scanner image. Templates are looked up in this order.",
        ),
    ] = []
    severity_levels: Annotated[
        list[Severity],
        Field(
            max_length=6,
            json_schema_extra=effect(Effect.KEY, **{"x-kubernetes-list-type": "set"}),
            description="Run only templates of these severities; empty: all.",
        ),
    ] = []
    priority: Annotated[
        int,
        Field(
            ge=0,
            le=10,
            json_schema_extra=effect(Effect.LIVE),
            description="Order among the namespace's waiting plans, higher first.",
        ),
    ] = 5
    sharding: Sharding = Sharding()
    timeout_seconds: Annotated[
        int,
        Field(
            ge=10,
            le=604_800,
            json_schema_extra=effect(Effect.NEXT),
            description="Seconds that one attempt of one shard may take. What it found until then is kept.",
        ),
    ] = 3_600
    deadline_seconds: Annotated[
        int | None,
        Field(
            ge=10,
            le=31_536_000,
            json_schema_extra=effect(Effect.LIVE),
            description="Seconds that the whole scan may take; by default from timeout, shards, parallelism, retries, endpoints "
            "and rate.",
        ),
    ] = None
    retry: Retry = Retry()
    suspend: Annotated[
        bool,
        Field(
            json_schema_extra=effect(Effect.LIVE),
            description="Stop the running pods. With false, they go on where they stopped.",
        ),
    ] = False
    cancel: Annotated[
        bool, Field(json_schema_extra=effect(Effect.LIVE), description="End the scan for good. What was found is kept.")
    ] = False
    rerun: Annotated[
        str,
        Field(
            max_length=63,
            json_schema_extra=effect(Effect.KEY),
            description="A new value asks for another scan of the same content.",
        ),
    ] = ""
    ttl_seconds_after_finished: Annotated[
        int,
        Field(
            ge=300,
            le=31_536_000,
            json_schema_extra=effect(Effect.LIVE),
            description="Seconds that the finished Job and its pods stay. The result stays on the plan and the claim.",
        ),
    ] = 86_400
    queue_name: Annotated[
        str | None,
        Field(
            max_length=253,
            pattern=DNS_SUBDOMAIN,
            json_schema_extra=effect(Effect.NEXT),
            description="Kueue LocalQueue that admits the Job. The operator's own limit of active Jobs then does not apply.",
        ),
    ] = None
    queue_priority_class_name: Annotated[
        str | None,
        Field(
            max_length=253,
            pattern=DNS_SUBDOMAIN,
            json_schema_extra=effect(Effect.NEXT),
            description="Kueue WorkloadPriorityClass. It must be on the operator's allow-list. By default Kueue uses "
            "podTemplate.priorityClassName.",
        ),
    ] = None
    scanner: Scanner = Scanner()
    artifacts: Artifacts = Artifacts()
    pod_template: Annotated[PodTemplate, Field(json_schema_extra=effect(Effect.NEXT))] = PodTemplate()
