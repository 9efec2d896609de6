"""The API in the operator's own process, beside the operator's metrics."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.client.cluster import ROOT, ControlPlane
from tests.client.laboratory import Laboratory
from tests.client.servers import RedisServer
from tests.deploy import SYSTEM_NAMESPACE
from tests.integration.operator_process import OperatorProcess
from tests.kubectl import eventually
from tests.ports import free_port

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("kubernetes_queue")]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def metrics_port() -> int:
    return free_port()


@pytest.fixture
def operator(
    request: pytest.FixtureRequest,
    plane: ControlPlane,
    port: int,
    metrics_port: int,
    tmp_path: Path,
    redis_of_session: RedisServer,
) -> Iterator[OperatorProcess]:
    """A second operator, for this test's namespace: two at a time are harmless."""
    rights = list(yaml.safe_load_all((ROOT / "examples/python/api-rbac.yaml").read_text()))
    for binding in rights:
        if "subjects" in binding:
            binding["subjects"].append({**binding["subjects"][0], "name": "scanplan-operator"})
    plane.kubectl.apply(*rights)
    kubeconfig = plane.kubeconfig_of(SYSTEM_NAMESPACE, "scanplan-operator")
    settings = {
        "SCANPLAN_API_ENABLED": "true",
        "SCANPLAN_API_PORT": str(port),
        "SCANPLAN_METRICS_PORT": str(metrics_port),
        "SCANPLAN_DENIED_TARGETS": "denied.example",
        "REDIS_URL": redis_of_session.url,
    }
    namespace = f"c{request.session.items.index(request.node)}"
    process = OperatorProcess(kubeconfig, [namespace], tmp_path / "operator.log", **settings).start()
    yield process
    code = process.stop()
    print(f"--- log of the operator\n{process.text()}")
    assert code == os.EX_OK


def test_an_operator_that_serves_and_is_measured(
    laboratory: Laboratory, operator: OperatorProcess, port: int, metrics_port: int
) -> None:
    http = urllib3.PoolManager(retries=False, timeout=10)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return http.request("GET", f"{url}/readyz").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    eventually(answers)
    operator.wait_until_watching()
    task_id = laboratory.submit(laboratory.plan())
    laboratory.result(task_id)
    assert http.request("GET", f"{url}/api/v1/tasks/{task_id}/status").status == 401

    def metrics() -> dict[str, float]:
        text = http.request("GET", f"http://127.0.0.1:{metrics_port}/metrics").data.decode()
        families = text_string_to_metric_families(text)
        return {
            " ".join([sample.name, *sorted(sample.labels.values())]): sample.value
            for family in families
            for sample in family.samples
        }

    eventually(lambda: metrics()["scanplan_operator_plans Completed"] == 1)
    found = metrics()
    assert found["scanplan_operator_reconcile_seconds_count"] > 0
    assert any(name.startswith("scanplan_operator_api_requests_total") for name in found)
    assert found["scanplan_operator_queue_length"] == 0
