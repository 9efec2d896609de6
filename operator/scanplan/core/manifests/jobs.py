"""The Job of a task: one builder, values in, manifest out.

Retries, deadlines, suspension and clean-up are the Job's own; podFailurePolicy maps the runner's exit codes to them
(KEP-3329, KEP-3850). The pod itself is built in `scanplan.core.manifests.pod`.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from scanplan.api import labels
from scanplan.api.exit_codes import ExitCode
from scanplan.api.times import format_time
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.core.manifests import document, pod, resources
from scanplan.core.manifests.document import Packed
from scanplan.core.observed.asked import Asked
from scanplan.core.observed.jobs import JobView
from scanplan.core.planning import pod_bounds, quantities, scan_defaults
from scanplan.core.planning.nuclei import rates
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.targets import resolution
from scanplan.core.planning.task import Plan, Task

Manifest = dict[str, Any]

COLLECTOR_DEADLINE_SECONDS = 3_600
COLLECTOR_RETRIES = 3
COLLECTOR_MEMORY = "256Mi"
"""Its limit is never below, since a plan's limit was chosen for Nuclei. A partial merge keeps a fingerprint of 135 bytes for
each distinct finding of a shard with several attempts: this is enough for a million."""
POD_OVERHEAD_SECONDS = 120
"""Allowance for scheduling, pulling and back-off of each attempt in the derived deadline."""
REQUESTS_PER_ENDPOINT = 20_000
"""Of a large set of templates: the community's has some ten thousand."""
SLOWNESS = 2
"""Targets that answer slowly keep a scan below its rate."""
MAX_DEADLINE_SECONDS = 31_536_000
"""The spec's bound too. Beyond 292 years the Job controller's arithmetic overflows, and the Job would fail at once."""
MAX_BACKOFF_SECONDS = 600
"""Kubernetes caps the exponential back-off of a Job's pods (10 s, 20 s, …) here."""


def build(task: Task, plan: Plan, policy: Policy, exceptions: str = "") -> Manifest:
    """The manifest with which a task's Job is created, owned by `plan`.

    Args:
        exceptions: see `pod.build`.
    """
    spec, shards = plan.spec, task.document.shards
    queued = spec.queue_name is not None
    asked = Asked(
        ttl_seconds=spec.ttl_seconds_after_finished,
        deadline_seconds=deadline_seconds(spec, shards, task.document.most_endpoints),
        parallelism=parallelism(spec, shards),
        suspend=None if queued else False,
    )
    packed = document.pack(task, task.job_name)
    manifest = _job(
        task.job_name,
        task,
        plan,
        {
            "completionMode": "Indexed",
            "completions": shards,
            "backoffLimitPerIndex": spec.retry.temporary,
            "maxFailedIndexes": shards,
            "podReplacementPolicy": "Failed",
            "suspend": queued,
            **asked.spec(),
            "podFailurePolicy": pod_failure_policy(),
        },
        pod.build(task, spec.pod_template, policy, packed, exceptions),
    )
    of_pod = manifest["spec"]["template"]["spec"]
    of_pod.update(resolution.pod_fields(spec, of_pod.get("dnsConfig", {})))
    manifest["metadata"]["annotations"].update(
        _scan_annotations(task, plan, packed), **{labels.ASKED: asked.annotation()}
    )
    return manifest


def _scan_annotations(task: Task, plan: Plan, packed: Packed) -> dict[str, str]:
    """What is to be known of a scan without its document."""
    annotations = {labels.ENDPOINT_COUNT: str(task.document.most_endpoints)}
    if plan.spec.scanner.max_requests_per_second is not None:
        annotations[labels.RATE_SHARES] = str(parallelism(plan.spec, task.document.shards))
    if task.document.discovery is not None:
        annotations[labels.DISCOVERY] = msgspec.json.encode(task.document.discovery).decode()
    if packed.parts:
        annotations[labels.DOCUMENT_PARTS] = str(len(packed.parts))
    return annotations


def queue_labels(spec: ScanPlanSpec) -> dict[str, str]:
    """Kueue's labels of a Job."""
    pairs = {labels.KUEUE_QUEUE: spec.queue_name, labels.KUEUE_PRIORITY: spec.queue_priority_class_name}
    return {name: value for name, value in pairs.items() if value}


def build_collector(task: Task, plan: Plan, policy: Policy, exceptions: str = "") -> Manifest:
    """The small Job that merges what a task's pods left on the claim, where none of them could.

    Args:
        task: of `scanplan.core.planning.merging`.
        exceptions: see `pod.build`.
    """
    name = collector_name(task.job_name)
    # It comes whatever the plan says by now, so what was written since and is out of bounds is left out.
    fields = pod_bounds.within(plan.own.pod_template, policy)
    fields = fields.model_copy(update={"resources": resources.usable(fields.resources)})
    if policy.scan_defaults:
        fields = scan_defaults.under(fields, policy.scan_defaults.pod_template)
    template = pod.build(task, fields, policy, document.pack(task, name), exceptions)
    container = template["spec"]["containers"][0]
    container["args"] = ["collect"]
    if (limits := container.get("resources", {}).get("limits", {})).get("memory") is not None:
        limits["memory"] = _at_least(str(limits["memory"]), COLLECTOR_MEMORY)
    spec: Manifest = {
        "backoffLimit": COLLECTOR_RETRIES,
        "podReplacementPolicy": "Failed",
        "activeDeadlineSeconds": COLLECTOR_DEADLINE_SECONDS,
        "ttlSecondsAfterFinished": plan.spec.ttl_seconds_after_finished,
        "suspend": plan.spec.queue_name is not None,
    }
    manifest = _job(name, task, plan, spec, template)
    for metadata in (manifest["metadata"], template["metadata"]):
        metadata["labels"][labels.COMPONENT] = labels.COMPONENT_COLLECTOR
    return manifest


