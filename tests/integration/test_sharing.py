"""Two clusters that get the same plans and share a Redis: one of them scans, and both have the result."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scanplan.api.documents.words import ErrorClass
from scanplan.api.exit_codes import ExitCode
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.client.queues.kubernetes import result_of
from scanplan.client.redis.sharing import shared_key
from tests.client.servers import RedisServer
from tests.cluster import LocalCluster, local
from tests.fixtures.control_plane import administrator_of, identity_of, make_namespace
from tests.fixtures.operators import namespace_of
from tests.integration import reports
from tests.integration.apiserver import ApiServer
from tests.integration.operator_process import OperatorProcess
from tests.integration.scene import Scene, condition
from tests.kubectl import Kubectl

pytestmark = pytest.mark.integration


@dataclass
class Site:
    """One cluster, and the operator of a test on it."""

    name: str
    cluster: LocalCluster
    api: ApiServer
    kubectl: Kubectl
    identity: Path

    def operator(self, namespace: str, log: Path, redis_url: str) -> OperatorProcess:
        sharing = {"REDIS_URL": redis_url, "SCANPLAN_CLUSTER_NAME": self.name, "SCANPLAN_SHARED_TASKS": "true"}
        return OperatorProcess(self.identity, [namespace], log, **sharing)


@pytest.fixture(scope="module")
def sites(
    cluster: LocalCluster,
    api: ApiServer,
    administrator: Kubectl,
    identity: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[list[Site]]:
    second = local.up(f"second-{os.getpid()}", control_plane_only=True, temporary=True)
    try:
        there = ApiServer(second)
        kubectl = administrator_of(second, there)
        kubeconfig = identity_of(second, kubectl, tmp_path_factory.mktemp("second"))
        yield [
            Site("east", cluster, api, administrator, identity),
            Site("west", second, there, kubectl, kubeconfig),
        ]
    finally:
        second.down()


@pytest.fixture
def scenes(
    request: pytest.FixtureRequest, sites: list[Site], redis_of_session: RedisServer, tmp_path: Path
) -> Iterator[tuple[Scene, Scene]]:
    """East and west, each with an operator at work in the namespace of the test's name."""
    namespace = namespace_of(request.node)
    operators = []
    for site in sites:
        make_namespace(site.api, namespace)
        operators.append(site.operator(namespace, tmp_path / f"{site.name}.log", redis_of_session.url).start())
    east, west = (Scene(site.api, site.kubectl, namespace, site.cluster.audit_log) for site in sites)
    yield east, west
    codes = [operator.stop() for operator in operators]
    for operator in operators:
        print(f"--- log of the operator\n{operator.text()}")
    assert codes == [os.EX_OK, os.EX_OK]


def test_one_of_two_clusters_scans_and_both_have_the_result(
    scenes: tuple[Scene, Scene], redis_of_session: RedisServer
) -> None:
    """Lost otherwise: every target is scanned once for each cluster that Git feeds."""
    east, west = scenes
    east.apply()
    key = east.phase("Running")["taskKey"]
    west.apply()
    waiting = condition(west.phase("Pending", reason="RunningElsewhere"), "Ready")
    assert "cluster east runs the same task" in waiting["message"]
    assert redis_of_session.client().exists(shared_key(east.namespace, key))
    ended = east.complete()
    taken = west.phase("Completed")
    assert taken["findings"] == ended["findings"]
    assert taken["artifacts"] == {**ended["artifacts"], "cluster": "east"}
    assert condition(taken, "Ready")["reason"] == "ResultReused"
    assert west.jobs() == []
    result = result_of(west.plan())
    assert (result.success, result.complete, result.artifact_path) == (True, True, None), "nothing can be read here"


def test_what_fails_in_one_cluster_is_scanned_in_the_other(scenes: tuple[Scene, Scene]) -> None:
    """Lost otherwise: the scan, where the first cluster can't reach the target."""
    east, west = scenes
    east.apply()
    (pod,) = east.run()
    west.apply()
    west.phase("Pending", reason="RunningElsewhere")
    east.kubelet.end(pod, ExitCode.FATAL, reports.failed(ErrorClass.FATAL, Reason.INVALID_OPTIONS, "no such flag"))
    east.phase("Failed")
    assert "cluster" not in west.complete()["artifacts"]
