"""Edits of a plan that runs, a row for each field of the table key / live / next, against the real Job API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from scanplan.api.documents.report import FindingCounts
from scanplan.api.v1alpha1.model import Effect
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.core.planning.task import fields_with
from tests.cluster import LocalCluster
from tests.deploy import OPERATOR_ACCOUNT
from tests.fixtures.control_plane import make_namespace
from tests.integration.apiserver import ApiServer, Object
from tests.integration.operator_process import OperatorProcess
from tests.integration.scene import Scene, condition, condition_types, hosts
from tests.integration.test_windows import closed
from tests.kubectl import Kubectl

pytestmark = pytest.mark.integration

BEFORE: dict[str, Any] = {
    "endpoints": hosts(4),
    "sharding": {"maxEndpointsPerShard": 2, "parallelism": 1},
    "deadlineSeconds": 7200,
}
"""Every row's plan before its edit: two shards, one at a time."""


class Row(NamedTuple):
    """An edit (a merge patch of the spec) of one field."""

    field: str
    edit: dict[str, Any]


SECRETS = {
    "headers": {"Authorization": "Bearer x"},
    "variables": {"user": "guest"},
    "credentials": {"secrets.yaml": "static: [{type: BearerToken, domains: [a.example], token: t0k3n}]"},
    "client-certificate": {"tls.crt": "-----BEGIN CERTIFICATE-----", "tls.key": "-----BEGIN PRIVATE KEY-----"},
}
"""The Secrets that plans of this module name, by their use."""
API = '{"openapi": "3.0.0", "paths": {"/a": {}}}'
KEY = [
    Row("projectId", {"projectId": "other"}),
    Row("runId", {"runId": "other"}),
    Row("endpoints", {"endpoints": hosts(5)}),
    Row("endpointsFrom", {"endpointsFrom": [{"configMapKeyRef": {"name": "more", "key": "endpoints"}}]}),
    Row(
        "endpointsFrom.claimFile",
        {
            "endpoints": [],
            "endpointsFrom": [{"claimFile": {"path": "hosts.txt", "sha256": "ab" * 32, "endpoints": 1_000}}],
        },
    ),
    Row(
        "endpointsFrom.imageFile",
        {
            "endpoints": [],
            "endpointsFrom": [
                {
                    "imageFile": {
                        "reference": "registry.example/lists:1",
                        "path": "hosts.txt",
                        "sha256": "cd" * 32,
                        "endpoints": 1_000,
                    }
                }
            ],
        },
    ),
    Row(
        "endpointsFrom.s3File",
        {
            "endpoints": [],
            "endpointsFrom": [
                {
                    "s3File": {
                        "endpoint": "https://s3.example.com",
                        "bucket": "lists",
                        "key": "hosts.txt",
                        "sha256": "ef" * 32,
                        "endpoints": 1_000,
                    }
                }
            ],
        },
    ),
    Row("templates", {"templates": ["http/exposures/"]}),
    Row("templatesFrom", {"templatesFrom": [{"configMap": {"name": "more"}}]}),
    Row(
        "templatesFrom.allowUnsigned",
        {
            "scanner": {"verifySignatures": True},
            "templatesFrom": [{"configMap": {"name": "more"}, "allowUnsigned": True}],
        },
    ),
    Row("selection.include", {"selection": {"include": {"tags": ["cve"]}}}),
    Row("selection.workflows", {"selection": {"workflows": ["workflows/"]}}),
    Row(
        "scanner.requestsFrom",
        {
            "scanner": {
                "dast": True,
                "requestsFrom": {"mode": "openapi", "configMapKeyRef": {"name": "more", "key": "api.json"}},
            }
        },
    ),
    Row("scanner.headless", {"scanner": {"headless": True}}),
    Row("scanner.dast", {"scanner": {"dast": True}}),
    Row("scanner.code", {"scanner": {"code": True}}),
    Row("selection.automatic", {"selection": {"automatic": True}}),
    Row("selection.profile", {"selection": {"profile": "recommended"}}),
    Row("selection.exclude.matchers", {"selection": {"exclude": {"matchers": ["a:b"]}}}),
    Row("selection.exclude", {"selection": {"exclude": {"severities": ["info"]}}}),
    Row("severityLevels", {"severityLevels": ["critical"]}),
    Row("rerun", {"rerun": "again"}),
    Row("scanner.image", {"scanner": {"image": "registry.example/scanner:2"}}),
    Row("scanner.proxy", {"scanner": {"proxy": "socks5://proxy.example:1080"}}),
    Row("scanner.noProxy", {"scanner": {"proxy": "socks5://proxy.example:1080", "noProxy": ["10.0.0.0/8"]}}),
    Row("scanner.followRedirects", {"scanner": {"followRedirects": True}}),
    Row("scanner.followHostRedirects", {"scanner": {"followHostRedirects": True}}),
    Row("scanner.maxRedirects", {"scanner": {"maxRedirects": 3}}),
    Row("scanner.maxResponseBytes", {"scanner": {"maxResponseBytes": 4096}}),
    Row("scanner.sni", {"scanner": {"sni": "app.example"}}),
    Row("scanner.verifySignatures", {"scanner": {"verifySignatures": True}}),
    Row("scanner.variables", {"scanner": {"variables": [{"name": "user", "value": "guest"}]}}),
    Row("scanner.headers", {"scanner": {"headers": [{"name": "X-Team", "value": "red"}]}}),
    Row("scanner.variablesFrom", {"scanner": {"variablesFrom": {"secretRef": {"name": "variables"}}}}),
    Row(
        "scanner.clientCertificateFrom",
        {"scanner": {"clientCertificateFrom": {"secretRef": {"name": "client-certificate"}}}},
    ),
    Row("scanner.credentialsFrom", {"scanner": {"credentialsFrom": {"secretRef": {"name": "credentials"}}}}),
    Row("scanner.interactsh", {"scanner": {"interactsh": {"server": "oast.example"}}}),
    Row("scanner.headersFrom", {"scanner": {"headersFrom": {"secretRef": {"name": "headers"}}}}),
    Row("dnsConfig", {"dnsConfig": {"nameservers": ["192.0.2.53"]}}),
    Row("hostAliases", {"hostAliases": [{"ip": "192.0.2.1", "hostnames": ["a.example"]}]}),
    Row("artifacts.claimName", {"artifacts": {"claimName": "another"}}),
]
LIVE = [
    (Row("sharding.parallelism", {"sharding": {"parallelism": 2}}), {"parallelism": 2}),
    (Row("deadlineSeconds", {"deadlineSeconds": 9000}), {"activeDeadlineSeconds": 9000}),
    (Row("ttlSecondsAfterFinished", {"ttlSecondsAfterFinished": 300}), {"ttlSecondsAfterFinished": 300}),
    (Row("suspend", {"suspend": True}), {"suspend": True}),
    (Row("windows", {"windows": closed()}), {"suspend": True}),
    (Row("priority", {"priority": 9}), {}),
    (Row("exports", {"exports": [{"name": "hook", "http": {"url": "https://in.example.com"}}]}), {}),
    (Row("retryExports", {"retryExports": "1"}), {}),
]
NEXT = [
    Row("sharding.maxEndpointsPerShard", {"sharding": {"maxEndpointsPerShard": 1}}),
    Row("timeoutSeconds", {"timeoutSeconds": 60}),
    Row("retry.temporary", {"retry": {"temporary": 1}}),
    Row("retry.unknown", {"retry": {"unknown": 0}}),
    Row("scanner.rateLimit", {"scanner": {"rateLimit": 10}}),
    Row("scanner.maxRequestsPerSecond", {"scanner": {"maxRequestsPerSecond": 100}}),
    Row("scanner.maxRequestsPerSecondPerHost", {"scanner": {"maxRequestsPerSecondPerHost": 10}}),
    Row("scanner.concurrency", {"scanner": {"concurrency": 10}}),
    Row("scanner.bulkSize", {"scanner": {"bulkSize": 10}}),
    Row("scanner.requestTimeoutSeconds", {"scanner": {"requestTimeoutSeconds": 3}}),
    Row("scanner.maxHostErrors", {"scanner": {"maxHostErrors": 5}}),
    Row("scanner.requestRetries", {"scanner": {"requestRetries": 0}}),
    Row("queueName", {"queueName": "team"}),
    Row("queuePriorityClassName", {"queueName": "team", "queuePriorityClassName": "gold"}),
    Row("podTemplate", {"podTemplate": {"resources": {"limits": {"memory": "1Gi"}}, "labels": {"team": "red"}}}),
]
CANCEL = Row("cancel", {"cancel": True})
ROWS = [*KEY, *(row for row, _ in LIVE), *NEXT, CANCEL]


