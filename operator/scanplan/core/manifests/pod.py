"""The scan pod: one builder, values in, pod template out.

Pods satisfy the restricted Pod Security Standard whatever the plan's podTemplate says: it is laid under what keeps them
restricted, never over it. A pod sees its run's folder of the claim and no other, and has no API token.
"""

from __future__ import annotations

from typing import Any

from scanplan.api import environment, labels, layout
from scanplan.api.v1alpha1.plan.pod_template import PodTemplate
from scanplan.api.v1alpha1.plan.sources import ClaimFile, ImageFile, ImageSource, S3File
from scanplan.core.manifests import resources
from scanplan.core.manifests.document import Packed
from scanplan.core.planning.nuclei import scanner_secrets
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.sources import ENDPOINTS_DIRECTORY
from scanplan.core.planning.task import REQUESTS_DIRECTORY, Task

Manifest = dict[str, Any]

TASK_DIRECTORY = "/etc/scanplan/task"
EXCEPTIONS_FILE = "exceptions.json"
"""Beside the task document."""
ENDPOINTS = "endpoints"
"""Name of the volume with a file of endpoints."""
REQUESTS = "requests"
"""Name of the volume with requests to fuzz."""
TERMINATION_LOG = "/dev/termination-log"
CONFINED: Manifest = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
"""The security context of our containers."""
IMAGE_TEMPLATES_DIRECTORY = "/opt/nuclei-templates"
GRACE_SECONDS = 60
"""From SIGTERM to SIGKILL: time for Nuclei to stop and for partial findings to be published."""


def build(task: Task, template: PodTemplate, policy: Policy, packed: Packed, exceptions: str = "") -> Manifest:
    """The pod template of a task's Job.

    Args:
        exceptions: those of the namespace, as `scanplan.findings.exceptions.handed` makes them; empty: there are none.
    """
    claim_label = labels.of_claim(task.claim)
    document, digest = _document_volume(packed, exceptions)
    folders = _template_volumes(task)
    secrets = [{"name": use, "secret": {"secretName": name}} for use, name in task.secrets.items()]
    spec: Manifest = {
        "containers": [_container(task, template, policy, digest, folders)],
        "volumes": [
            {"name": "claim", "persistentVolumeClaim": {"claimName": task.claim}},
            {"name": "scratch", "emptyDir": {"sizeLimit": policy.tmp_size_limit} if policy.tmp_size_limit else {}},
            document,
            *_endpoints_volume(task),
            *folders,
            *([{"name": REQUESTS, "configMap": {"name": task.requests_from}}] if task.requests_from else []),
            *secrets,
        ],
    }
    spec.update(around(template, policy, claim_label if task.one_node_only else None))
    annotations = dict(template.annotations)
    if packed.inline is not None:
        annotations[labels.TASK_DOCUMENT] = packed.inline
    if exceptions:
        annotations[labels.EXCEPTIONS] = exceptions
    return {
        "metadata": {"labels": {**template.labels, **labels_of(task), **claim_label}, "annotations": annotations},
        "spec": spec,
    }


def around(template: PodTemplate, policy: Policy, one_node: dict[str, str] | None) -> Manifest:
    """The spec of one of our pods without its containers and volumes: restricted, whatever the template says.

    Args:
        one_node: the label of the claim whose pods are all on one node; None: they may be anywhere.
    """
    spec: Manifest = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            **policy.pod_security_context.manifest(),
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **_user_fields(template),
    }
    if policy.scan_defaults:
        spec.update(policy.scan_defaults.pod_template.owner_fields())
    if one_node:
        spec["affinity"] = _with_pods_of_the_claim(template.affinity, one_node)
    return spec


def labels_of(task: Task) -> dict[str, str]:
    """The labels of a task's Job and pods."""
    return labelled(labels.COMPONENT_SCANNER, task.job_name)


def labelled(component: str, task: str) -> dict[str, str]:
    """The labels of one of our Jobs, and of its pods."""
    return {
        labels.NAME: labels.NAME_VALUE,
        labels.COMPONENT: component,
        labels.MANAGED_BY: labels.MANAGED_BY_VALUE,
        labels.TASK: task,
    }


def _document_volume(packed: Packed, exceptions: str) -> tuple[Manifest, str]:
    """The volume with the task document, and the digest that the runner has to hold it against (not where it is inline)."""
    files = [] if packed.inline is None else [annotation_file(environment.TASK_FILE, labels.TASK_DOCUMENT)]
    if exceptions:
        files.append(annotation_file(EXCEPTIONS_FILE, labels.EXCEPTIONS))
    if packed.inline is not None:
        return {"name": "task", "downwardAPI": {"items": files}}, ""
    kind = "secret" if packed.confidential else "configMap"
    sources: list[Manifest] = [{kind: {"name": name}} for name in packed.names]
    if files:
        sources.append({"downwardAPI": {"items": files}})
    return {"name": "task", "projected": {"sources": sources}}, packed.digest


