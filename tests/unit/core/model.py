"""A small honest model of what the operator talks to: an API server, its garbage collector, and the Job controller.

It keeps the rules on which the promises rest (names are unique while an object is there, preconditions on UID and
resourceVersion, ownerReferences, what of a Job may change, podFailurePolicy, TTL) and nothing else. Everything happens in steps
that a test chooses, and every watch hears of a change only when the test delivers it.
"""

from __future__ import annotations

import contextlib
import json
import pickle
from collections.abc import AsyncIterator, Coroutine, Generator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from kubernetes.aio.client import ApiException

from scanplan.api import labels
from scanplan.api.documents.report import FindingCounts, MergedResult, ShardReport, TaskError
from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import ErrorClass, Outcome, encode
from scanplan.api.exit_codes import ExitCode
from scanplan.api.times import format_time
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.core.planning.keys import key_digest
from scanplan.core.planning.sources import Kind, Reference
from scanplan.core.planning.task import input_digest
from scanplan.kube.api import Api
from scanplan.kube.resources import PLANS, Resource

Object = dict[str, Any]
T = TypeVar("T")

NAMESPACE = "team"
LIVE_JOB_FIELDS = {"suspend", "parallelism", "activeDeadlineSeconds", "ttlSecondsAfterFinished"}
"""What the API server lets change on a Job that has started (pkg/apis/batch/validation)."""

ENDINGS: dict[str, tuple[ExitCode | int, ErrorClass | None, Reason | None]] = {
    "ok": (ExitCode.OK, None, None),
    "temporary": (ExitCode.TEMPORARY, ErrorClass.TEMPORARY, Reason.NETWORK_UNAVAILABLE),
    "unknown": (ExitCode.UNKNOWN, ErrorClass.UNKNOWN, Reason.UNKNOWN_ERROR),
    "shard-fatal": (ExitCode.SHARD_FATAL, ErrorClass.UNKNOWN, Reason.UNKNOWN_ERROR),
    "fatal": (ExitCode.FATAL, ErrorClass.FATAL, Reason.NO_TEMPLATES_LOADED),
    "interrupted": (ExitCode.INTERRUPTED, ErrorClass.TEMPORARY, Reason.INTERRUPTED),
    "killed": (137, None, None),
}


def copied(value: T) -> T:
    """As `copy.deepcopy`, in a fifth of its time: lives copy some hundred thousand objects."""
    copy: T = pickle.loads(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))  # noqa: S301 - what was pickled a moment ago
    return copy


class Violation(AssertionError):
    """A promise was broken."""


class Turn:
    """A point at which a request can be held up."""

    def __await__(self) -> Generator[None, None, None]:
        yield None