def _at_least(asked: str, floor: str) -> str:
    """The larger of two quantities."""
    return asked if quantities.quantity(asked) >= quantities.quantity(floor) else floor


def _job(name: str, task: Task, plan: Plan, spec: Manifest, template: Manifest) -> Manifest:
    annotations = {
        labels.TASK_KEY: task.key,
        labels.CREATOR: plan.uid,
        labels.FIRST_SEEN: format_time(task.first_seen),
        labels.NEXT_RUN_DIGEST: plan.next_run_digest,
        pin_annotation(plan.uid): plan.input_digest,
    }
    return owned_job(plan, name, pod.labels_of(task), annotations, {**spec, "template": template})


def owned_job(plan: Plan, name: str, marks: Manifest, annotations: Manifest, spec: Manifest) -> Manifest:
    """A Job that the plan owns, and that its queue admits where it has one."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": plan.namespace,
            "labels": {**marks, **queue_labels(plan.spec)},
            "annotations": annotations,
            "ownerReferences": [owner_reference(plan)],
        },
        "spec": spec,
    }


_COLLECTS = "-collect"


def collector_name(job_name: str) -> str:
    """Name of a task's collector Job."""
    return f"{job_name}{_COLLECTS}"


def task_of(job_name: str) -> str:
    """Name of the task that a Job, which may be a collector, belongs to."""
    return job_name.removesuffix(_COLLECTS)


def parallelism(spec: ScanPlanSpec, shards: int) -> int:
    """Shards at the same time: as asked, no more than there are, or than the limit of requests can be divided by."""
    return rates.shares(spec, shards)


def deadline_seconds(spec: ScanPlanSpec, shards: int, endpoints: int = 0) -> int:
    """The whole task's deadline: as asked, or derived.

    A derived one is long enough for every shard to use up every attempt it may have. Attempts that have saved steps don't count,
    so it is also long enough for a community-size set of templates at the plan's rate, where that takes longer.
    """
    if spec.deadline_seconds is not None:
        return spec.deadline_seconds
    attempts = 1 + spec.retry.temporary
    rounds = math.ceil(shards / parallelism(spec, shards))
    backoff = sum(min(10 << retry, MAX_BACKOFF_SECONDS) for retry in range(spec.retry.temporary))
    retries = attempts * (spec.timeout_seconds + POD_OVERHEAD_SECONDS) + backoff
    return min(rounds * max(retries, _work_seconds(spec, shards, endpoints)), MAX_DEADLINE_SECONDS)


def _work_seconds(spec: ScanPlanSpec, shards: int, endpoints: int) -> int:
    """How long a shard may take for its requests."""
    rate = rates.of_shard(spec, shards)
    per_host = spec.scanner.max_requests_per_second_per_host
    here = math.ceil(endpoints / shards)
    if per_host is not None:
        rate = min(rate, per_host * max(1, here))
    return math.ceil(SLOWNESS * here * REQUESTS_PER_ENDPOINT / rate)


def pin_annotation(uid: str) -> str:
    """Name of the Job annotation that holds what the owner `uid` pinned."""
    return f"{labels.PIN_PREFIX}{uid}"


def owner_reference(plan: Plan) -> Manifest:
    """Our reference: neither controller nor blocking, so that several plans can own one Job until the last goes."""
    return {"apiVersion": labels.API_VERSION, "kind": labels.KIND, "name": plan.name, "uid": plan.uid}


def adoption_patch(plan: Plan, uid: str, resource_version: str) -> Manifest:
    """Strategic merge patch that adds `plan` to a Job's owners; refused by the API server if the Job has changed."""
    return {
        "metadata": {
            "uid": uid,
            "resourceVersion": resource_version,
            "ownerReferences": [owner_reference(plan)],
            "annotations": {pin_annotation(plan.uid): plan.input_digest},
        }
    }


def release_patch(plan: Plan, uid: str, resource_version: str) -> Manifest:
    """Strategic merge patch that takes `plan` out of a Job's owners."""
    return {
        "metadata": {
            "uid": uid,
            "resourceVersion": resource_version,
            "ownerReferences": [{"$patch": "delete", "uid": plan.uid}],
            "annotations": {pin_annotation(plan.uid): None},
        }
    }


def asking_patch(job: JobView, wanted: Asked) -> Manifest:
    """Strategic merge patch that asks for other values of the mutable fields, and records it; others' values are left."""
    before = job.asked.spec()
    spec = {name: value for name, value in wanted.spec().items() if before.get(name) != value}
    metadata = {"uid": job.uid, "annotations": {labels.ASKED: wanted.annotation()}}
    return {"metadata": metadata, **({"spec": spec} if spec else {})}


def pod_failure_policy() -> Manifest:
    """What a disruption, or the runner's exit code, means for its Job. First match wins, so disruptions come first."""

    def on_exit(action: str, *codes: ExitCode) -> Manifest:
        return {
            "action": action,
            "onExitCodes": {
                "containerName": labels.CONTAINER,
                "operator": "In",
                "values": sorted(int(code) for code in codes),
            },
        }

    return {
        "rules": [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            on_exit("Ignore", ExitCode.INTERRUPTED),
            on_exit("FailJob", ExitCode.FATAL, ExitCode.USAGE),
            on_exit("FailIndex", ExitCode.SHARD_FATAL),
        ]
    }