def names(fields: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The fields of one effect by their names in YAML."""
    for name, nested in fields.items():
        first, *rest = name.split("_")
        path = prefix + first + "".join(word.capitalize() for word in rest)
        if nested is None:
            yield path
        else:
            yield from names(nested, f"{path}.")


def test_every_field_has_its_row() -> None:
    """Lost otherwise: a new field whose edits nobody has tried."""
    for effect, rows in (
        (Effect.KEY, KEY),
        (Effect.RUNNING, [*(row for row, _ in LIVE), CANCEL]),
        (Effect.NEXT, NEXT),
    ):
        fields = set(names(fields_with(effect, ScanPlanSpec)))
        assert fields <= {row.field for row in rows}, effect
        assert all(any(f"{row.field}.".startswith(f"{field}.") for field in fields) for row in rows), effect


class Running(NamedTuple):
    """The scene of all rows, and each field's plan and Job before its edit."""

    scene: Scene
    plans: dict[str, str]
    jobs: dict[str, Object]


@pytest.fixture(scope="module")
def running(
    cluster: LocalCluster,
    api: ApiServer,
    administrator: Kubectl,
    identity: Path,
    statuses: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """A running plan for each row, all started together: what takes time is the Job controller's round, not ours."""
    assert statuses.exists()
    namespace = "edits"
    make_namespace(api, namespace)
    log = tmp_path_factory.mktemp("edits") / "operator.log"
    operator = OperatorProcess(
        identity,
        [namespace],
        log,
        WORKER_CONCURRENCY="100",
        SCANPLAN_ALLOWED_IMAGES="registry.example/*",
        SCANPLAN_EXPORT_HOSTS="s3.example.com",
        SCANPLAN_ALLOWED_PROXIES="socks5://proxy.example:*",
        SCANPLAN_ALLOWED_RESOLVERS="192.0.2.53",
        SCANPLAN_ALLOW_CODE="true",
        SCANPLAN_UNGUARDED_PROTOCOLS="headless",
        SCANPLAN_ALLOWED_INTERACTSH_SERVERS="oast.example",
        SCANPLAN_ALLOWED_PRIORITY_CLASSES="gold",
        SCANPLAN_ALLOWED_POD_METADATA="team",
    ).start()
    scene = Scene(api, administrator, namespace, cluster.audit_log)
    content = {"endpoints": "https://more.example.com\n", "a.yaml": "id: a", "api.json": API}
    api.create(f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": "more"}, "data": content})
    claim = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Mi"}}}
    api.create(
        f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", {"metadata": {"name": "another"}, "spec": claim}
    )
    for use, content in SECRETS.items():
        literals = [f"--from-literal={key}={value}" for key, value in content.items()]
        scene.kubectl("create", "secret", "generic", use, *literals)
        scene.kubectl("label", f"secret/{use}", f"scanplan.dev/use={use}")
        scene.kubectl.allow(OPERATOR_ACCOUNT, use, "get", "secrets", names=[use])
    plans = {row.field: row.field.replace(".", "-").lower() for row in ROWS}
    for plan in plans.values():
        scene.apply(plan, **BEFORE)
    for plan in plans.values():
        scene.phase("Running", plan)
        scene.run(plan)
    yield Running(scene, plans, {field: scene.job_of(plan) for field, plan in plans.items()})
    alive = operator.alive
    operator.kill()
    print(operator.text())
    assert alive


@pytest.mark.parametrize("row", KEY, ids=lambda row: row.field)
def test_a_key_field_makes_another_scan(running: Running, row: Row) -> None:
    """Lost otherwise: an edited plan that goes on showing the result of what it asked before."""
    scene, plan, before = running.scene, running.plans[row.field], running.jobs[row.field]
    old = before["metadata"]["name"]
    edited = scene.edit(plan, **row.edit)
    scene.kubelet.stop_deleted(old)
    status = scene.phase("Running", plan)
    assert status["observedGeneration"] == edited["metadata"]["generation"] == 2
    assert status["taskId"] != old
    assert status["taskKey"] != before["metadata"]["annotations"]["scanplan.dev/task-key"]
    assert scene.job_of(plan)["metadata"]["uid"] == status["jobRef"]["uid"]
    scene.gone(old)


@pytest.mark.parametrize(("row", "expected"), LIVE, ids=lambda value: value.field if isinstance(value, Row) else "")
def test_a_live_field_acts_on_the_running_job(running: Running, row: Row, expected: dict[str, Any]) -> None:
    """Lost otherwise: the levers on a scan that runs: faster, longer, later."""
    scene, plan, before = running.scene, running.plans[row.field], running.jobs[row.field]
    scene.edit(plan, **row.edit)
    status = scene.until(lambda plan: plan["status"]["observedGeneration"] == 2, plan)["status"]
    assert status["jobRef"]["uid"] == before["metadata"]["uid"]
    assert "AppliesNextRun" not in condition_types(status)
    job = scene.job_of(plan)
    assert {name: job["spec"].get(name) for name in before["spec"]} == {**before["spec"], **expected}


@pytest.mark.parametrize("row", NEXT, ids=lambda row: row.field)
def test_a_next_field_waits_for_the_next_run(running: Running, row: Row) -> None:
    """Lost otherwise: a scan that is thrown away for a memory limit; or the word that the edit is not in force yet."""
    scene, plan, before = running.scene, running.plans[row.field], running.jobs[row.field]
    scene.edit(plan, **row.edit)
    status = scene.phase("Running", plan)
    assert status["observedGeneration"] == 2
    assert condition(status, "AppliesNextRun")["status"] == "True"
    job = scene.job_of(plan)
    assert job["metadata"]["uid"] == before["metadata"]["uid"]
    assert job["spec"] == before["spec"]
    scene.edit(plan, rerun="with the edit")
    scene.kubelet.stop_deleted(before["metadata"]["name"])
    status = scene.phase("Queued" if "queueName" in row.edit else "Running", plan)  # nobody admits it here
    assert status["taskId"] != before["metadata"]["name"]
    assert "AppliesNextRun" not in condition_types(status)


def test_an_edit_taken_back_is_no_edit(scene: Scene) -> None:
    """Lost otherwise: a condition that stays when what it says is over."""
    scene.apply()
    scene.phase("Running")
    scene.edit(retry={"temporary": 1})
    assert "AppliesNextRun" in condition_types(scene.phase("Running"))
    scene.edit(retry={"temporary": 3})
    assert "AppliesNextRun" not in condition_types(scene.phase("Running"))


def test_edits_of_a_completed_plan_run_nothing_unless_they_ask_for_another_scan(scene: Scene) -> None:
    """Lost otherwise: results that vanish by the edit of a memory limit, and generations that are never observed."""
    scene.apply()
    first = scene.complete()
    scene.edit(podTemplate={"resources": {"limits": {"memory": "1Gi"}}}, priority=1)
    second = scene.phase("Completed")
    assert second["observedGeneration"] == 2
    assert all(entry["observedGeneration"] == 2 for entry in second["conditions"])
    assert second["findings"] == first["findings"]
    scene.edit(endpoints=["https://other.example.com"])
    scene.until(lambda plan: plan["status"]["observedGeneration"] == 3 and plan["status"]["phase"] == "Running")
    assert "findings" not in scene.plan()["status"]
    third = scene.complete(findings=FindingCounts(low=1))
    assert third["findings"]["total"] == 1


def test_a_superseded_job_stays_for_those_who_share_it(scene: Scene) -> None:
    """Lost otherwise: a colleague's scan, by an edit of one's own plan."""
    scene.apply("mine", runId="nightly")
    scene.phase("Running", "mine")
    scene.apply("theirs", runId="nightly")
    shared = scene.phase("Running", "theirs")["jobRef"]
    scene.edit("mine", rerun="again")
    scene.until(lambda plan: plan["status"].get("jobRef", shared) != shared, "mine")
    status = scene.complete("theirs")
    assert status["jobRef"] == shared
