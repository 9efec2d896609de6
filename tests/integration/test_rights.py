"""The operator's role grants what it uses, no more and no less, by the API server's own audit log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from scanplan.api.exit_codes import ExitCode
from tests.cluster import LocalCluster
from tests.deploy import ROOT
from tests.fixtures.operators import StartOperator
from tests.integration import audit, reports, test_exceptions, test_notifiers, test_schedules
from tests.integration.apiserver import ApiServer
from tests.integration.kubelet import index_of
from tests.integration.scene import Scene, condition, hosts, shards
from tests.integration.test_discovery import RULES
from tests.integration.test_leadership import FOREIGN, elect
from tests.integration.test_life_cycle import collect
from tests.integration.test_notifiers import HOOK
from tests.kubectl import Kubectl

pytestmark = pytest.mark.integration

DISCOVERED = {resource for rules in RULES.values() for rule in rules for resource in rule["resources"]}

Right = tuple[str, str, str]
"""API group, resource with its subresource, verb."""


def granted(manifest: str = "rbac.yaml", kind: str = "ClusterRole") -> set[Right]:
    """What a manifest of examples/install grants."""
    documents: list[dict[str, Any]] = list(yaml.safe_load_all((ROOT / "examples/install" / manifest).read_text()))
    (role,) = (document for document in documents if document["kind"] == kind)
    assert kind == "Role" or all(
        "resourceNames" not in rule and "nonResourceURLs" not in rule for rule in role["rules"]
    )
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used(scene: Scene) -> set[Right]:
    return {request.right for request in scene.requests()}


def test_the_role_grants_what_the_operator_uses(alone: Scene, start_operator: StartOperator) -> None:
    """Lost otherwise: an installation that breaks on a rare path, or one that a stolen token can do more with than scan."""
    start_operator(WORKER_CONCURRENCY="100", SCANPLAN_NOTIFIER_HOSTS="mail.invalid")
    # a life with a failure, a retry, sharing, live edits and another key
    alone.apply("first", runId="nightly", **shards(2))
    alone.phase("Running", "first")
    alone.apply("second", runId="nightly", **shards(2))
    alone.phase("Running", "second")
    pods = alone.run("first", pods=2)
    alone.edit("first", deadlineSeconds=90_000)
    alone.edit("second", rerun="again")
    alone.kubelet.end(pods[0], ExitCode.OK, reports.complete(index_of(pods[0])))
    alone.kubelet.end(pods[1], ExitCode.TEMPORARY, reports.partial(index_of(pods[1])))
    alone.phase("Retrying", "first")
    # a cancelled one, with its collector
    alone.apply("third", runId="third")
    alone.phase("Running", "third")
    alone.run("third")
    job = alone.job_of("third")["metadata"]["name"]
    alone.edit("third", cancel=True)
    alone.kubelet.stop_deleted(job, lambda pod: reports.partial(index_of(pod)))
    collect(alone, job, complete=False)
    alone.phase("Cancelled", "third")
    # one whose endpoints are too many for an annotation, from a ConfigMap
    lines = "\n".join(hosts(2000, "a-host-of-the-long-list"))
    alone.api.create(
        f"/api/v1/namespaces/{alone.namespace}/configmaps",
        {"metadata": {"name": "targets"}, "data": {"endpoints": lines}},
    )
    alone.apply("long", endpointsFrom=[{"configMapKeyRef": {"name": "targets", "key": "endpoints"}}])
    alone.phase("Running", "long")
    # a schedule whose runs are replaced, and of which the history keeps the last one that has ended
    alone.kubectl.apply(
        test_schedules.manifest(schedule="0 2 1 1 *", concurrencyPolicy="Replace", failedRunsHistoryLimit=0)
    )
    test_schedules.observed(alone)
    test_schedules.edit(alone, trigger="one")
    for trigger in ("two", "three"):

        def at_work() -> list[str]:
            phases = {run["metadata"]["name"]: run["status"].get("phase") for run in test_schedules.runs(alone)}
            return [name for name, phase in phases.items() if phase != "Cancelled"]

        alone.eventually(at_work)
        (run,) = at_work()
        job = alone.started(run)
        test_schedules.edit(alone, trigger=trigger)
        collect(alone, job, complete=False)
        alone.phase("Cancelled", run)
    # an exception, into whose conditions it writes
    alone.kubectl.apply(test_exceptions.manifest())
    # a notifier, which names no Secret and whose test message finds nobody; of scans that have ended this second it tells nothing
    mail = {"host": "mail.invalid", "from": "a@example.com", "to": ["b@example.com"]}
    alone.kubectl.apply(test_notifiers.manifest(email=mail, selector={"matchLabels": {"told": "never"}}))
    test_notifiers.reason(alone, "ReceiverFound")
    test_notifiers.edit(alone, test="one")
    alone.eventually(lambda: used(alone) >= granted())
    assert used(alone) == granted()


def test_the_role_of_the_lease_grants_what_the_operator_uses(
    cluster: LocalCluster, administrator: Kubectl, alone: Scene, start_operator: StartOperator
) -> None:
    """Lost otherwise: an operator that never works, or a token that writes the leases of others."""
    leader = elect(administrator, start_operator)
    alone.eventually(lambda: "leading" in leader.text())
    standby = elect(administrator, start_operator)

    def requests() -> list[audit.Request]:
        return [request for request in audit.requests(cluster.audit_log) if request.resource == "leases"]

    def used() -> set[tuple[str, str, str]]:
        return {request.right for request in requests() if request.code < 400}

    alone.eventually(lambda: "standing by" in standby.text() and used() >= granted("leader-election.yaml", "Role"))
    assert standby.stop() == 0
    assert leader.stop() == 0
    assert used() == granted("leader-election.yaml", "Role")
    assert {request.name for request in requests() if request.verb != "create"} <= {"scanplan-operator", FOREIGN}


def test_the_api_servers_own_addresses_are_no_targets(
    cluster: LocalCluster, api: ApiServer, alone: Scene, start_operator: StartOperator
) -> None:
    """Lost otherwise: the API server, which a pod reaches at its own address as well as by its Service."""
    start_operator()
    slice_ = api.get("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes")
    assert slice_ is not None
    (address, *_) = slice_["endpoints"][0]["addresses"]
    alone.apply("inside", endpoints=[f"https://{address}:6443"])
    status = alone.phase("Failed", "inside", "TargetDenied")
    assert address in condition(status, "Stalled")["message"]
    requests = [request for request in audit.requests(cluster.audit_log) if request.resource == "endpointslices"]
    assert {request.right for request in requests} == granted("api-server-addresses.yaml", "Role")
    assert {request.name for request in requests} == {"kubernetes"}


def test_nothing_that_any_test_did_was_forbidden(cluster: LocalCluster, identity: Path) -> None:
    """Lost otherwise: the same, on the paths of all the other tests. What plans discover is granted by a value of the chart,
    Kueue's Workloads by a file that its own tests take back when they end, and a notifier's Secret by its own Role."""
    assert identity.exists()
    forbidden = {
        request.right
        for request in audit.requests(cluster.audit_log)
        if request.code == 403
        and request.verb != "create"
        and request.name not in {FOREIGN, HOOK}
        and request.resource not in {*DISCOVERED, "workloads"}
    }
    assert forbidden == set()


@pytest.mark.parametrize(
    ("verb", "group", "resource"),
    [
        ("get", "", "secrets"),
        ("create", "", "pods"),
        ("delete", "", "pods"),
        ("get", "", "pods/log"),
        ("create", "", "pods/exec"),
        ("create", "", "serviceaccounts/token"),
        ("impersonate", "", "users"),
        ("update", "", "configmaps"),
        ("delete", "", "persistentvolumeclaims"),
        ("get", "", "nodes"),
        ("patch", "scanplan.dev", "scannotifiers"),
        ("create", "scanplan.dev", "scanschedules"),
        ("patch", "scanplan.dev", "scanschedules"),
        ("delete", "scanplan.dev", "scanschedules"),
        ("create", "batch", "cronjobs"),
        ("bind", "rbac.authorization.k8s.io", "clusterroles"),
    ],
)
def test_a_stolen_token_is_of_little_use(api: ApiServer, identity: Path, verb: str, group: str, resource: str) -> None:
    """Lost otherwise: the cluster, by the operator's own token."""
    assert identity.exists()
    name, _, subresource = resource.partition("/")
    review = {
        "user": audit.OPERATOR,
        "groups": ["system:authenticated", "system:serviceaccounts", "system:serviceaccounts:scanplan-system"],
        "resourceAttributes": {
            "namespace": "default", "verb": verb, "group": group, "resource": name, "subresource": subresource,
        },
    }  # fmt: skip
    answer = api.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": review})
    assert answer["status"]["allowed"] is False
