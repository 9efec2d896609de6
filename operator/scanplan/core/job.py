"""The Job of a task: one builder, values in, manifest out.

Retries, deadlines, suspension and clean-up are the Job's own; podFailurePolicy maps the runner's exit codes to them
(KEP-3329, KEP-3850). Pods satisfy the restricted Pod Security Standard whatever the plan's podTemplate says: it is laid
under what keeps them restricted, never over it.
"""

from __future__ import annotations

import math
from typing import Any

from scanplan.api import environment, labels, layout
from scanplan.api import task as documents
from scanplan.api.exit_codes import ExitCode
from scanplan.api.scanplan import Effect, PodTemplate, ScanPlanSpec
from scanplan.core.policy import Policy
from scanplan.core.task import Plan, Task, digest_of, input_digest

Manifest = dict[str, Any]

CONTAINER = "scanner"
COLLECTOR_DEADLINE_SECONDS = 3_600
TASK_DIRECTORY = "/etc/scanplan/task"
RUN_DIRECTORY = "/scan/run"
TERMINATION_LOG = "/dev/termination-log"
GRACE_SECONDS = 60
"""From SIGTERM to SIGKILL: time for Nuclei to stop and for partial findings to be published."""
POD_OVERHEAD_SECONDS = 120
"""Allowance for scheduling, pulling and back-off of each attempt in the derived deadline."""
MAX_BACKOFF_SECONDS = 600
"""Kubernetes caps the exponential back-off of a Job's pods (10 s, 20 s, …) here."""


def build(task: Task, plan: Plan, policy: Policy, suspend: bool = False) -> Manifest:
    """The manifest with which a task's Job is created, owned by `plan`."""
    spec = plan.spec
    document = task.document
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": task.job_name,
            "namespace": plan.namespace,
            "labels": _labels(task),
            "annotations": {
                labels.TASK_KEY: task.key,
                labels.CREATOR: plan.uid,
                labels.ENDPOINT_COUNT: str(len(document.endpoints)),
                labels.SPEC_HASH: digest_of(spec, Effect.NEXT),
                pin_annotation(plan.uid): input_digest(spec),
            },
            "ownerReferences": [owner_reference(plan)],
        },
        "spec": {
            "completionMode": "Indexed",
            "completions": document.shards,
            "parallelism": parallelism(spec, document.shards),
            "backoffLimitPerIndex": spec.retry.temporary,
            "maxFailedIndexes": document.shards,
            "podReplacementPolicy": "Failed",
            "activeDeadlineSeconds": deadline_seconds(spec, document.shards),
            "ttlSecondsAfterFinished": spec.ttl_seconds_after_finished,
            "suspend": suspend,
            "podFailurePolicy": _pod_failure_policy(),
            "template": _pod_template(task, spec.pod_template, policy),
        },
    }


def build_collector(task: Task, plan: Plan, policy: Policy) -> Manifest:
    """The small Job that merges what a task's pods left on the claim, where none of them could."""
    manifest = build(task, plan, policy)
    collector = {labels.COMPONENT: labels.COMPONENT_COLLECTOR}
    manifest["metadata"]["name"] = collector_name(task.job_name)
    manifest["metadata"]["labels"].update(collector)
    spec = manifest["spec"]
    for indexed in ("backoffLimitPerIndex", "maxFailedIndexes", "podFailurePolicy"):
        del spec[indexed]
    spec.update(
        completionMode="NonIndexed",
        completions=1,
        parallelism=1,
        backoffLimit=3,
        activeDeadlineSeconds=COLLECTOR_DEADLINE_SECONDS,
    )
    spec["template"]["metadata"]["labels"].update(collector)
    spec["template"]["spec"]["containers"][0]["args"] = ["collect"]
    return manifest


def collector_name(job_name: str) -> str:
    """Name of a task's collector Job."""
    return f"{job_name}-collect"


def parallelism(spec: ScanPlanSpec, shards: int) -> int:
    """Shards at the same time: as asked, no more than there are."""
    return min(spec.sharding.parallelism, shards)


