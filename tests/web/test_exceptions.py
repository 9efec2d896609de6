"""Reports of the API go by the exceptions and the clock of now, with the rights that are documented for it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
import yaml

from tests.client.cluster import ControlPlane
from tests.client.laboratory import Laboratory
from tests.deploy import ROOT
from tests.web.conftest import StartApi


@pytest.fixture
async def open_api(
    plane: ControlPlane,
    namespace: str,
    kubernetes_queue: object,
    start_api: StartApi,
    monkeypatch: pytest.MonkeyPatch,
) -> aiohttp.ClientSession:
    """The API over the cluster's plans, with its own account, open to everybody."""
    assert kubernetes_queue
    plane.kubectl.apply(*yaml.safe_load_all((ROOT / "examples/python/api-rbac.yaml").read_text()))
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig_of("scanplan-system", "scanplan-api")))
    monkeypatch.setenv("SCANPLAN_NAMESPACE", namespace)
    return await start_api()


async def text(api: aiohttp.ClientSession, path: str) -> str:
    async with api.get(path) as answer:
        assert answer.status == 200
        return await answer.text()


async def test_reports_go_by_the_exceptions_of_today(
    open_api: aiohttp.ClientSession, laboratory: Laboratory, plane: ControlPlane, namespace: str
) -> None:
    """A decision of now holds for the scan before it, and one that is taken back no longer does."""
    task_id = laboratory.submit(laboratory.plan())
    laboratory.result(task_id)
    where = f"/api/v1/tasks/{task_id}/reports"
    kubectl = plane.kubectl.in_namespace(namespace)

    async def alerts(query: str = "") -> list[dict[str, Any]]:
        return list(json.loads(await text(open_api, f"{where}/sarif{query}"))["runs"][0]["results"])

    async def lives() -> list[str]:
        """Names of the exceptions that findings over time fall under; empty where there is none."""
        items = json.loads(await text(open_api, f"/api/v1/tasks/{task_id}/history"))["items"]
        return [(item["suppressed"] or {"exception": ""})["exception"] for item in items]

    assert len(await alerts()) == 14
    assert set(await lives()) == {""}
    end = (datetime.now(UTC) + timedelta(days=9)).strftime("%Y-%m-%dT%H:%M:%SZ")
    spec = {"match": {"templates": ["*"], "paths": ["/*"]}, "reason": "a test", "expiresAt": end}
    kubectl.apply(
        {"apiVersion": "scanplan.dev/v1alpha1", "kind": "ScanException", "metadata": {"name": "x"}, "spec": spec}
    )
    assert await alerts() == []
    assert len([each for each in await alerts("?include_suppressed=true") if "suppressions" in each]) == 14
    assert (await text(open_api, f"{where}/csv")).count('"AcceptedRisk"') == 14
    assert (await text(open_api, f"{where}/html")).count('data-suppressed=""') == 14
    assert set(await lives()) == {"x"}
    kubectl("delete", "scanexception", "x")
    assert len(await alerts()) == 14
    assert set(await lives()) == {""}
