"""The export Job: one small pod for each export of a plan, which reads the result and scans nothing.

It is an Indexed Job as a scan's is, so a receiver that fails or hangs holds up no other. Its pods see the task's folder of the
claim, read-only, and only those keys of Secrets that the exports name.
"""

from __future__ import annotations

from collections.abc import Sequence

from scanplan.api import environment, labels
from scanplan.api.documents.export import DefectDojoTarget, Destination, ExportDocument, HttpTarget, S3Target
from scanplan.api.documents.report import ArtifactFile
from scanplan.api.documents.words import PlanReference, encode
from scanplan.api.v1alpha1.plan.exports import Export
from scanplan.core.exports import due
from scanplan.core.manifests import jobs, pod
from scanplan.core.manifests.pod import Manifest
from scanplan.core.planning import keys, pod_bounds, scan_defaults
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.task import Plan
from scanplan.core.status import statuses

RETRIES = 8
"""Further attempts of one export; with the Job's backoff they take half an hour."""
DEADLINE_SECONDS = 21_600
"""Of all attempts together."""
PARALLELISM = 4
RESOURCES: Manifest = {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}
"""An export reads and sends in pieces, whatever the size of a result. Policies of clusters ask for both limits."""
SECRETS = "/etc/scanplan/export"
_AUTHORIZATION, _TOKEN = "authorization", "token"
_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def build(
    plan: Plan, exports: Sequence[Export], policy: Policy, *, one_node_only: bool, exceptions: str = ""
) -> Manifest:
    """The manifest of the Job that does these exports.

    Args:
        exports: those that are due; each has an index.
        one_node_only: all pods of the claim have to be on one node.
        exceptions: those of the namespace, as `scanplan.findings.exceptions.handed` makes them; empty: there are none.
    """
    name = due.job_name(plan, exports)
    marks = pod.labelled(labels.COMPONENT_EXPORTER, name)
    spec: Manifest = {
        "completionMode": "Indexed",
        "completions": len(exports),
        "parallelism": min(len(exports), PARALLELISM),
        "backoffLimitPerIndex": RETRIES,
        "maxFailedIndexes": len(exports),
        "podReplacementPolicy": "Failed",
        "activeDeadlineSeconds": DEADLINE_SECONDS,
        "ttlSecondsAfterFinished": plan.spec.ttl_seconds_after_finished,
        "suspend": plan.spec.queue_name is not None,
        "podFailurePolicy": jobs.pod_failure_policy(),
        "template": _pod(plan, exports, policy, marks, one_node_only, exceptions),
    }
    annotations = {labels.TASK_KEY: plan.status.task_key or "", labels.CREATOR: plan.uid}
    return jobs.owned_job(plan, name, marks, annotations, spec)


def _pod(
    plan: Plan,
    exports: Sequence[Export],
    policy: Policy,
    marks: dict[str, str],
    one_node_only: bool,
    exceptions: str,
) -> Manifest:
    template = pod_bounds.within(plan.own.pod_template, policy)
    if policy.scan_defaults:
        template = scan_defaults.under(template, policy.scan_defaults.pod_template)
    claim = plan.status.artifacts.claim_name if plan.status.artifacts else ""
    of_claim = labels.of_claim(claim)
    annotations = {**template.annotations, labels.TASK_DOCUMENT: encode(document(plan, exports, policy)).decode()}
    files = [pod.annotation_file(environment.TASK_FILE, labels.TASK_DOCUMENT)]
    if exceptions:
        annotations[labels.EXCEPTIONS] = exceptions
        files.append(pod.annotation_file(pod.EXCEPTIONS_FILE, labels.EXCEPTIONS))
    secrets = {index: volume for index, export in enumerate(exports) if (volume := _secret(export))}
    variables = {
        environment.TASK_DIRECTORY: pod.TASK_DIRECTORY,
        environment.RESULT_DIRECTORY: environment.RESULT_MOUNT,
        environment.TERMINATION_LOG: pod.TERMINATION_LOG,
    }
    path = statuses.artifacts_path(plan, plan.status.task_key or "")
    container: Manifest = {
        "name": labels.CONTAINER,
        "image": policy.scanner_image,
        "imagePullPolicy": policy.image_pull_policy,
        "args": ["export"],
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "terminationMessagePath": pod.TERMINATION_LOG,
        "terminationMessagePolicy": "File",
        "securityContext": dict(pod.CONFINED),
        "resources": RESOURCES,
        "volumeMounts": [
            {"name": "claim", "mountPath": environment.RESULT_MOUNT, "subPath": path, "readOnly": True},
            {"name": "task", "mountPath": pod.TASK_DIRECTORY, "readOnly": True},
            *({"name": _volume(index), "mountPath": _folder(index), "readOnly": True} for index in secrets),
        ],
    }
    return {
        "metadata": {"labels": {**template.labels, **marks, **of_claim}, "annotations": annotations},
        "spec": {
            **pod.around(template, policy, of_claim if one_node_only else None),
            "containers": [container],
            "volumes": [
                {"name": "claim", "persistentVolumeClaim": {"claimName": claim}},
                {"name": "task", "downwardAPI": {"items": files}},
                *({"name": _volume(index), "secret": volume} for index, volume in secrets.items()),
            ],
        },
    }


