"""The `kubernetes` queue: a submitted task becomes a ScanPlan, which the operator runs.

The ScanPlan's name is the task id, so the API server keeps one ScanPlan however many programs submit the plan. Status and
result come from the ScanPlan. If the data directory can be written (the claim is mounted there), findings are added to the
project's store.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from scanplan.api import labels, names
from scanplan.api.documents.words import ErrorClass, Severity
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scanplan import MAX_INLINE_ENDPOINTS, Phase
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.client import document, models, pipeline
from scanplan.client.cluster.kubernetes_api import Conflict, KubernetesApi, NotFound, Taken
from scanplan.client.errors import ClientError, InvalidPayload, QueueUnavailable, UnknownTask, UnknownTaskType
from scanplan.client.models import ArtifactRef, QueueHealth, ScanPlan, ScanResult, SeverityCounts, TaskStatus
from scanplan.client.queues.base import TaskQueue
from scanplan.client.settings import ClientSettings
from scanplan.core.planning import keys
from scanplan.core.planning.targets import endpoints
from scanplan.kube.objects import Object

log = logging.getLogger("scanplan.client")

MANAGED_BY_CLIENT = "scanplan-client"
RUN = f"{labels.GROUP}/run"
"""Label on our ScanPlans: digest of the run's id (which may be longer than a label)."""
CONFIG_MAP_BYTES = 900 << 10
REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
"""Errors of a claim that is mounted for reading its findings alone."""
_DELETION_SECONDS = 0.2
_ROUNDS = 150
_STATUS = {
    Phase.PENDING: TaskStatus.PENDING,
    Phase.QUEUED: TaskStatus.PENDING,
    Phase.SUSPENDED: TaskStatus.PENDING,
    Phase.RUNNING: TaskStatus.RUNNING,
    Phase.RETRYING: TaskStatus.RETRYING,
    Phase.COMPLETED: TaskStatus.COMPLETED,
    Phase.FAILED: TaskStatus.FAILED,
    Phase.CANCELLED: TaskStatus.CANCELLED,
}


