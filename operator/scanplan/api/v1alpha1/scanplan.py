"""The spec of a ScanPlan: what a user writes. `scanplan_status` has what a user reads.

The models are the source of the CRD: `scanplan.api.schema.crd` turns their JSON schema, bounds and CEL rules into `crds/`.
Field names are those of the first, in-process version, in Kubernetes' spelling. Beside each field is its `Effect`: what a change
of it does to a running scan.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from scanplan.api.documents.task import MAX_ENDPOINT_LENGTH
from scanplan.api.documents.words import Severity
from scanplan.api.names import DNS_SUBDOMAIN, LIST_ENTRY
from scanplan.api.v1alpha1.model import Effect, Model, cel, effect
from scanplan.api.v1alpha1.plan.exports import MAX_EXPORTS, Export
from scanplan.api.v1alpha1.plan.name_resolution import DnsConfig, HostAlias
from scanplan.api.v1alpha1.plan.pod_template import PodTemplate
from scanplan.api.v1alpha1.plan.scanner import Scanner
from scanplan.api.v1alpha1.plan.selection import AUTOMATIC_ALONE, TEMPLATE, Selection
from scanplan.api.v1alpha1.plan.sources import EndpointSource, TemplateSource
from scanplan.api.v1alpha1.windows import MAX_WINDOWS, ScanWindow

RUN_NAME = r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
"""Names of projects and runs: they become folder names on the claim, so no slash and no leading or trailing dot."""

MAX_INLINE_ENDPOINTS = 1_000
MAX_ENDPOINTS = 100_000


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
        Field(
            ge=1,
            le=1_000,
            json_schema_extra=effect(Effect.RUNNING),
            description="Shards that run at the same time. In a Job with a queueName, an edit holds from the next run on.",
        ),
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
                    "!has(self.endpointsFrom) || "
                    "!self.endpointsFrom.exists(source, has(source.claimFile) || has(source.imageFile) || "
                    "has(source.s3File)) || "
                    "(size(self.endpointsFrom) == 1 && (!has(self.endpoints) || size(self.endpoints) == 0))",
                    "a claimFile, imageFile or s3File holds all endpoints of its plan: leave out endpoints and other sources",
                ),
                cel(
                    "(has(self.templates) && size(self.templates) > 0) || "
                    "(has(self.selection) && (has(self.selection.include) || has(self.selection.profile) || "
                    "(has(self.selection.workflows) && size(self.selection.workflows) > 0)))",
                    "there is nothing to scan with: set templates, or include, profile or workflows of selection",
                ),
                cel(
                    "!has(self.selection) || !has(self.selection.automatic) || !self.selection.automatic || "
                    "!((has(self.selection.workflows) && size(self.selection.workflows) > 0) || (has(self.scanner) && "
                    "((has(self.scanner.dast) && self.scanner.dast) || (has(self.scanner.headless) && self.scanner.headless) || "
                    "(has(self.scanner.code) && self.scanner.code))))",
                    AUTOMATIC_ALONE,
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
        list[Annotated[str, Field(min_length=1, max_length=MAX_ENDPOINT_LENGTH, pattern=LIST_ENTRY)]],
        Field(
            max_length=MAX_INLINE_ENDPOINTS,
            json_schema_extra=effect(Effect.KEY, **{"x-kubernetes-list-type": "atomic"}),
            description="Hosts, host:port, http(s) URLs or CIDR ranges (10.1.0.0/24), each address of which is a host.",
        ),
    ] = []
    endpoints_from: Annotated[
        list[EndpointSource],
        Field(
            max_length=16,
            json_schema_extra=effect(Effect.KEY, **{"x-kubernetes-list-type": "atomic"}),
            description="Further endpoints, for long lists. At most 100,000 in all, or one file alone with up to 1,000,000.",
        ),
    ] = []
    templates: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=512, pattern=TEMPLATE)]],
        Field(
            max_length=1_000,
            json_schema_extra=effect(Effect.KEY, **{"x-kubernetes-list-type": "atomic"}),
            description="Nuclei templates: paths of files or folders, or ids, within the template sources. "
            "With include, profile or workflows of selection it may be left out: then these are chosen from all.",
        ),
    ] = []
    selection: Selection = Selection()
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
            json_schema_extra=effect(Effect.RUNNING),
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
            json_schema_extra=effect(Effect.RUNNING),
            description="Seconds that the whole scan may take; by default from timeout, shards, parallelism, retries, endpoints "
            "and rate.",
        ),
    ] = None
    retry: Retry = Retry()
    suspend: Annotated[
        bool,
        Field(
            json_schema_extra=effect(Effect.RUNNING),
            description="Stop the running pods. With false, they go on where they stopped.",
        ),
    ] = False
    cancel: Annotated[
        bool,
        Field(json_schema_extra=effect(Effect.RUNNING), description="End the scan for good. What was found is kept."),
    ] = False
    windows: Annotated[
        list[ScanWindow],
        Field(
            max_length=MAX_WINDOWS,
            json_schema_extra=effect(Effect.RUNNING, **{"x-kubernetes-list-type": "atomic"}),
            description="When the scan may run; empty: at any time. Outside of all windows it is suspended.",
        ),
    ] = []
    rerun: Annotated[
        str,
        Field(
            max_length=63,
            json_schema_extra=effect(Effect.KEY),
            description="A new value asks for another scan of the same content.",
        ),
    ] = ""
    exports: Annotated[
        list[Export],
        Field(
            max_length=MAX_EXPORTS,
            json_schema_extra=effect(
                Effect.RUNNING, **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
            ),
            description="Where the result goes once the scan has ended. The scan does not depend on it. An edit exports what "
            "is new in the list.",
        ),
    ] = []
    retry_exports: Annotated[
        str,
        Field(
            max_length=63,
            json_schema_extra=effect(Effect.RUNNING),
            description="A new value exports again what has failed or was skipped. `scanplan export retry` sets it.",
        ),
    ] = ""
    ttl_seconds_after_finished: Annotated[
        int,
        Field(
            ge=300,
            le=31_536_000,
            json_schema_extra=effect(Effect.RUNNING),
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
    scanner: Annotated[
        Scanner,
        Field(
            json_schema_extra={
                "x-kubernetes-validations": [
                    cel(
                        "!(has(self.followRedirects) && self.followRedirects && "
                        "has(self.followHostRedirects) && self.followHostRedirects)",
                        "followRedirects follows redirects to the same host too: leave one of the two out",
                    )
                ]
            }
        ),
    ] = Scanner()
    artifacts: Artifacts = Artifacts()
    dns_config: Annotated[
        DnsConfig | None, Field(json_schema_extra=effect(Effect.KEY), description="Other resolvers than the cluster's.")
    ] = None
    host_aliases: Annotated[
        list[HostAlias],
        Field(
            max_length=32,
            json_schema_extra=effect(Effect.KEY, **{"x-kubernetes-list-type": "atomic"}),
            description="Addresses of names in scan pods, whatever DNS says.",
        ),
    ] = []
    pod_template: Annotated[PodTemplate, Field(json_schema_extra=effect(Effect.NEXT))] = PodTemplate()
