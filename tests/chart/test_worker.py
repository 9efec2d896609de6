"""What the workers of a Redis queue are told, what they reach, and where their artifacts are."""

from __future__ import annotations

from typing import Any

import pytest

from scanplan.api import labels
from scanplan.client.settings import ClientSettings
from scanplan.core.manifests import pod
from scanplan.core.planning import pod_security
from tests.chart import programs
from tests.chart.chart import NAMESPACE, Objects, Values, render
from tests.kubectl import Manifest

REDIS: Values = {"url": "redis://redis.data:6379/0"}
DEPLOYMENT = f"Deployment {NAMESPACE}/scanplan-operator-worker"


def workers(**values: Any) -> Objects:
    """What is installed with workers; `worker` is their own part of the values."""
    own = {"enabled": True, **values.pop("worker", {})}
    return render({"redis": REDIS, "worker": own, **values})


def worker_pod(objects: Objects) -> Manifest:
    spec: Manifest = objects[DEPLOYMENT]["spec"]["template"]["spec"]
    return spec


def settings(objects: Objects) -> ClientSettings:
    (container,) = worker_pod(objects)["containers"]
    return ClientSettings(**{each["name"]: each["value"] for each in container["env"]})


def test_where_nothing_is_said_workers_have_their_own_defaults() -> None:
    """Programs that submit have them too, and must agree with workers about queue and time."""
    given = settings(workers())
    own = {"redis_url": REDIS["url"], "data_directory": given.data_directory}
    assert given == ClientSettings().model_copy(update=own)
    (container,) = worker_pod(workers())["containers"]
    assert str(given.data_directory) in [mount["mountPath"] for mount in container["volumeMounts"]]


def test_the_settings_of_workers_are_what_the_values_say() -> None:
    own = {"concurrency": 9, "taskTimeout": 60, "keyPrefix": "red"}
    given = settings(workers(worker=own, policy={"deniedTargets": ["10.0.0.0/8", "corp.example.com"]}))
    assert (given.worker_concurrency, given.task_timeout, given.key_prefix) == (9, 60, "red")
    assert given.denied_targets == ("10.0.0.0/8", "corp.example.com")


def test_workers_write_to_claims_as_scan_pods_do() -> None:
    """Else one could not read what the other has written, and a task that goes back to the queue would lose what was found."""
    spec = worker_pod(workers())
    assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["fsGroup"] == pod_security.USER
    assert spec["terminationGracePeriodSeconds"] == pod.GRACE_SECONDS
    assert labels.TASK not in workers()[DEPLOYMENT]["spec"]["template"]["metadata"]["labels"]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"worker": {"enabled": True}}, "worker.enabled needs the Redis"),
        ({"worker": {"concurency": 2}}, "'concurency' not allowed"),
        ({"worker": {"concurrency": 0}}, "/worker/concurrency"),
        ({"worker": {"keyPrefix": "a:b"}}, "/worker/keyPrefix"),
        ({"worker": {"image": {"digest": "1.2.3"}}}, "/worker/image/digest"),
        ({"worker": {"tolerations": [{"key": "a", "efect": "NoSchedule"}]}}, "'efect' not allowed"),
        (
            {
                "worker": {"enabled": True},
                "redis": REDIS,
                "networkPolicy": {"enabled": True, "apiServer": ["10.96.0.1/32"]},
            },
            "networkPolicy.redis is empty",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_about_workers_is_told_before_anything_is_installed(values: Values, complaint: str) -> None:
    with pytest.raises(programs.ProgramError) as told:
        render(values)
    assert complaint in str(told.value)


@pytest.mark.parametrize("targets", [[], [{"ipBlock": {"cidr": "203.0.113.0/24"}}]])
def test_workers_reach_what_scan_pods_reach_and_redis(targets: list[Manifest]) -> None:
    """Never the API server or metadata: they scan what somebody has written into Redis."""
    redis = {"podSelector": {"matchLabels": {"app": "redis"}}}
    policy = {"enabled": True, "apiServer": ["10.96.0.1/32"], "redis": [redis], "targets": targets}
    objects = workers(networkPolicy=policy, scanNamespaces=[NAMESPACE])
    ours = objects[f"NetworkPolicy {NAMESPACE}/scanplan-operator-worker"]["spec"]
    scans = objects[f"NetworkPolicy {NAMESPACE}/scanplan-operator-scans"]["spec"]
    assert ours["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in ours
    assert ours["egress"] == [*scans["egress"], {"to": [redis]}]
    pods = objects[DEPLOYMENT]["spec"]["template"]["metadata"]["labels"]
    assert ours["podSelector"]["matchLabels"].items() <= pods.items()
    operator = objects[f"NetworkPolicy {NAMESPACE}/scanplan-operator"]["spec"]["podSelector"]["matchLabels"]
    assert not operator.items() <= pods.items()


@pytest.mark.parametrize(("keep", "namespaces"), [(True, {"red", NAMESPACE}), (False, {"red"})])
def test_the_workers_claim_is_made_and_pruned_like_those_of_scans(keep: bool, namespaces: set[str]) -> None:
    """They run in the release's namespace, which need not be one where plans are scanned."""
    objects = workers(
        worker={"keepArtifacts": keep},
        watchNamespaces=["red"],
        artifacts={"create": True},
        retention={"enabled": True, "keepRuns": 9},
    )
    for kind, name in (("PersistentVolumeClaim", "scanplan-artifacts"), ("CronJob", "scanplan-operator-retention")):
        assert {each for each in objects if each.startswith(f"{kind} ")} == {f"{kind} {ns}/{name}" for ns in namespaces}


def test_an_operator_without_workers_is_the_same() -> None:
    """They are another Deployment, and take nothing from it."""
    without = render({"redis": REDIS})
    assert {name: each for name, each in workers().items() if name != DEPLOYMENT} == without
