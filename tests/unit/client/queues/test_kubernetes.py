"""The Kubernetes queue without a cluster: statuses, manifests and ConfigMaps are built, and what is missing is said."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from scanplan.api.documents.words import ErrorClass
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.client import models, pipeline, settings
from scanplan.client.cluster.kubernetes_api import Conflict, KubernetesApi, Taken
from scanplan.client.errors import QueueUnavailable
from scanplan.client.models import ScanPlan, TaskStatus
from scanplan.client.queues import kubernetes as kubernetes_queue
from scanplan.client.queues.kubernetes import KubernetesTaskQueue
from scanplan.kube.objects import Object

ENDPOINTS = [f"https://host-{number}.example.com/{'x' * 1_000}" for number in range(1_200)]


def plan(**fields: object) -> ScanPlan:
    return ScanPlan(**{"run_id": "r", "project_id": "p", "endpoints": ["a.example"], "templates": ["http/"], **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_is_a_status(phase: Phase) -> None:
    metadata = {"generation": 2}
    seen = {"metadata": metadata, "status": {"observedGeneration": 2, "phase": phase.value}}
    assert kubernetes_queue.status_of(seen).is_terminal == phase.is_terminal
    unseen = {"metadata": metadata, "status": {"observedGeneration": 1, "phase": phase.value}}
    assert kubernetes_queue.status_of(unseen) is TaskStatus.PENDING
    assert (
        kubernetes_queue.status_of({"metadata": metadata, "status": {"observedGeneration": -1}}) is TaskStatus.PENDING
    )


@pytest.mark.parametrize("reason", ["TargetDenied", "OfALaterVersion"])
@pytest.mark.parametrize("error_class", ["Fatal", "OfALaterVersion"])
def test_an_error_of_a_later_version_is_still_an_error(reason: str, error_class: str) -> None:
    """Lost otherwise: why a task failed, where the operator is newer than its client."""
    error = {"class": error_class, "reason": reason, "message": "it failed"}
    failed = {
        "metadata": {"name": "nightly", "generation": 1},
        "spec": {"endpoints": ["a.example"]},
        "status": {"observedGeneration": 1, "phase": "Failed", "error": error},
    }
    told = kubernetes_queue.result_of(failed).task_error
    assert told is not None
    assert told.message == "it failed"
    assert told.reason is (Reason.TARGET_DENIED if reason == "TargetDenied" else Reason.UNKNOWN_ERROR)
    assert told.error_class is (ErrorClass.FATAL if error_class == "Fatal" else ErrorClass.UNKNOWN)


LONG = plan(endpoints=ENDPOINTS)


def test_long_lists_are_cut_into_config_maps_whole() -> None:
    made = kubernetes_queue.manifest(LONG, settings.load_settings())
    spec = made["spec"]
    parts = kubernetes_queue.endpoint_parts(LONG, {**made, "metadata": {**made["metadata"], "uid": "u"}})
    assert "endpoints" not in spec
    names = [source["configMapKeyRef"]["name"] for source in spec["endpointsFrom"]]
    assert names == [part["metadata"]["name"] for part in parts]
    assert len(parts) > 1
    assert sorted("".join(part["data"]["endpoints"] for part in parts).split()) == sorted(ENDPOINTS)
    assert all(len(part["data"]["endpoints"]) <= kubernetes_queue.CONFIG_MAP_BYTES for part in parts)


class Cluster:
    """An API server with the plan of an earlier submission, which may have been deleted. Its ConfigMaps are still there."""

    def __init__(self, old: Object, *, deleted: bool) -> None:
        self.plan = None if deleted else old
        self.config_maps = {part["metadata"]["name"]: part for part in kubernetes_queue.endpoint_parts(LONG, old)}
        self.made: list[Object] = []

    def create_plan(self, manifest: Object) -> Object:
        if self.plan is not None:
            raise Taken("it exists")
        self.plan = with_uid(manifest, "new")
        return self.plan

    def get_plan(self, _name: str) -> Object:
        assert self.plan is not None
        return self.plan

    def ensure_config_map(self, manifest: Object) -> None:
        self.made.append(self.config_maps.setdefault(manifest["metadata"]["name"], manifest))


def with_uid(manifest: Object, uid: str) -> Object:
    return {**manifest, "metadata": {**manifest["metadata"], "uid": uid, "generation": 1}, "status": {}}


@pytest.mark.parametrize("deleted", [True, False])
def test_the_lists_of_a_plan_are_its_own(deleted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: the lists of a plan that was deleted and submitted again. They are removed with the old one."""
    queue = KubernetesTaskQueue(settings.load_settings())
    cluster = Cluster(with_uid(kubernetes_queue.manifest(LONG, settings.load_settings()), "old"), deleted=deleted)
    monkeypatch.setattr(queue, "_api", cluster)
    for _ in range(2):
        queue.submit_task("scan", models.payload_of(LONG))
    owners = {part["metadata"]["ownerReferences"][0]["uid"] for part in cluster.made}
    assert owners == ({"new"} if deleted else {"old"})
    assert cluster.plan is not None
    named = [source["configMapKeyRef"]["name"] for source in cluster.plan["spec"]["endpointsFrom"]]
    assert [part["metadata"]["name"] for part in cluster.made] == named * 2