class KubernetesTaskQueue(TaskQueue):
    """Tasks as ScanPlans of one namespace."""

    def __init__(self, settings: ClientSettings, *, feed: bool = True) -> None:
        """`feed`: whether to add findings to the project's store when a result is read."""
        self._settings = settings
        self._feed = feed
        self._api = KubernetesApi(settings.namespace)

    def submit_task(self, task_type: str, payload: Mapping[str, Any], priority: int | None = None) -> str:
        if task_type != models.TASK_TYPE:
            raise UnknownTaskType(task_type)
        plan = models.plan_from(payload if priority is None else {**payload, "priority": priority})
        if plan.priority is None:
            plan = replace(plan, priority=self._settings.async_scan_priority)
        document.check(plan, self._settings)
        wanted = manifest(plan, self._settings)
        found = self._create(wanted)
        for part in endpoint_parts(plan, found):
            self._api.ensure_config_map(part)
        return str(found["metadata"]["name"])

    def _create(self, wanted: Object) -> Object:
        """Create the plan, or take over the one that is there."""
        for _ in range(_ROUNDS):
            try:
                return self._api.create_plan(wanted)
            except Taken:
                with contextlib.suppress(Conflict, NotFound):  # it was changed or deleted meanwhile
                    return self._taken_over(wanted)
        raise QueueUnavailable(
            f"the plan {wanted['metadata']['name']} could not be submitted: it changes again and again, or is still being "
            "deleted; try again"
        )

    def is_answered(self, plan: ScanPlan) -> bool:
        try:
            found = self._plan(models.task_id_of(plan))
        except UnknownTask:
            return False
        return "deletionTimestamp" not in found["metadata"] and self._answers(found)

    def get_task_status(self, task_id: str) -> TaskStatus:
        return status_of(self._plan(task_id))

    def get_task_result(self, task_id: str) -> dict[str, Any] | None:
        found = self._plan(task_id)
        if not status_of(found).is_terminal:
            return None
        result = result_of(found)
        if result.artifact_path and self._feed and os.access(self._settings.data_directory, os.W_OK):
            project = found["spec"].get("projectId") or found["metadata"]["namespace"]
            try:
                pipeline.publish_once(self._settings.data_directory, project, result.run_id, result.artifact_path)
            except OSError as refused:
                if refused.errno not in REFUSED:  # such as a full disk: the next try may do it
                    raise
                log.warning("the findings of %s are in no project's store: %s", task_id, refused)
        return models.dump(result)

    def store_task_result(self, task_id: str, result: Mapping[str, Any]) -> None:
        models.result_for(task_id, result)
        raise InvalidPayload("the result of a ScanPlan is its status, which the operator alone writes")

    def cancel_task(self, task_id: str) -> bool:
        if status_of(self._plan(task_id)).is_terminal:
            return False
        try:
            self._api.patch_plan(task_id, {"spec": {"cancel": True}})
        except NotFound:
            raise UnknownTask(task_id) from None
        return True

    def find_task(self, run_id: str) -> str | None:
        found = self._api.list_plans(f"{RUN}={keys.digest(run_id)}")
        newest = max(found, key=lambda plan: str(plan["metadata"]["creationTimestamp"]), default=None)
        return str(newest["metadata"]["name"]) if newest else None

    def health(self) -> QueueHealth:
        """Counts all plans of the namespace, whoever made them."""
        states = [status_of(plan) for plan in self._api.list_plans("")]
        return QueueHealth(
            queue_size=sum(state in {TaskStatus.PENDING, TaskStatus.RETRYING} for state in states),
            active_workers=sum(state is TaskStatus.RUNNING for state in states),
            failed_jobs=sum(state is TaskStatus.FAILED for state in states),
            redis_connected=False,
        )

    def check(self) -> None:
        self._api.check_plans()

    def exceptions(self) -> list[Object]:
        """The ScanExceptions of the namespace. Raises QueueUnavailable."""
        return self._api.list_exceptions()

    def close(self) -> None:
        self._api.close()

    def _plan(self, task_id: str) -> Object:
        # No ScanPlan can have another name, which could change the path of the request.
        if not names.is_object_name(task_id):
            raise UnknownTask(task_id)
        try:
            return self._api.get_plan(task_id)
        except NotFound:
            raise UnknownTask(task_id) from None

    def _taken_over(self, wanted: Object) -> Object:
        """Take over the ScanPlan that exists already. It runs again unless it is at work, or has completed recently.

        Raises:
            Conflict: it was changed meanwhile.
            ClientError: a ScanPlan of that name exists for another task.
        """
        found = self._api.get_plan(wanted["metadata"]["name"])
        name = found["metadata"]["name"]
        key = found["metadata"].get("annotations", {}).get(labels.TASK_KEY)
        if key != wanted["metadata"]["annotations"][labels.TASK_KEY]:
            raise ClientError(f"a ScanPlan named {name} exists for another task; it is left alone")
        if "deletionTimestamp" in found["metadata"]:
            time.sleep(_DELETION_SECONDS)
            raise Conflict(f"{name} is being deleted")
        if self._answers(found):
            return found
        # Concurrent submitters write the same value. The resource version makes the API server refuse outdated writes.
        again = {"cancel": False, "rerun": f"run-{found['metadata']['generation']}"}
        version = {"resourceVersion": found["metadata"]["resourceVersion"]}
        return self._api.patch_plan(name, {"metadata": version, "spec": again})

    def _answers(self, found: Object) -> bool:
        """Whether it is at work, or has completed recently."""
        status = status_of(found)
        if status is not TaskStatus.COMPLETED:
            return not status.is_terminal
        ended = ScanPlanStatus.of(found).completion_time
        if ended is None:
            return False
        return (datetime.now(UTC) - datetime.fromisoformat(ended)).total_seconds() < self._settings.idempotency_window


def manifest(plan: ScanPlan, settings: ClientSettings) -> Object:
    """Build the Kubernetes object of a plan."""
    task_id = models.task_id_of(plan)
    spec: Object = {
        "projectId": plan.project_id,
        "runId": plan.run_id,
        **({"templates": sorted(set(plan.templates))} if plan.templates else {}),
        **models.selected(plan),
        "severityLevels": sorted(map(str, set(plan.severity_levels))),
        "priority": plan.priority,
        "timeoutSeconds": settings.task_timeout,
        "sharding": {"maxEndpointsPerShard": settings.max_endpoints_per_shard},
        "retry": {"temporary": settings.retry_temporary, "unknown": settings.retry_unknown},
    }
    targets = endpoints.canonical_all(plan.endpoints)
    if len(targets) <= MAX_INLINE_ENDPOINTS:
        spec["endpoints"] = list(targets)
    else:
        # Each ScanPlan has its own names: those of one that was deleted may be taken until they are garbage collected.
        prefix = f"{_parts_of(task_id)}{secrets.token_hex(4)}"
        names = [f"{prefix}-{number}" for number in range(len(_parts(targets)))]
        spec["endpointsFrom"] = [{"configMapKeyRef": {"name": name, "key": "endpoints"}} for name in names]
    return {
        "apiVersion": labels.API_VERSION,
        "kind": labels.KIND,
        "metadata": {
            "name": task_id,
            "labels": {labels.MANAGED_BY: MANAGED_BY_CLIENT, RUN: keys.digest(plan.run_id)},
            "annotations": {labels.TASK_KEY: models.generate_task_key(plan)},
        },
        "spec": spec,
    }


