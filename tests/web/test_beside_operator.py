"""The API and the operator, each in a process of its own: what is done to the one is not felt by the other."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests import attack
from tests.client.cluster import ControlPlane
from tests.client.laboratory import Laboratory
from tests.client.servers import RedisServer
from tests.deploy import ROOT, SYSTEM_NAMESPACE
from tests.integration.operator_process import OperatorProcess
from tests.kubectl import eventually
from tests.ports import free_port

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("kubernetes_queue")]

HALF = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: "
BLOCK = 64 << 10
GROWTH_BYTES = 64 << 20


class Ports:
    """Of one test's processes."""

    def __init__(self) -> None:
        self.api, self.probe, self.metrics = free_port(), free_port(), free_port()


@pytest.fixture
def ports() -> Ports:
    return Ports()


@pytest.fixture
def operator(
    plane: ControlPlane, namespace: str, ports: Ports, tmp_path: Path, redis_of_session: RedisServer
) -> Iterator[OperatorProcess]:
    """A second operator, for this test's namespace: two at a time are harmless."""
    settings = {
        "SCANPLAN_API_PORT": str(ports.api),
        "SCANPLAN_PROBE_PORT": str(ports.probe),
        "SCANPLAN_METRICS_PORT": str(ports.metrics),
        "SCANPLAN_DENIED_TARGETS": "denied.example",
        "REDIS_URL": redis_of_session.url,
    }
    kubeconfig = plane.kubeconfig_of(SYSTEM_NAMESPACE, "scanplan-operator")
    process = OperatorProcess(kubeconfig, [namespace], tmp_path / "operator.log", **settings).start(fresh=True)
    yield process
    code = process.stop()
    print(f"--- log of the operator\n{process.text()}")
    assert code == os.EX_OK


@pytest.fixture
def api(plane: ControlPlane, namespace: str, ports: Ports, tmp_path: Path) -> Iterator[int]:
    """The process that serves the API, with the rights that are documented for it; gives its PID."""
    plane.kubectl.apply(*yaml.safe_load_all((ROOT / "examples/python/api-rbac.yaml").read_text()))
    variables = {
        **os.environ,
        "KUBECONFIG": str(plane.kubeconfig_of(SYSTEM_NAMESPACE, "scanplan-api")),
        "SCANPLAN_NAMESPACE": namespace,
        "SCANPLAN_API_PORT": str(ports.api),
    }
    with (tmp_path / "api.log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "scanplan", "api"], env=variables, stderr=log)
    yield process.pid
    process.terminate()
    assert process.wait(timeout=120) == os.EX_OK


def code_of(port: int, path: str) -> int:
    """Asked by somebody who has no connection yet; 0: no answer."""
    with urllib3.PoolManager(retries=False, timeout=120) as http:
        try:
            return http.request("GET", f"http://127.0.0.1:{port}{path}").status
        except urllib3.exceptions.HTTPError:
            return 0


def metrics(port: int) -> dict[str, float]:
    text = urllib3.request("GET", f"http://127.0.0.1:{port}/metrics").data.decode()
    return {
        " ".join([sample.name, *sorted(sample.labels.values())]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_an_operator_serves_metrics_and_no_api(laboratory: Laboratory, operator: OperatorProcess, ports: Ports) -> None:
    operator.wait_until_watching()
    task_id = laboratory.submit(laboratory.plan())
    laboratory.result(task_id)
    eventually(lambda: metrics(ports.metrics)["scanplan_operator_plans Completed"] == 1)
    found = metrics(ports.metrics)
    assert found["scanplan_operator_reconcile_seconds_count"] > 0
    assert any(name.startswith("scanplan_operator_api_requests_total") for name in found)
    assert found["scanplan_operator_queue_length"] == 0
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", ports.api)):
        pass


def test_an_attack_on_any_port_leaves_the_operator_at_work(
    laboratory: Laboratory, operator: OperatorProcess, api: int, ports: Ports
) -> None:
    """Lost otherwise: 300 connections end the process that starts the scans."""
    operator.wait_until_watching()
    eventually(lambda: code_of(ports.api, "/readyz") == 200)
    before = {pid: attack.resident_bytes(pid) for pid in (operator.pid, api)}
    with contextlib.ExitStack() as stack:
        for port in (ports.api, ports.probe, ports.metrics):
            stack.enter_context(attack.half_requests(port, 300, HALF, b"a" * BLOCK, 16))
        task_id = laboratory.submit(laboratory.plan())
        laboratory.result(task_id)
        assert code_of(ports.api, f"/api/v1/tasks/{task_id}/status") == 401
        answers = [(ports.api, "/readyz"), (ports.probe, "/healthz"), (ports.probe, "/readyz")]
        assert [code_of(*each) for each in answers] == [200] * 3
        assert metrics(ports.metrics)["scanplan_operator_plans Completed"] == 1
        for pid, resident in before.items():
            assert attack.resident_bytes(pid) - resident < GROWTH_BYTES
    assert operator.alive