class Cluster:
    """All objects of one namespace, and their time."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
        self.plans: dict[str, Object] = {}
        self.jobs: dict[str, Object] = {}
        self.pods: dict[str, Object] = {}
        self.cached_pods: list[Object] = []
        """As they once were."""
        self.watches: list[list[tuple[str, str, Object]]] = []
        self.writes = 0
        self.published: dict[str, set[int]] = {}
        """Shards on the claim by task."""
        self.uids: dict[str, list[str]] = {}
        """UIDs of all scan Jobs that there have been, by key."""
        self._version = 100
        self._counter = 0

    # plans, as users write them

    def create_plan(self, name: str, spec: Object) -> None:
        self.plans[name] = {
            "metadata": {
                "namespace": NAMESPACE,
                "name": name,
                "uid": self._uid("plan"),
                "generation": 1,
                "resourceVersion": self._next_version(),
                "creationTimestamp": format_time(self.now),
            },
            "spec": copied(spec),
            "status": {"observedGeneration": -1, "phase": "Pending"},
        }
        self._tell("plan", "ADDED", self.plans[name])

    def edit_plan(self, name: str, **changes: Any) -> None:
        plan = self.plans[name]
        if {**plan["spec"], **changes} == plan["spec"]:
            return
        plan["spec"].update(copied(changes))
        plan["metadata"]["generation"] += 1
        self._changed("plan", plan)

    def delete_plan(self, name: str) -> None:
        self._tell("plan", "DELETED", self.plans.pop(name))

    # requests of the operator

    def get_plan(self, name: str) -> Object:
        if name not in self.plans:
            raise refusal(404)
        return copied(self.plans[name])

    def patch_status(self, name: str, patch: Object) -> Object:
        plan = self.plans.get(name)
        if plan is None:
            raise refusal(404)
        if patch["metadata"]["resourceVersion"] != plan["metadata"]["resourceVersion"]:
            raise refusal(409)
        self.writes += 1
        before = copied(plan["status"])
        merge(plan["status"], patch["status"])
        if plan["status"] != before:
            self._changed("plan", plan)
        return copied(plan)

    def create_job(self, manifest: Object) -> Object:
        name, key = manifest["metadata"]["name"], manifest["metadata"]["annotations"][labels.TASK_KEY]
        self.writes += 1
        if name in self.jobs:
            raise refusal(409)
        collects = manifest["metadata"]["labels"][labels.COMPONENT] == labels.COMPONENT_COLLECTOR
        if not collects:
            self._check_alone(key)
        job = copied(manifest)
        job["metadata"].update(
            uid=self._uid("job"), resourceVersion=self._next_version(), creationTimestamp=format_time(self.now)
        )
        job["status"] = {}
        job["model"] = {"failures": {}, "succeeded": set(), "failed": set(), "counted": set()}
        self.jobs[name] = job
        if not collects:
            self.uids.setdefault(key, []).append(job["metadata"]["uid"])
        self._tell("job", "ADDED", job)
        return self.job_body(job)

    def _check_alone(self, key: str) -> None:
        for other in self.jobs.values():
            annotations = other["metadata"]["annotations"]
            if annotations[labels.TASK_KEY] == key and is_scan(other) and not is_finished(other):
                raise Violation(f"a second live Job for {key}")

    def get_job(self, name: str) -> Object:
        if name not in self.jobs:
            raise refusal(404)
        return self.job_body(self.jobs[name])

    def patch_job(self, name: str, patch: Object) -> Object:
        job = self.jobs.get(name)
        if job is None:
            raise refusal(404)
        metadata, changes = job["metadata"], copied(patch.get("metadata", {}))
        for precondition in ("uid", "resourceVersion"):
            if changes.pop(precondition, metadata[precondition]) != metadata[precondition]:
                raise refusal(409)
        self.writes += 1
        if forbidden := set(patch.get("spec", {})) - LIVE_JOB_FIELDS:
            raise Violation(f"{forbidden} of a Job can't be changed")
        before = copied(job)
        for reference in changes.pop("ownerReferences", ()):
            others = [each for each in metadata["ownerReferences"] if each["uid"] != reference["uid"]]
            metadata["ownerReferences"] = others if reference.get("$patch") == "delete" else [*others, reference]
        merge(metadata, changes)
        merge(job["spec"], patch.get("spec", {}))
        if job != before:
            self._changed("job", job)
        return self.job_body(job)

    def delete_job(self, name: str, uid: str, version: int | None = None) -> None:
        """In the foreground: the Job stays until its pods are gone."""
        job = self.jobs.get(name)
        if job is None:
            raise refusal(404)
        changed = version is not None and job["metadata"]["resourceVersion"] != str(version)
        if job["metadata"]["uid"] != uid or changed:
            raise refusal(409)
        self.writes += 1
        if "deletionTimestamp" not in job["metadata"]:
            job["metadata"]["deletionTimestamp"] = format_time(self.now)
            self._changed("job", job)

    def list_jobs(self) -> list[Object]:
        return [self.job_body(job) for job in self.jobs.values()]

    def list_plans(self) -> list[Object]:
        return copied(list(self.plans.values()))

    def list_pods(self, task: str, cached: bool = False) -> list[Object]:
        pods = self.cached_pods if cached else list(self.pods.values())
        return copied([pod for pod in pods if pod["metadata"]["labels"][labels.TASK] == task])

    def refresh_cache(self) -> None:
        """The cache of the API server that the operator asks has caught up."""
        self.cached_pods = copied(list(self.pods.values()))

    # what happens by itself, a step at a time

    def remove_job(self, name: str) -> None:
        """In the background: the Job is gone at once, its pods are told to end."""
        job = self.jobs.pop(name)
        for pod in self._pods_of(job):
            self._terminate(pod)
        self._tell("job", "DELETED", job)

    def collect_garbage(self) -> None:
        uids = {plan["metadata"]["uid"] for plan in self.plans.values()}
        for job in list(self.jobs.values()):
            owners = job["metadata"]["ownerReferences"]
            living = [owner for owner in owners if owner["uid"] in uids]
            if not living:
                self.remove_job(job["metadata"]["name"])
            elif len(living) < len(owners):
                job["metadata"]["ownerReferences"] = living
                self._changed("job", job)

    def expire(self) -> None:
        """The TTL controller."""
        for job in list(self.jobs.values()):
            ended = condition(job, "Complete") or condition(job, "Failed")
            if ended:
                age = self.now - datetime.fromisoformat(ended["lastTransitionTime"])
                if age >= timedelta(seconds=job["spec"]["ttlSecondsAfterFinished"]):
                    self.remove_job(job["metadata"]["name"])

    def sync_jobs(self) -> None:
        """The Job controller, once over all Jobs."""
        for job in list(self.jobs.values()):
            before = copied(job)
            if not self._sync(job):
                self._tell("job", "DELETED", self.jobs.pop(job["metadata"]["name"]))
            elif job != before:
                self._changed("job", job)

    def start_pod(self, name: str) -> None:
        """The kubelet has the pod's container running."""
        if self.pods[name]["status"]["phase"] == "Pending":
            self.pods[name]["status"]["phase"] = "Running"

    def end_pod(self, name: str, ending: str) -> None:
        """The pod's container ends; a pod that was told to end is interrupted."""
        pod = self.pods[name]
        if not is_alive(pod):
            return
        if "deletionTimestamp" in pod["metadata"]:
            ending = "interrupted"
        code, error_class, reason = ENDINGS[ending]
        report = self._report(pod, code, error_class, reason)
        message = encode(report).decode() if report else ""
        terminated = {"exitCode": int(code), "reason": "Completed" if code == 0 else "Error", "message": message}
        pod["status"] |= {
            "phase": "Succeeded" if code == 0 else "Failed",
            "containerStatuses": [{"name": labels.CONTAINER, "state": {"terminated": terminated}}],
        }
        if "deletionTimestamp" in pod["metadata"] and not any(
            job["metadata"]["uid"] == pod["model"]["owner"] for job in self.jobs.values()
        ):
            del self.pods[name]

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def job_body(self, job: Object) -> Object:
        return copied({name: value for name, value in job.items() if name != "model"})

    # the Job controller

    def _sync(self, job: Object) -> bool:
        """One look at one Job; False: it is to be removed, its pods are gone."""
        spec, status, model = job["spec"], job["status"], job["model"]
        pods = self._pods_of(job)
        for pod in pods:
            if not is_alive(pod):
                self._count(job, pod)
                if "deletionTimestamp" in pod["metadata"]:
                    del self.pods[pod["metadata"]["name"]]
        pods = [pod for pod in pods if is_alive(pod)]
        if "deletionTimestamp" in job["metadata"]:
            for pod in pods:
                self._terminate(pod)
            return bool(pods)
        if not is_finished(job):
            self._decide(job, pods)
        pods = [pod for pod in self._pods_of(job) if is_alive(pod)]
        active = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        status.update(
            active=len(active),
            ready=len([pod for pod in active if pod["status"]["phase"] == "Running"]),
            terminating=len(pods) - len(active),
            succeeded=len(model["succeeded"]),
            failed=sum(model["failures"].values()),
            failedIndexes=",".join(map(str, sorted(model["failed"]))) if spec.get("completionMode") else "",
        )
        return True

    def _decide(self, job: Object, pods: list[Object]) -> None:
        spec, status, model = job["spec"], job["status"], job["model"]
        completions = spec.get("completions", 1)
        started = status.get("startTime")
        if not condition(job, "FailureTarget"):
            if started and self.now - datetime.fromisoformat(started) > timedelta(
                seconds=spec["activeDeadlineSeconds"]
            ):
                self._set(job, "FailureTarget", "DeadlineExceeded")
            elif model["failed"] and len(model["failed"] | model["succeeded"]) == completions:
                self._set(
                    job, "FailureTarget", "FailedIndexes" if spec.get("completionMode") else "BackoffLimitExceeded"
                )
        target = condition(job, "FailureTarget")
        if target or spec.get("suspend"):
            for pod in pods:
                self._terminate(pod)
            if not target:
                status.pop("startTime", None)
                self._set(job, "Suspended", "JobSuspended")
            elif not pods:
                self._set(job, "Failed", target["reason"])
            return
        if len(model["succeeded"]) == completions and not pods:
            status["completionTime"] = format_time(self.now)
            self._set(job, "Complete", "CompletionsReached")
            return
        if condition(job, "Suspended"):
            status["conditions"] = []
        status.setdefault("startTime", format_time(self.now))
        busy = {pod["model"]["index"] for pod in pods} | model["succeeded"] | model["failed"]
        free = [index for index in range(completions) if index not in busy]
        for index in free[: max(0, spec.get("parallelism", 1) - len(pods))]:
            self._create_pod(job, index)

    def _count(self, job: Object, pod: Object) -> None:
        """The end of a pod, by podFailurePolicy's rules in their order."""
        spec, model, name, index = job["spec"], job["model"], pod["metadata"]["name"], pod["model"]["index"]
        if name in model["counted"]:
            return
        model["counted"].add(name)
        code = pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"]
        if code == 0:
            model["succeeded"].add(index)
            return
        action = next(
            (
                rule["action"]
                for rule in spec.get("podFailurePolicy", {}).get("rules", ())
                if code in rule.get("onExitCodes", {}).get("values", ())
            ),
            "Count",
        )
        if action == "Ignore" or is_finished(job):
            return
        model["failures"][index] = model["failures"].get(index, 0) + 1
        if action == "FailJob" and not condition(job, "FailureTarget"):
            self._set(job, "FailureTarget", "PodFailurePolicy")
        elif action == "FailIndex" or model["failures"][index] > spec.get(
            "backoffLimitPerIndex", spec.get("backoffLimit", 6)
        ):
            model["failed"].add(index)

    def _create_pod(self, job: Object, index: int) -> None:
        self._counter += 1
        name = f"{job['metadata']['name']}-{index}-{self._counter}"
        template = job["spec"]["template"]["metadata"]
        self.pods[name] = {
            "metadata": {
                "name": name,
                "creationTimestamp": format_time(self.now),
                "labels": {**template["labels"], "batch.kubernetes.io/controller-uid": job["metadata"]["uid"]},
                "annotations": {"batch.kubernetes.io/job-completion-index": str(index)},
            },
            "status": {"phase": "Pending"},
            "model": {"owner": job["metadata"]["uid"], "index": index, "job": job},
        }

    # the runner

    def _report(
        self, pod: Object, code: int, error_class: ErrorClass | None, reason: Reason | None
    ) -> ShardReport | None:
        job, index = pod["model"]["job"], pod["model"]["index"]
        key = job["metadata"]["annotations"][labels.TASK_KEY]
        published = self.published.setdefault(key, set())
        collects = not is_scan(job)
        if code == 0 and not collects:
            published.add(index)
        if code == 137:
            return None
        task = msgspec.json.decode(
            job["spec"]["template"]["metadata"]["annotations"][labels.TASK_DOCUMENT], type=TaskDocument
        )
        merged = None
        if code == 0 and (collects or len(published) == task.shards):
            merged = MergedResult(
                path=f"ui_projects/{task.run_id}/tasks/{key_digest(key)}",
                complete=len(published) == task.shards,
                shards=len(published),
                endpoints_scanned=len(published),
                endpoints_unreachable=0,
                findings=FindingCounts(high=len(published)),
                files=(),
            )
        error = None
        if error_class and reason:
            error = TaskError(error_class=error_class, reason=reason, message="as the test wants it")
        outcome = Outcome.COMPLETE if code == 0 else Outcome.FAILED
        if code == ExitCode.INTERRUPTED:
            outcome = Outcome.PARTIAL
        return ShardReport(shard=index, attempt=1, outcome=outcome, error=error, merged=merged)

    # objects

    def _pods_of(self, job: Object) -> list[Object]:
        return [pod for pod in self.pods.values() if pod["model"]["owner"] == job["metadata"]["uid"]]

    def _terminate(self, pod: Object) -> None:
        if is_alive(pod):
            pod["metadata"].setdefault("deletionTimestamp", format_time(self.now))
        elif not any(job["metadata"]["uid"] == pod["model"]["owner"] for job in self.jobs.values()):
            self.pods.pop(pod["metadata"]["name"])

    def _set(self, job: Object, kind: str, reason: str) -> None:
        job["status"].setdefault("conditions", []).append(
            {
                "type": kind,
                "status": "True",
                "reason": reason,
                "message": reason,
                "lastTransitionTime": format_time(self.now),
            }
        )

    def _changed(self, kind: str, body: Object) -> None:
        body["metadata"]["resourceVersion"] = self._next_version()
        self._tell(kind, "MODIFIED", body)

    def _tell(self, kind: str, change: str, body: Object) -> None:
        if change == "DELETED":
            body["metadata"]["resourceVersion"] = self._next_version()
        for watch in self.watches:
            watch.append((kind, change, self.job_body(body)))

    def _next_version(self) -> str:
        self._version += 1
        return str(self._version)

    def _uid(self, kind: str) -> str:
        self._counter += 1
        return f"{kind}-{self._counter}"