def endpoint_parts(plan: ScanPlan, owner: Object) -> list[Object]:
    """Build the ConfigMaps that hold all endpoints, where these are too many for the ScanPlan itself; else there are none.

    The ScanPlan owns the ConfigMaps and names them. It is made before them, and the operator waits until they exist.
    """
    targets = endpoints.canonical_all(plan.endpoints)
    if len(targets) <= MAX_INLINE_ENDPOINTS:
        return []
    name, uid = owner["metadata"]["name"], owner["metadata"]["uid"]
    named = (source.get("configMapKeyRef", {}).get("name", "") for source in owner["spec"].get("endpointsFrom", ()))
    names = [each for each in named if each.startswith(_parts_of(name))]  # somebody may have added others
    reference = {"apiVersion": labels.API_VERSION, "kind": labels.KIND, "name": name, "uid": uid}
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": part,
                "labels": {labels.MANAGED_BY: MANAGED_BY_CLIENT},
                "ownerReferences": [reference],
            },
            "immutable": True,
            "data": {"endpoints": text},
        }
        for part, text in zip(names, _parts(targets), strict=False)
    ]


def status_of(plan: Object) -> TaskStatus:
    """A ScanPlan's phase as a task status; PENDING until the operator has seen this generation."""
    status = ScanPlanStatus.of(plan)
    if status.observed_generation != plan["metadata"]["generation"] or status.phase is None:
        return TaskStatus.PENDING
    return _STATUS[status.phase]


def result_of(plan: Object) -> ScanResult:
    """The result of a plan that has ended."""
    status = ScanPlanStatus.of(plan)
    counts = {each.value: getattr(status.findings, each) for each in Severity} if status.findings else {}
    published, error = status.artifacts, status.error
    elsewhere = published is not None and published.cluster is not None
    listed = published.files if published and published.files and not elsewhere else ()
    files = [ArtifactRef(name=file.name, bytes=file.bytes, sha256=file.sha256) for file in listed]
    state = status_of(plan)
    result = ScanResult(
        run_id=plan["spec"].get("runId") or plan["metadata"]["name"],
        success=state is TaskStatus.COMPLETED,
        endpoint_count=len(plan["spec"].get("endpoints", ()))
        if status.endpoint_count is None
        else status.endpoint_count,
        finding_count=sum(counts.values()),
        duration_ms=status.duration_ms or 0,
        task_id=plan["metadata"]["name"],
        status=state,
        findings=SeverityCounts(**counts),
        endpoints_scanned=status.endpoints_scanned or 0,
        endpoints_unreachable=status.endpoints_unreachable or 0,
        artifact_path=published.path if published and files else None,
        artifacts=files,
        complete=published is not None and bool(files or elsewhere) and published.complete,
    )
    if state is TaskStatus.CANCELLED:
        return pipeline.as_cancelled(result)
    if not error:
        return result
    return replace(
        result,
        error=error.message,
        error_class=ErrorClass(error.class_),
        reason=Reason(error.reason),
    )


def _parts_of(task_id: str) -> str:
    """What the names of a ScanPlan's ConfigMaps begin with."""
    return f"{task_id}-endpoints-"


def _parts(targets: tuple[str, ...]) -> list[str]:
    """The endpoints as text, one a line, in parts that fit into a ConfigMap."""
    parts: list[str] = []
    lines: list[str] = []
    size = 0
    for target in targets:
        if size + len(target) + 1 > CONFIG_MAP_BYTES:
            parts.append("".join(lines))
            lines, size = [], 0
        lines.append(f"{target}\n")
        size += len(target) + 1
    return [*parts, "".join(lines)]
