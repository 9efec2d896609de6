"""The Job of a task: retries, deadlines and ownership as Kubernetes is told them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scanplan.api import labels
from scanplan.api.documents.task import decode_task
from scanplan.api.exit_codes import ExitCode
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.core.manifests import jobs
from scanplan.core.planning import merging
from scanplan.core.planning.task import Resolution
from tests.unit.core.objects import CLAIM, INPUTS, NOW, POLICY, merge_task, plan, task

ACTIONS = {
    ExitCode.OK: None,
    ExitCode.FATAL: "FailJob",
    ExitCode.USAGE: "FailJob",
    ExitCode.SHARD_FATAL: "FailIndex",
    ExitCode.INTERRUPTED: "Ignore",
    ExitCode.TEMPORARY: None,  # counted against backoffLimitPerIndex
    ExitCode.UNKNOWN: None,
}


def build(**spec: Any) -> dict[str, Any]:
    of = plan(**spec)
    policy = replace(POLICY, allowed_priority_classes=("urgent",))
    return jobs.build(task(of, policy), of, policy)


def test_one_index_a_shard_each_with_its_own_retries() -> None:
    spec = build(retry={"temporary": 5})["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 2, 2)
    assert spec["backoffLimitPerIndex"] == 5
    assert spec["maxFailedIndexes"] == 2, "a shard that fails must not sink the others"
    assert spec["podReplacementPolicy"] == "Failed", "a host is never scanned by two pods of one shard at once"
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["suspend"] is False


def test_disruptions_are_told_from_failures_before_anything_else() -> None:
    """First match wins: an eviction that ends with *fatal* must not fail the Job."""
    first = build()["spec"]["podFailurePolicy"]["rules"][0]
    assert first == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


@pytest.mark.parametrize("code", ExitCode)
def test_what_each_exit_code_makes_the_job_do(code: ExitCode) -> None:
    rules = build()["spec"]["podFailurePolicy"]["rules"][1:]
    assert all(rule["onExitCodes"]["containerName"] == labels.CONTAINER for rule in rules)
    matching = [rule["action"] for rule in rules if code in rule["onExitCodes"]["values"]]
    assert matching == ([ACTIONS[code]] if ACTIONS[code] else [])


def test_its_name_is_the_lock_and_its_annotations_the_pin() -> None:
    manifest = build()
    assert manifest["metadata"]["name"] == task().job_name
    annotations = manifest["metadata"]["annotations"]
    assert annotations[labels.TASK_KEY] == task().key
    assert annotations[labels.CREATOR] == "plan-1"
    assert annotations[labels.ENDPOINT_COUNT] == "2"
    assert annotations[f"{labels.PIN_PREFIX}plan-1"]
    assert annotations[labels.FIRST_SEEN] == "2026-11-24T06:00:00Z"


def test_owners_share_it_and_none_keeps_the_others_from_going() -> None:
    (reference,) = build()["metadata"]["ownerReferences"]
    assert reference == {"apiVersion": "scanplan.dev/v1alpha1", "kind": "ScanPlan", "name": "alpha", "uid": "plan-1"}


@pytest.mark.parametrize(
    ("spec", "shards", "seconds", "why"),
    [
        ({"deadlineSeconds": 5000}, 8, 5000, "as asked"),
        (
            {"timeoutSeconds": 100, "retry": {"temporary": 0}},
            1,
            220,
            "one attempt, with time to be scheduled and pulled",
        ),
        ({"timeoutSeconds": 100, "retry": {"temporary": 1}}, 1, 2 * 220 + 10, "two, and the back-off between them"),
        ({"timeoutSeconds": 100, "retry": {"temporary": 3}}, 1, 4 * 220 + 10 + 20 + 40, "exponential"),
        ({"timeoutSeconds": 100, "retry": {"temporary": 0}}, 5, 3 * 220, "two at a time"),
        ({"timeoutSeconds": 604_800, "retry": {"temporary": 20}}, 1_000, 31_536_000, "a year at most"),
    ],
)
def test_the_deadline_is_long_enough_for_every_attempt(
    spec: dict[str, Any], shards: int, seconds: int, why: str
) -> None:
    assert jobs.deadline_seconds(plan(**spec).spec, shards) == seconds, why


@pytest.mark.parametrize(
    ("spec", "shards", "endpoints", "seconds", "why"),
    [
        ({}, 1, 2, 4 * 3_720 + 70, "few endpoints: the retries decide"),
        ({}, 1, 250, 66_667, "250 endpoints by a community-size set, at the default rate, twice as long"),
        ({}, 8, 2_000, 4 * 66_667, "eight such shards, two at a time"),
        ({"scanner": {"rateLimit": 1_500}}, 1, 250, 4 * 3_720 + 70, "a higher rate"),
        ({"scanner": {"maxRequestsPerSecond": 20}}, 4, 400, 2 * 400_000, "half of the plan's limit for each shard"),
        ({"scanner": {"maxRequestsPerSecondPerHost": 1}}, 1, 10, 40_000, "the limit of each host"),
        ({"deadlineSeconds": 5_000}, 1, 10_000, 5_000, "as asked"),
    ],
)
def test_the_derived_deadline_is_long_enough_for_the_work(
    spec: dict[str, Any], shards: int, endpoints: int, seconds: int, why: str
) -> None:
    """A scan whose attempts all made progress would be ended by the clock, and never complete (row 10)."""
    assert jobs.deadline_seconds(plan(**spec).spec, shards, endpoints) == seconds, why


def test_back_off_is_capped_as_kubernetes_caps_it() -> None:
    def derived(retries: int) -> int:
        return jobs.deadline_seconds(
            ScanPlanSpec.model_validate({"templates": ["t"], "retry": {"temporary": retries}}), 1
        )

    assert derived(20) - derived(19) == 3_600 + jobs.POD_OVERHEAD_SECONDS + 600


def test_no_more_pods_at_once_than_shards() -> None:
    assert jobs.parallelism(plan(sharding={"parallelism": 100}).spec, 3) == 3
    assert jobs.parallelism(plan(sharding={"parallelism": 2}).spec, 3) == 2


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, {}),
        ({"queueName": "main"}, {labels.KUEUE_QUEUE: "main"}),
        (
            {"queueName": "main", "queuePriorityClassName": "urgent"},
            {labels.KUEUE_QUEUE: "main", labels.KUEUE_PRIORITY: "urgent"},
        ),
    ],
)
def test_kueue_gets_the_job_by_its_labels(spec: dict[str, Any], expected: dict[str, str]) -> None:
    manifest = build(**spec)
    found = {name: value for name, value in manifest["metadata"]["labels"].items() if name.startswith("kueue")}
    assert found == expected
    assert manifest["spec"]["suspend"] is bool(expected), "born suspended: Kueue lets it go"


class TestCollector:
    """The small Job that merges what a task's pods have left."""

    def manifest(self, **spec: Any) -> dict[str, Any]:
        of = plan(**spec)
        return jobs.build_collector(merge_task(of), of, POLICY)

    def test_is_told_from_the_scan_by_name_and_label(self) -> None:
        manifest = self.manifest()
        assert manifest["metadata"]["name"] == f"{task().job_name}-collect"
        for metadata in (manifest["metadata"], manifest["spec"]["template"]["metadata"]):
            assert metadata["labels"][labels.COMPONENT] == labels.COMPONENT_COLLECTOR
            assert metadata["labels"][labels.TASK] == task().job_name, "its pods are listed with the task's"

    def test_runs_once_and_scans_nothing(self) -> None:
        spec = self.manifest()["spec"]
        assert "completions" not in spec
        assert spec["backoffLimit"] == jobs.COLLECTOR_RETRIES
        assert spec["template"]["spec"]["containers"][0]["args"] == ["collect"]

    @pytest.mark.parametrize(
        ("limit", "given"), [("32Mi", "256Mi"), ("2Gi", "2Gi"), (1_000, "256Mi"), ("much", None), (None, None)]
    )
    def test_has_memory_to_merge_whatever_the_scan_may_use(self, limit: str | int | None, given: str | None) -> None:
        """Lost otherwise: what was found, because the plan's limit that has killed Nuclei kills the merge too."""
        limits = {"cpu": "1"} if limit is None else {"cpu": "1", "memory": limit}
        pod = self.manifest(podTemplate={"resources": {"limits": limits}})["spec"]["template"]["spec"]
        assert pod["containers"][0]["resources"]["limits"] == {"cpu": "1"} | ({"memory": given} if given else {})
        assert "resources" not in self.manifest()["spec"]["template"]["spec"]["containers"][0]

    @pytest.mark.parametrize(
        ("resources", "memory"),
        [
            ({"limits": {"memory": "much"}}, ("384Mi", "1Gi")),
            ({"limits": {"memory": "64Mi"}}, ("64Mi", "256Mi")),
            ({"limits": {"memory": "-1"}}, ("384Mi", "1Gi")),
            ({"requests": {"memory": "2Gi"}, "limits": {"memory": "128Mi"}}, ("128Mi", "256Mi")),
            ({"requests": {"memory": "much"}}, ("384Mi", "1Gi")),
            ({"requests": {"memory": "2Gi"}}, ("2Gi", "2Gi")),
            ({"requests": {"nvidia.com/gpu": "1", "odd": "1"}}, ("384Mi", "1Gi")),
        ],
        ids=str,
    )
    def test_asks_for_no_more_than_it_may_use(self, resources: dict[str, Any], memory: tuple[str, str]) -> None:
        """Lost otherwise: what was found, since Kubernetes refuses a collector whose request is above its limit."""
        policy = replace(POLICY, default_requests={"memory": "384Mi"}, default_limits={"memory": "1Gi"})
        of = plan(podTemplate={"resources": resources})
        container = jobs.build_collector(merge_task(of), of, policy)["spec"]["template"]["spec"]["containers"][0]
        requests, limits = container["resources"]["requests"], container["resources"]["limits"]
        assert (requests, limits) == ({"memory": memory[0]}, {"memory": memory[1]})

    @pytest.mark.parametrize(
        "affinity",
        [
            {"podAffinity": ["x"]},
            {"nodeAffinity": "x"},
            {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": 1}},
            {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": ["x"]}},
            {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}},
            {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": 1}}},
        ],
        ids=str,
    )
    def test_comes_without_an_affinity_that_kubernetes_would_refuse(self, affinity: dict[str, Any]) -> None:
        """Lost otherwise: the same, by an edit of the plan after its scan has started."""
        pod = self.manifest(podTemplate={"affinity": affinity, "topologySpreadConstraints": [{"maxSkew": "x"}]})
        assert not {"affinity", "topologySpreadConstraints"} & pod["spec"]["template"]["spec"].keys()

    def test_stays_with_an_affinity_that_it_would_take(self) -> None:
        term = {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["scans"]}]}
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
        affinity = {"nodeAffinity": required, "podAffinity": None}
        pod = self.manifest(podTemplate={"affinity": affinity})["spec"]["template"]["spec"]
        assert pod["affinity"] == affinity

    def test_waits_in_the_plans_queue(self) -> None:
        """Lost otherwise: what was found, where Kueue admits no Job without a queue."""
        manifest = self.manifest(queueName="main")
        assert manifest["metadata"]["labels"][labels.KUEUE_QUEUE] == "main"
        assert manifest["spec"]["suspend"] is True
        assert not self.manifest()["spec"]["suspend"]

    def test_works_on_the_same_claim_as_restricted_as_the_scan(self) -> None:
        pod, scan = self.manifest()["spec"]["template"]["spec"], build()["spec"]["template"]["spec"]
        for field in ("securityContext", "automountServiceAccountToken", "volumes"):
            assert pod[field] == scan[field]

    @pytest.mark.parametrize(
        "spec",
        [
            {"endpoints": [], "endpointsFrom": [{"secretKeyRef": {"name": "hidden", "key": "hosts"}}]},
            {"endpoints": [], "endpointsFrom": [{"configMapKeyRef": {"name": "list", "key": "hosts"}}]},
            {"endpoints": [], "endpointsFrom": [{"ingresses": {}}]},
            {"templatesFrom": [{"configMap": {"name": "own"}}]},
            {"templatesFrom": [{"image": {"reference": "templates:1"}}]},
            {"scanner": {"headersFrom": {"secretRef": {"name": "hidden"}}}},
            {"scanner": {"variablesFrom": {"secretRef": {"name": "hidden"}}}},
            {"scanner": {"clientCertificateFrom": {"secretRef": {"name": "hidden"}}}},
            {"scanner": {"credentialsFrom": {"secretRef": {"name": "hidden"}}}},
            {"endpoints": [f"https://host-{number}.example" for number in range(900)]},
        ],
    )
    def test_needs_nothing_of_what_the_plan_names(self, spec: dict[str, Any]) -> None:
        """Lost otherwise: what was found, because a ConfigMap or a discovered object has changed or gone since."""
        of = plan(**spec)
        earlier = Resolution(key="scan:acme:nightly:1:2:3", image="scanner:1", claim="scanplan-artifacts")
        assert merging.needed(earlier) == CLAIM
        made = merging.task(of, POLICY, NOW, INPUTS, earlier)
        manifest = jobs.build_collector(made, of, POLICY)
        pod = manifest["spec"]["template"]
        assert [each["name"] for each in pod["spec"]["volumes"]] == ["claim", "scratch", "task"]
        document = decode_task(pod["metadata"]["annotations"][labels.TASK_DOCUMENT])
        assert (document.key, document.endpoints, document.templates) == (earlier.key, (), ())
        assert document.confidential == ("secretKeyRef" in str(spec))
        assert not {labels.DOCUMENT_PARTS, labels.ENDPOINT_COUNT, labels.DISCOVERY} & set(
            manifest["metadata"]["annotations"]
        )


class TestPatches:
    """Strategic merge patches, refused by the API server if the Job is another or has changed."""

    def test_adoption_adds_one_owner(self) -> None:
        patch = jobs.adoption_patch(plan(uid="plan-2", name="beta"), "job-1", "100")["metadata"]
        assert (patch["uid"], patch["resourceVersion"]) == ("job-1", "100")
        assert [reference["uid"] for reference in patch["ownerReferences"]] == ["plan-2"]

    def test_release_takes_it_out_again_with_its_pin(self) -> None:
        patch = jobs.release_patch(plan(uid="plan-2"), "job-1", "100")["metadata"]
        assert patch["ownerReferences"] == [{"$patch": "delete", "uid": "plan-2"}]
        assert patch["annotations"] == {"pin.scanplan.dev/plan-2": None}