def deadline_seconds(spec: ScanPlanSpec, shards: int) -> int:
    """The whole task's deadline: as asked, or long enough for every shard to use up every attempt it may have."""
    if spec.deadline_seconds is not None:
        return spec.deadline_seconds
    attempts = 1 + spec.retry.temporary
    rounds = math.ceil(shards / parallelism(spec, shards))
    backoff = sum(min(10 << retry, MAX_BACKOFF_SECONDS) for retry in range(spec.retry.temporary))
    return rounds * (attempts * (spec.timeout_seconds + POD_OVERHEAD_SECONDS) + backoff)


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
            "annotations": {pin_annotation(plan.uid): input_digest(plan.spec)},
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


def _labels(task: Task) -> dict[str, str]:
    return {
        labels.NAME: labels.NAME_VALUE,
        labels.COMPONENT: labels.COMPONENT_SCANNER,
        labels.MANAGED_BY: labels.MANAGED_BY_VALUE,
        labels.TASK: task.job_name,
    }


def _pod_failure_policy() -> Manifest:
    """First match wins, so disruptions come before anything that the exit code says."""

    def on_exit(action: str, *codes: ExitCode) -> Manifest:
        return {
            "action": action,
            "onExitCodes": {
                "containerName": CONTAINER,
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


def _pod_template(task: Task, template: PodTemplate, policy: Policy) -> Manifest:
    claim_label = {labels.CLAIM: task.claim[:63].rstrip("-.")}
    spec: Manifest = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(task, template, policy)],
        "volumes": [
            {"name": "claim", "persistentVolumeClaim": {"claimName": task.claim}},
            {"name": "scratch", "emptyDir": {}},
            {
                "name": "task",
                "downwardAPI": {
                    "items": [
                        {
                            "path": "task.json",
                            "fieldRef": {"fieldPath": f"metadata.annotations['{labels.TASK_DOCUMENT}']"},
                        }
                    ]
                },
            },
        ],
    }
    spec.update(_user_fields(template))
    return {
        "metadata": {
            "labels": {**template.labels, **_labels(task), **claim_label},
            "annotations": {
                **template.annotations,
                labels.TASK_DOCUMENT: documents.encode(task.document).decode(),
            },
        },
        "spec": spec,
    }


def _user_fields(template: PodTemplate) -> Manifest:
    """The pod fields that a plan may set, without those that it left out."""
    fields: Manifest = {
        "nodeSelector": template.node_selector,
        "tolerations": [toleration.model_dump(by_alias=True, exclude_none=True) for toleration in template.tolerations],
        "affinity": template.affinity,
        "topologySpreadConstraints": template.topology_spread_constraints,
        "priorityClassName": template.priority_class_name,
        "serviceAccountName": template.service_account_name,
        "imagePullSecrets": [{"name": secret.name} for secret in template.image_pull_secrets],
    }
    return {name: value for name, value in fields.items() if value}


def _container(task: Task, template: PodTemplate, policy: Policy) -> Manifest:
    run_directory = layout.run_directory(task.document.run_id)
    container: Manifest = {
        "name": CONTAINER,
        "image": task.image,
        "imagePullPolicy": policy.image_pull_policy,
        "env": [
            {"name": environment.TASK_DIRECTORY, "value": TASK_DIRECTORY},
            {"name": environment.RUN_DIRECTORY, "value": RUN_DIRECTORY},
            {"name": environment.TERMINATION_LOG, "value": TERMINATION_LOG},
            {"name": environment.POD_NAME, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "terminationMessagePath": TERMINATION_LOG,
        "terminationMessagePolicy": "File",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "claim", "mountPath": RUN_DIRECTORY, "subPath": str(run_directory)},
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - a path in the pod
            {"name": "task", "mountPath": TASK_DIRECTORY, "readOnly": True},
        ],
    }
    resources = template.resources.model_dump(by_alias=True, exclude_defaults=True)
    if resources:
        container["resources"] = resources
    return container