class ModelApi(Api):
    """The operator's requests to the model; each can be held up before it has an effect, and before its answer arrives."""

    def __init__(self, cluster: Cluster, alone: bool = False) -> None:
        """`alone`: there is no other operator, so that what counts is what there is, and not who has looked."""
        self.cluster = cluster
        self.alone = alone
        self.work: object = None
        """Who is asking: what one piece of work has seen doesn't excuse another one."""
        self.alive_when_listed: dict[tuple[object, str], bool] = {}
        self.had_its_result: dict[tuple[object, str], str] = {}
        """By the plan's UID: the key of the result that it had when it was last read."""

    async def create_job(self, namespace: str, manifest: Object) -> Object:
        assert namespace == NAMESPACE
        await Turn()
        name = manifest["metadata"]["name"]
        new = is_scan(manifest) and name not in self.cluster.jobs
        key = manifest["metadata"]["annotations"][labels.TASK_KEY]
        if new and self.alone:
            self._check_new(name, key, manifest["metadata"]["ownerReferences"][0]["uid"])
        elif new:
            self._check_looks(name, key, manifest["metadata"]["ownerReferences"][0]["uid"])
        job = self.cluster.create_job(manifest)
        await Turn()
        return job

    def _check_new(self, name: str, key: str, owner: str) -> None:
        if any(is_alive(pod) for pod in self.cluster.list_pods(name)):
            raise Violation(f"{name} is made while pods of its task are alive")
        for plan in self.cluster.plans.values():
            if plan["metadata"]["uid"] == owner and result_of(plan) == key:
                raise Violation(f"{key} is scanned again, although its plan has its result")

    def _check_looks(self, name: str, key: str, owner: str) -> None:
        if self.alive_when_listed.get((self.work, name), True):
            raise Violation(f"{name} is made without a look at what pods of its task are still alive")
        if self.had_its_result.get((self.work, owner), key) == key:
            raise Violation(f"{key} is scanned again, or without a look at whether its plan has its result")

    async def get_job(self, namespace: str, name: str) -> Object:
        assert namespace == NAMESPACE
        await Turn()
        job = self.cluster.get_job(name)
        await Turn()
        return job

    async def patch_job(self, namespace: str, name: str, patch: Object) -> Object:
        assert namespace == NAMESPACE
        await Turn()
        job = self.cluster.patch_job(name, patch)
        await Turn()
        return job

    async def delete_job(self, namespace: str, name: str, uid: str, version: int | None = None) -> None:
        assert namespace == NAMESPACE
        await Turn()
        self.cluster.delete_job(name, uid, version)
        await Turn()

    def finish(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Let requests go through one after the other, with nothing between them."""
        with contextlib.suppress(StopIteration):
            while True:
                coroutine.send(None)

    async def each_job(self, namespace: str | None) -> AsyncIterator[Object]:
        assert namespace is None
        await Turn()
        for job in self.cluster.list_jobs():
            yield job

    async def each_plan(self, namespace: str | None) -> AsyncIterator[Object]:
        assert namespace is None
        await Turn()
        for plan in self.cluster.list_plans():
            yield plan

    async def each_living_pod(self, namespace: str | None) -> AsyncIterator[Object]:
        assert namespace is None
        await Turn()
        for pod in copied([pod for pod in self.cluster.pods.values() if is_alive(pod)]):
            pod["metadata"]["namespace"] = NAMESPACE
            yield pod

    async def each_pod(self, namespace: str, task: str, cached: bool = False) -> AsyncIterator[Object]:
        assert namespace == NAMESPACE
        await Turn()
        pods = self.cluster.list_pods(task, cached)
        self.alive_when_listed[self.work, task] = any(is_alive(pod) for pod in pods)
        await Turn()
        for pod in pods:
            yield pod

    async def workload_of(self, namespace: str, job_uid: str) -> None:
        """There is no Kueue."""
        assert (namespace, bool(job_uid)) == (NAMESPACE, True)
        await Turn()

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        assert (resource, namespace) == (PLANS, NAMESPACE)
        await Turn()
        plan = self.cluster.get_plan(name)
        self.had_its_result[self.work, plan["metadata"]["uid"]] = result_of(plan)
        await Turn()
        return plan

    async def patch_status(self, resource: Resource, namespace: str, name: str, patch: Object) -> Object:
        assert (resource, namespace) == (PLANS, NAMESPACE)
        await Turn()
        plan = self.cluster.patch_status(name, patch)
        await Turn()
        return plan

    async def create_event(self, namespace: str, manifest: Object) -> None:
        assert namespace == NAMESPACE
        await Turn()
        assert manifest["regarding"]["kind"] == labels.KIND
        self.cluster.writes += 1

    async def get_input(self, namespace: str, reference: Reference, content: bool) -> bytes:
        assert namespace == NAMESPACE
        assert reference.kind is Kind.CLAIM
        assert content
        metadata = {"name": reference.name, "uid": "claim", "resourceVersion": "1"}
        return json.dumps({"metadata": metadata, "spec": {"accessModes": ["ReadWriteMany"]}}).encode()


def result_of(plan: Object) -> str:
    """The key of the result that a plan has; empty: it has none, or has failed and was edited since, so it is tried again."""
    status = plan["status"]
    if "completionTime" not in status:
        return ""
    edited = status["inputDigest"] != input_digest(ScanPlanSpec.model_validate(plan["spec"]))
    return "" if edited and status["phase"] == "Failed" else str(status["taskKey"])


def refusal(status: int) -> ApiException:
    return ApiException(status=status, reason={404: "NotFound", 409: "Conflict"}[status])


def merge(target: Object, patch: Object) -> None:
    """RFC 7386, in place."""
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        elif isinstance(value, dict) and isinstance(target.get(name), dict):
            merge(target[name], value)
        else:
            target[name] = copied(value)


def condition(job: Object, kind: str) -> Object | None:
    return next((each for each in job["status"].get("conditions", ()) if each["type"] == kind), None)


def is_finished(job: Object) -> bool:
    return bool(condition(job, "Complete") or condition(job, "Failed"))


def is_scan(job: Object) -> bool:
    return bool(job["metadata"]["labels"][labels.COMPONENT] == labels.COMPONENT_SCANNER)


def is_alive(pod: Object) -> bool:
    return pod["status"]["phase"] in {"Pending", "Running"}
