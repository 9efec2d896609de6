"""A real Prometheus scrapes a real operator, and every query of alerts and dashboard is asked of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from scanplan.api.documents.words import ErrorClass
from scanplan.api.exit_codes import ExitCode
from scanplan.api.v1alpha1.conditions import Reason
from tests.cluster.local import binaries
from tests.ecosystem import programs
from tests.ecosystem.test_monitoring_files import FILES, PANELS, RULES
from tests.fixtures.operators import StartOperator
from tests.integration import reports, test_notifiers
from tests.integration.scene import Scene
from tests.kubectl import eventually
from tests.ports import free_port

pytestmark = [pytest.mark.ecosystem]

PROMETHEUS = binaries.TOOLS / "prometheus"
HTTP = urllib3.PoolManager(retries=False, timeout=10)


def tested(*arguments: str) -> None:
    done = subprocess.run(
        [str(programs.path(PROMETHEUS, "promtool")), *arguments], capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stdout + done.stderr


def test_the_rules_are_rules() -> None:
    tested("check", "rules", str(FILES / "alerts.yaml"))


def test_alerts_fire_when_they_should_and_only_then() -> None:
    tested("test", "rules", str(Path(__file__).with_name("alerts_test.yaml")))


class Prometheus:
    """A server that scrapes one address every second."""

    def __init__(self, folder: Path, target: str) -> None:
        self._url = f"http://127.0.0.1:{free_port()}"
        configuration = folder / "prometheus.yaml"
        scrape = {"job_name": "scanplan", "static_configs": [{"targets": [target]}]}
        configuration.write_text(
            yaml.safe_dump(
                {
                    "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                    "rule_files": [str(FILES / "alerts.yaml")],
                    "scrape_configs": [scrape],
                }
            )
        )
        with (folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    str(programs.path(PROMETHEUS, "prometheus")),
                    f"--config.file={configuration}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address={self._url.removeprefix('http://')}",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def query(self, expression: str) -> list[dict[str, Any]]:
        answer = HTTP.request("GET", f"{self._url}/api/v1/query", fields={"query": expression})
        body = json.loads(answer.data)
        assert body["status"] == "success", f"{expression}: {body}"
        result: list[dict[str, Any]] = body["data"]["result"]
        return result

    def scraped(self) -> bool:
        """Whether counters have been seen often enough for a rate."""
        try:
            return bool(self.query("count_over_time(scanplan_operator_queue_length[1m]) > 3"))
        except urllib3.exceptions.HTTPError:
            return False


@pytest.fixture
def prometheus(alone: Scene, start_operator: StartOperator, tmp_path: Path) -> Iterator[Prometheus]:
    port = free_port()
    start_operator(SCANPLAN_METRICS_PORT=str(port))
    # Its Secret is not there, so the message stays in the outbox.
    alone.kubectl.apply(test_notifiers.manifest(test="waits"))
    alone.apply("whole")
    alone.complete("whole")
    alone.apply("broken", endpoints=["https://other.example.com"])
    (pod,) = alone.run("broken")
    error = reports.failed(ErrorClass.FATAL, Reason.NO_TEMPLATES_LOADED, "no template could be loaded")
    alone.kubelet.end(pod, ExitCode.FATAL, error)
    alone.phase("Failed", "broken")
    alone.eventually(lambda: test_notifiers.get(alone)["status"].get("pending"))
    server = Prometheus(tmp_path, f"127.0.0.1:{port}")
    try:
        eventually(server.scraped)
        yield server
    finally:
        server.process.terminate()
        server.process.wait()


OPTIONAL = ("scanplan_queue_", "scanplan_api_", "scanplan_task", "scanplan_findings", "scanplan_operator_publications")
"""Of a Redis, or of an API that serves a queue: not there in this operator."""


@pytest.mark.integration
def test_every_query_is_answered(prometheus: Prometheus) -> None:
    for rule in RULES:
        prometheus.query(rule["expr"])
    empty = [
        target["expr"]
        for panel in PANELS
        for target in panel.get("targets", ())
        if not prometheus.query(target["expr"].replace("$__rate_interval", "1m"))
        and not any(name in target["expr"] for name in OPTIONAL)
    ]
    assert empty == []
    phases = {entry["metric"]["phase"]: entry["value"][1] for entry in prometheus.query("scanplan_operator_plans")}
    assert (phases["Completed"], phases["Failed"]) == ("1", "1")
    labels = {
        f"{name}={value}"
        for entry in prometheus.query('{__name__=~"scanplan_.*"}')
        for name, value in entry["metric"].items()
    }
    assert not {label for label in labels if "example.com" in label or "whole" in label or "broken" in label}
