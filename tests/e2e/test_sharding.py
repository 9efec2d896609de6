"""Several hosts, several pods: a server must never be scanned from two pods at once, and none may be left out."""

from __future__ import annotations

import pytest

from tests.e2e.stage import EXPOSED, Stage, templates

pytestmark = pytest.mark.e2e

HOSTS = ("app", "app-b", "app-c")


def test_each_host_is_scanned_by_one_shard_and_once(stage: Stage) -> None:
    stage.web_application(*HOSTS[1:])
    plan = stage.plan("sharded", *HOSTS, sharding={"maxEndpointsPerShard": 2, "parallelism": 2})
    plan["spec"]["endpoints"] += [f"{endpoint}/shop" for endpoint in plan["spec"]["endpoints"]]
    stage.apply(plan)
    status = stage.ends("sharded", "Completed")
    assert status["shards"] == {"total": 3, "active": 0, "succeeded": 3, "failed": 0}
    assert status["progress"] == "3/3"
    assert status["endpointCount"] == status["endpointsScanned"] == 6
    findings = stage.findings(status)
    assert templates(findings) == sorted([*EXPOSED] * 3)
    hosts_of = {}
    for path in stage.shard_findings(status["artifacts"]["path"]):
        shard = path.split("/shards/")[1].split("/")[0]
        hosts_of[shard] = {line.split(b'"host":"')[1].split(b'"')[0] for line in stage.read(path).splitlines()}
    assert sorted(len(hosts) for hosts in hosts_of.values()) == [1, 1, 1]
    assert len(set.union(*hosts_of.values())) == 3
    for host in HOSTS:
        assert set(stage.requests(host).values()) == {1}, f"{host} was asked for something twice"