def annotation_file(file: str, name: str) -> Manifest:
    """A file with the value of one of the pod's annotations."""
    return {"path": file, "fieldRef": {"fieldPath": f"metadata.annotations['{name}']"}}


def _endpoints_volume(task: Task) -> list[Manifest]:
    """The volume with a file of endpoints, where it isn't on the claim."""
    file = task.endpoints_file
    return [{"name": ENDPOINTS, **_volume_of(file)}] if isinstance(file, ImageFile) else []


def _endpoints_mount(task: Task) -> list[Manifest]:
    """Where the pod sees its file of endpoints: an image, or the file's folder on the claim, and no more of it."""
    match task.endpoints_file:
        case ImageFile():
            place = {"name": ENDPOINTS}
        case ClaimFile() as file:
            place = {"name": "claim", "subPath": str(layout.ENDPOINT_FILES / file.folder)}
        case S3File() | None:
            return []
    return [{**place, "mountPath": ENDPOINTS_DIRECTORY, "readOnly": True}]


def _template_volumes(task: Task) -> list[Manifest]:
    """A read-only volume for each template source, in order."""
    return [
        {"name": f"templates-{position}", **_volume_of(source)} for position, source in enumerate(task.templates_from)
    ]


def _volume_of(source: ImageSource | str) -> Manifest:
    if isinstance(source, str):
        return {"configMap": {"name": source}}
    return {"image": {"reference": source.reference, "pullPolicy": source.pull_policy}}


def _with_pods_of_the_claim(affinity: Manifest | None, claim_label: dict[str, str]) -> Manifest:
    """All pods of a ReadWriteOnce claim go to one node; the first one chooses it.

    An affinity of a shape that Kubernetes does not have stays as it is: the API server refuses it in its own words.
    """
    together = {"labelSelector": {"matchLabels": claim_label}, "topologyKey": "kubernetes.io/hostname"}
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    own = affinity or {}
    pods = own.get("podAffinity") or {}
    terms = (pods.get(required) or []) if isinstance(pods, dict) else None
    if not isinstance(terms, list):
        return own
    return {**own, "podAffinity": {**pods, required: [*terms, together]}}


def _user_fields(template: PodTemplate) -> Manifest:
    """The pod fields that a plan may set, without those that it left out."""
    fields: Manifest = {
        "nodeSelector": {**labels.LINUX, **template.node_selector},
        "tolerations": [toleration.model_dump(by_alias=True, exclude_none=True) for toleration in template.tolerations],
        "affinity": template.affinity,
        "topologySpreadConstraints": template.topology_spread_constraints,
        "priorityClassName": template.priority_class_name,
        "serviceAccountName": template.service_account_name,
        "imagePullSecrets": [{"name": secret.name} for secret in template.image_pull_secrets],
    }
    return {name: value for name, value in fields.items() if value}


def _container(task: Task, template: PodTemplate, policy: Policy, digest: str, folders: list[Manifest]) -> Manifest:
    variables = {
        environment.TASK_DIRECTORY: TASK_DIRECTORY,
        environment.RUN_DIRECTORY: environment.RUN_MOUNT,
        environment.TERMINATION_LOG: TERMINATION_LOG,
    }
    if digest:
        variables[environment.TASK_DIGEST] = digest
    if policy.tmp_size_limit:
        variables[environment.TMP_SIZE_LIMIT] = policy.tmp_size_limit
    paths = [folder.path for folder in task.document.template_folders]
    if paths:
        variables[environment.TEMPLATES_DIRECTORY] = ":".join((*paths, IMAGE_TEMPLATES_DIRECTORY))
    mounts: list[Manifest] = [
        {
            "name": "claim",
            "mountPath": environment.RUN_MOUNT,
            "subPath": str(layout.run_directory(task.document.run_id)),
        },
        {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - a path in the pod
        {"name": "task", "mountPath": TASK_DIRECTORY, "readOnly": True},
    ]
    mounts += _endpoints_mount(task)
    for folder, path in zip(folders, paths, strict=True):
        mounts.append({"name": folder["name"], "mountPath": path, "readOnly": True})
    mounts += [{"name": use, "mountPath": scanner_secrets.folder(use), "readOnly": True} for use in task.secrets]
    if task.requests_from:
        mounts.append({"name": REQUESTS, "mountPath": REQUESTS_DIRECTORY, "readOnly": True})
    container: Manifest = {
        "name": labels.CONTAINER,
        "image": task.image,
        "imagePullPolicy": policy.image_pull_policy,
        "env": [
            *({"name": name, "value": value} for name, value in variables.items()),
            {"name": environment.POD_NAME, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "terminationMessagePath": TERMINATION_LOG,
        "terminationMessagePolicy": "File",
        "securityContext": dict(CONFINED),
        "volumeMounts": mounts,
    }
    limits = policy.default_limits
    if task.document.scanner.headless:
        limits = resources.with_browser(limits, policy.headless_memory)
    if limited := resources.of_container(template.resources, policy.default_requests, limits):
        container["resources"] = limited
    return container