def test_a_cluster_that_is_away_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(QueueUnavailable, match="no cluster"):
        KubernetesTaskQueue(settings.load_settings()).get_task_status("scan-0")
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}
    context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
    configuration = {
        "clusters": [cluster],
        "contexts": [context],
        "current-context": "x",
        "users": [{"name": "u", "user": {}}],
    }
    (tmp_path / "config").write_text(yaml.safe_dump(configuration))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    queue = KubernetesTaskQueue(settings.load_settings())
    with pytest.raises(QueueUnavailable, match="can't be reached"):
        queue.submit_task("scan", models.dump(plan()))


def test_a_quota_that_others_change_too_is_no_object_that_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: a part of a plan's endpoints, for which the plan waits for ever."""
    answers: list[Exception | None] = [Conflict("quota"), Conflict("quota"), None]
    api, slept = KubernetesApi(), list[float]()

    def call(*_: object) -> Object:
        if answer := answers.pop(0):
            raise answer
        return {}

    monkeypatch.setattr(api, "_call", call)
    monkeypatch.setattr(KubernetesApi, "namespace", "team")
    monkeypatch.setattr(time, "sleep", slept.append)
    api.ensure_config_map({})
    assert (answers, len(slept)) == ([], 2)
    answers += [Taken("it exists")]
    api.ensure_config_map({})
    answers += [Conflict("quota")] * 100
    with pytest.raises(QueueUnavailable, match="quota"):
        api.ensure_config_map({})
    answers[:] = [Conflict("quota"), Taken("it exists")]
    with pytest.raises(Taken):
        api.create_plan({})


def test_a_claim_that_can_only_be_read_costs_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Lost otherwise: each result, where a claim that scan pods write is mounted for a program of another user."""
    monkeypatch.setenv("SCANPLAN_DATA_DIRECTORY", str(tmp_path))
    ended = {
        "metadata": {
            "name": "scan-0",
            "namespace": "team",
            "generation": 1,
            "creationTimestamp": "2026-11-27T00:00:00Z",
        },
        "spec": {"runId": "r"},
        "status": {
            "observedGeneration": 1,
            "phase": "Completed",
            "artifacts": {
                "path": "ui_projects/r/tasks/0",
                "claimName": "c",
                "complete": True,
                "files": [{"name": "nuclei_output.ndjson", "bytes": 1, "sha256": "0" * 64}],
            },
            "findings": {"total": 1, "high": 1},
        },
    }
    queue = KubernetesTaskQueue(settings.load_settings())
    monkeypatch.setattr(queue, "_plan", lambda _: ended)

    def refuses(error: OSError) -> Callable[..., None]:
        def publish(*_: object) -> None:
            raise error

        return publish

    for passing in (QueueUnavailable("the store is locked"), OSError(errno.ENOSPC, "full")):
        monkeypatch.setattr(pipeline, "publish_once", refuses(passing))
        with pytest.raises(type(passing)):
            queue.get_task_result("scan-0")
    monkeypatch.setattr(pipeline, "publish_once", refuses(PermissionError(errno.EACCES, "ui_projects/r")))
    result = queue.get_task_result("scan-0")
    assert result is not None
    assert result["status"] == "completed"
    assert "the findings of scan-0 are in no project's store" in caplog.text


def test_a_plan_that_conflicts_with_a_quota_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = KubernetesTaskQueue(settings.load_settings())
    slept, answers = list[float](), [Conflict("quota"), Conflict("quota")]

    def call(_api: KubernetesApi, _method: str, _path: str, manifest: Object) -> Object:
        if answers:
            raise answers.pop()
        return with_uid(manifest, "new")

    monkeypatch.setattr(KubernetesApi, "_call", call)
    monkeypatch.setattr(KubernetesApi, "namespace", "team")
    monkeypatch.setattr(time, "sleep", slept.append)
    assert queue.submit_task("scan", models.payload_of(plan()))
    assert len(slept) == 2