def document(plan: Plan, exports: Sequence[Export], policy: Policy) -> ExportDocument:
    """What the pods are told. It has no secret in it."""
    artifacts = plan.status.artifacts
    return ExportDocument(
        plan=PlanReference(namespace=plan.namespace, name=plan.name),
        run_id=plan.run_id,
        complete=artifacts is not None and artifacts.complete,
        files=tuple(
            ArtifactFile(name=file.name, bytes=file.bytes, sha256=file.sha256)
            for file in ((artifacts.files or ()) if artifacts else ())
        ),
        exports=tuple(_export(plan, index, export) for index, export in enumerate(exports)),
        denied_targets=policy.guard.entries,
    )


def _export(plan: Plan, index: int, export: Export) -> Destination:
    return Destination(
        name=export.name,
        key=due.idempotency_key(plan, export),
        target=_target(plan, export),
        secret=_folder(index) if _secret(export) else "",
    )


def _target(plan: Plan, export: Export) -> HttpTarget | S3Target | DefectDojoTarget:
    if export.http:
        return HttpTarget(url=export.http.url, format=export.http.format)
    if export.s3:
        place = (export.s3.prefix.strip("/"), plan.namespace, plan.run_id, keys.key_digest(plan.status.task_key or ""))
        return S3Target(
            endpoint=export.s3.endpoint.rstrip("/"),
            bucket=export.s3.bucket,
            region=export.s3.region,
            folder="".join(f"{part}/" for part in place if part),
        )
    if export.defect_dojo:
        return DefectDojoTarget(
            url=export.defect_dojo.url.rstrip("/"),
            product=export.defect_dojo.product,
            engagement=export.defect_dojo.engagement,
            product_type=export.defect_dojo.product_type or "",
            test=_test(plan),
        )
    raise ValueError(f"export {export.name!r} goes nowhere")


def _test(plan: Plan) -> str:
    """The title of a test: the same for all results that take each other's place, and for no others."""
    title = f"ScanPlan {plan.namespace}/{plan.run_id}"
    alone = plan.schedule or plan.name == plan.run_id
    return title if alone else f"{title} {plan.name}"


def _volume(index: int) -> str:
    return f"{labels.USE_EXPORT}-{index}"


def _folder(index: int) -> str:
    return f"{SECRETS}/{index}"


def _secret(export: Export) -> Manifest | None:
    """The keys of a Secret that an export names. What is not there is told by the pod, rather than waited for."""
    if export.http and export.http.authorization_from:
        reference = export.http.authorization_from.secret_key_ref
        return _keys(reference.name, {reference.key: _AUTHORIZATION})
    if export.s3:
        return _keys(export.s3.credentials_from.secret_ref.name, {name: name for name in _CREDENTIALS})
    if export.defect_dojo:
        reference = export.defect_dojo.token_from.secret_key_ref
        return _keys(reference.name, {reference.key: _TOKEN})
    return None


def _keys(name: str, files: dict[str, str]) -> Manifest:
    items = [{"key": key, "path": path} for key, path in files.items()]
    return {"secretName": name, "optional": True, "items": items}
