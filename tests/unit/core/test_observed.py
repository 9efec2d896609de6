"""What is read of Jobs and pods: samples as a 1.37 API server gives them, shortened where nothing is read."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from scanplan.api import labels
from scanplan.api.documents.words import encode
from scanplan.api.times import format_time, parse_time, required_time
from scanplan.core.observed.jobs import MAX_OWNERS, JobView, indexes, job_view
from scanplan.core.observed.pods import PodView, pod_view
from tests.unit.core.objects import report

JOB: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {
        "name": "scan-d12dd20cc66ce02340c4",
        "namespace": "team",
        "uid": "1b8f5e0a-5c1d-4a54-8f0e-0d6a0a3c7f11",
        "resourceVersion": "4711",
        "generation": 1,
        "creationTimestamp": "2026-11-24T05:59:00Z",
        "labels": {
            "app.kubernetes.io/component": "scanner",
            "app.kubernetes.io/managed-by": "scanplan-operator",
            "scanplan.dev/task": "scan-d12dd20cc66ce02340c4",
        },
        "annotations": {
            "scanplan.dev/task-key": "scan:acme:nightly:a:b:c",
            "scanplan.dev/creator": "plan-1",
            "scanplan.dev/endpoints": "12",
            "scanplan.dev/next-run-digest": "0123456789abcdef",
            "scanplan.dev/first-seen": "2026-11-24T05:58:59Z",
            "pin.scanplan.dev/plan-1": "1111111111111111",
            "pin.scanplan.dev/plan-2": "2222222222222222",
        },
        "ownerReferences": [
            {"apiVersion": "scanplan.dev/v1alpha1", "kind": "ScanPlan", "name": "alpha", "uid": "plan-1"},
            {"apiVersion": "scanplan.dev/v1alpha1", "kind": "ScanPlan", "name": "beta", "uid": "plan-2"},
            {"apiVersion": "apps/v1", "kind": "Deployment", "name": "scanplan", "uid": "somebody-else"},
        ],
    },
    "spec": {
        "completionMode": "Indexed",
        "completions": 8,
        "parallelism": 4,
        "activeDeadlineSeconds": 7200,
        "ttlSecondsAfterFinished": 86400,
        "suspend": False,
        "template": {
            "spec": {
                "containers": [{"name": "scanner", "image": "scanner:1"}],
                "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": "results"}}],
            }
        },
    },
    "status": {
        "active": 3,
        "ready": 2,
        "terminating": 1,
        "succeeded": 2,
        "failed": 5,
        "completedIndexes": "0,4",
        "failedIndexes": "1-2,7",
        "startTime": "2026-11-24T05:59:01Z",
        "uncountedTerminatedPods": {},
        "conditions": [
            {
                "type": "FailureTarget",
                "status": "True",
                "reason": "DeadlineExceeded",
                "message": "Job was active longer than specified deadline",
                "lastTransitionTime": "2026-11-24T06:01:00Z",
            },
            {
                "type": "Suspended",
                "status": "False",
                "reason": "JobResumed",
                "lastTransitionTime": "2026-11-24T05:59:01Z",
            },
            {"type": "SomethingThatKubernetes1.45Adds", "status": "True"},
        ],
    },
}

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "scan-d12dd20cc66ce02340c4-3-x7f2k",
        "namespace": "team",
        "creationTimestamp": "2026-11-24T05:59:02Z",
        "labels": {
            "batch.kubernetes.io/controller-uid": "1b8f5e0a-5c1d-4a54-8f0e-0d6a0a3c7f11",
            "app.kubernetes.io/component": "scanner",
        },
        "annotations": {"batch.kubernetes.io/job-completion-index": "3"},
    },
    "status": {
        "phase": "Succeeded",
        "conditions": [{"type": "PodScheduled", "status": "True"}],
        "containerStatuses": [
            {"name": "istio-proxy", "state": {"running": {"startedAt": "2026-11-24T05:59:03Z"}}},
            {
                "name": "scanner",
                "state": {
                    "terminated": {"exitCode": 0, "reason": "Completed", "message": encode(report(3)).decode()},
                },
            },
        ],
    },
}


def job(change: dict[str, Any]) -> JobView:
    return job_view(_changed(JOB, change))


def pod(change: dict[str, Any]) -> PodView:
    return pod_view(_changed(POD, change))


def _changed(sample: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """A copy with changes by dotted path; None removes."""
    result = copy.deepcopy(sample)
    for path, value in change.items():
        *way, last = path.split("/")
        node: Any = result
        for step in way:
            node = node[int(step)] if isinstance(node, list) else node[step]
        if value is None:
            del node[last]
        else:
            node[last] = value
    return result


def ended(**terminated: Any) -> dict[str, Any]:
    state = {"name": "scanner", "state": {"terminated": terminated}}
    return {"status/phase": "Failed", "status/containerStatuses": [state]}


def test_a_pod_that_has_ended_and_is_not_counted_yet_is_known() -> None:
    """Lost otherwise: "has no pod yet", said of a Job whose only pod has just ended."""
    assert not job({}).uncounted
    assert not job({"status/uncountedTerminatedPods": {"succeeded": []}}).uncounted
    assert job({"status/uncountedTerminatedPods": {"failed": ["1"]}}).uncounted


def test_a_job() -> None:
    view = job({})
    assert (view.namespace, view.name, view.resource_version) == ("team", "scan-d12dd20cc66ce02340c4", 4711)
    assert view.created == datetime(2026, 11, 24, 5, 59, tzinfo=UTC)
    assert view.managed
    assert not view.collector
    assert view.key == "scan:acme:nightly:a:b:c"
    assert view.owners == {"plan-1", "plan-2"}, "an owner of another kind is none of ours"
    assert view.pin_of("plan-2") == "2222222222222222"
    assert view.pin_of("plan-3") is None
    assert (view.image, view.claim, view.endpoint_count, view.completions) == ("scanner:1", "results", 12, 8)
    assert (view.active, view.ready, view.terminating, view.succeeded, view.failed_pods) == (3, 2, 1, 2, 5)
    assert view.failed_at == {1, 2, 7}
    assert view.failed_indexes == 3
    assert view.failure_target is not None
    assert view.failure_target.reason == "DeadlineExceeded"
    assert view.is_suspended is None, "a condition that is False is not there"
    assert not view.finished
    assert view.in_progress
    assert view.holds_slot


def test_a_job_that_was_just_made_has_nearly_nothing() -> None:
    view = job({"status": {}, "metadata/annotations": None, "metadata/ownerReferences": None, "metadata/labels": None})
    assert (view.active, view.failed_at, view.key, view.owners, view.start_time) == (
        0,
        frozenset(),
        None,
        frozenset(),
        None,
    )
    assert not view.managed


@pytest.mark.parametrize(
    ("change", "slot", "why"),
    [
        ({}, True, "at work"),
        ({"spec/suspend": True}, False, "suspended"),
        ({"metadata/deletionTimestamp": "2026-11-24T06:00:00Z"}, False, "on its way out"),
        ({"status/conditions": [{"type": "Failed", "status": "True"}]}, False, "failed: it holds no slot for ever"),
        ({"status/conditions": [{"type": "Complete", "status": "True"}]}, False, "complete"),
    ],
)
def test_which_jobs_hold_one_of_the_namespaces_slots(change: dict[str, Any], slot: bool, why: str) -> None:
    assert job(change).holds_slot is slot, why


@pytest.mark.parametrize(
    ("label", "value"), [(labels.COMPONENT, labels.COMPONENT_COLLECTOR), (labels.KUEUE_QUEUE, "main")]
)
def test_collectors_and_kueues_jobs_hold_no_slot(label: str, value: str) -> None:
    body = copy.deepcopy(JOB)
    body["metadata"]["labels"][label] = value
    assert not job_view(body).holds_slot


@pytest.mark.parametrize("kind", ["Complete", "Failed"])
def test_a_job_has_ended_by_complete_or_failed_whatever_the_reason(kind: str) -> None:
    view = job(
        {"status/conditions": [{"type": "SuccessCriteriaMet", "status": "True"}, {"type": kind, "status": "True"}]}
    )
    assert view.finished


@pytest.mark.parametrize("kind", ["SuccessCriteriaMet", "FailureTarget", "Suspended"])
def test_a_job_that_is_about_to_end_has_not_ended(kind: str) -> None:
    """Its pods may still be publishing."""
    assert not job({"status/conditions": [{"type": kind, "status": "True"}]}).finished


@pytest.mark.parametrize(
    "change",
    [
        {"metadata/annotations": {"scanplan.dev/endpoints": "many"}},
        {"metadata/annotations": {"scanplan.dev/endpoints": "²"}},
        {"metadata/annotations": {"scanplan.dev/task-parts": "-1"}},
        {"metadata/annotations": {"scanplan.dev/task-parts": "9" * 5000}},
        {"metadata/annotations": {"scanplan.dev/first-seen": "yesterday"}},
        {"metadata/annotations": {"scanplan.dev/first-seen": "2026-11-24"}},
        {"spec/template": {"spec": {"containers": [{}], "volumes": [{"name": "x"}]}}},
    ],
)
def test_nobody_can_stop_the_operator_by_labelling_a_job_as_ours(change: dict[str, Any]) -> None:
    view = job(change)
    assert view.endpoint_count is None or view.endpoint_count == 12
    assert view.document_parts == 0


def test_a_pod_that_has_published() -> None:
    view = pod({})
    assert (view.name, view.index, view.phase, view.exit_code) == (
        "scan-d12dd20cc66ce02340c4-3-x7f2k",
        3,
        "Succeeded",
        0,
    )
    assert view.job_uid == JOB["metadata"]["uid"]
    assert view.report == report(3), "the scanner's word counts, not that of a service mesh's proxy"
    assert not view.alive


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (ended(exitCode=137, reason="OOMKilled"), {"exit_code": 137, "reason": "OOMKilled", "report": None}),
        (ended(exitCode=1, reason="Error", message="Traceback …"), {"message": "Traceback …", "report": None}),
        (ended(exitCode=75, message='{"version":9}'), {"report": None}),
        (
            {"status": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}},
            {"reason": "Evicted", "message": "The node was low on resource: memory.", "exit_code": None},
        ),
        ({"status/conditions": [{"type": "DisruptionTarget", "status": "True"}]}, {"disrupted": True}),
        (
            {
                "status": {
                    "phase": "Pending",
                    "containerStatuses": [
                        {
                            "name": "scanner",
                            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}},
                        }
                    ],
                }
            },
            {"waiting_reason": "ImagePullBackOff", "waiting_message": "Back-off pulling image", "alive": True},
        ),
        (
            {
                "status": {
                    "phase": "Pending",
                    "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}],
                }
            },
            {"unschedulable": "0/3 nodes are available", "alive": True},
        ),
        ({"status/phase": "Unknown"}, {"alive": True}),
        ({"metadata/annotations": {"batch.kubernetes.io/job-completion-index": "x"}}, {"index": 0}),
        ({"metadata/annotations": None, "metadata/labels": None}, {"index": 0, "job_uid": ""}),
    ],
)
def test_what_is_read_of_pods(change: dict[str, Any], expected: dict[str, Any]) -> None:
    view = pod(change)
    assert {name: getattr(view, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("", set()), ("3", {3}), ("0-2", {0, 1, 2}), ("0-2,5,7-8", {0, 1, 2, 5, 7, 8})]
)
def test_indexes_of_a_job(text: str, expected: set[int]) -> None:
    assert indexes(text, 1_000) == expected


def test_times_are_read_and_written_as_the_api_does() -> None:
    assert format_time(required_time("2026-11-24T05:59:00Z")) == "2026-11-24T05:59:00Z"
    assert parse_time(None) is None


class TestBounds:
    """Anybody may make a Job or pod with our labels: a view of it is small, whatever is in it."""

    @pytest.mark.parametrize(
        "metadata",
        [
            {"annotations": {labels.TASK_KEY: "k" * 200_000}},
            {"annotations": {labels.CREATOR: "c" * 200_000, labels.NEXT_RUN_DIGEST: "h" * 200_000}},
            {"annotations": {f"{labels.PIN_PREFIX}{number}": "p" for number in range(3_000)}},
            {
                "ownerReferences": [
                    {"kind": labels.KIND, "apiVersion": labels.API_VERSION, "name": "x", "uid": f"uid-{number}"}
                    for number in range(10_000)
                ]
            },
            {
                "ownerReferences": [
                    {"kind": labels.KIND, "apiVersion": labels.API_VERSION, "name": "x", "uid": "u" * 100_000}
                ]
            },
        ],
        ids=["key", "texts", "pins", "owners", "uid"],
    )
    def test_a_job_with_a_megabyte_of_metadata(self, metadata: dict[str, Any]) -> None:
        """Lost otherwise: the operator of all teams, to some hundred Jobs of one."""
        job = job_view(
            {
                "metadata": {
                    "namespace": "team",
                    "name": "scan-1",
                    "uid": "job-1",
                    "resourceVersion": "1",
                    "creationTimestamp": "2026-11-24T06:00:00Z",
                    **metadata,
                }
            }
        )
        assert len(repr(job)) < 20_000
        assert len(job.owners) <= MAX_OWNERS

    def test_a_pod_with_long_messages(self) -> None:
        pod = pod_view(
            {
                "metadata": {"name": "x", "creationTimestamp": "2026-11-24T06:00:00Z"},
                "status": {
                    "phase": "Failed",
                    "message": "m" * 500_000,
                    "conditions": [{"type": "PodScheduled", "status": "False", "message": "u" * 500_000}],
                    "containerStatuses": [
                        {"name": labels.CONTAINER, "state": {"waiting": {"reason": "x", "message": "w" * 500_000}}}
                    ],
                },
            }
        )
        assert len(repr(pod)) < 20_000
