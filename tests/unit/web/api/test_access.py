"""Who may read. Lost otherwise: the API's memory, by names that callers make up and that are kept with decisions about them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from scanplan.client.settings import ClientSettings
from scanplan.kube.objects import Object
from scanplan.kube.resources import ACCESS_REVIEWS, Resource
from scanplan.web import application
from scanplan.web.settings import ApiSettings


class Cluster:
    """An API server that lets everybody read; it keeps whose names it was asked about."""

    namespace = "team-a"

    def __init__(self, *_: object) -> None:
        self.asked: list[str] = []

    def review(self, resource: Resource, manifest: Object) -> Object:
        if resource == ACCESS_REVIEWS:
            self.asked.append(manifest["spec"]["resourceAttributes"].get("name", ""))
            return {"status": {"allowed": True}}
        return {
            "status": {
                "authenticated": True,
                "audiences": manifest["spec"]["audiences"],
                "user": {"username": "reader"},
            }
        }

    def close(self) -> None:
        """As the client does."""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    monkeypatch.setattr(application, "KubernetesApi", lambda *_: made)
    return made


@pytest.fixture
async def api(cluster: Cluster, tmp_path: Path) -> AsyncIterator[TestClient[Request, Application]]:
    assert cluster
    async with TestClient(
        TestServer(application.build(ClientSettings(data_directory=tmp_path), ApiSettings()))
    ) as made:
        yield made


@pytest.mark.parametrize(
    ("task_id", "asked"),
    [("scan-00000000000000000000", True), ("a" * 253, True), ("a" * 254, False), ("😀" * 100, False), ("A", False)],
)
async def test_no_decision_is_kept_about_a_task_that_can_have_no_such_name(
    api: TestClient[Request, Application], cluster: Cluster, task_id: str, asked: bool
) -> None:
    resources = (resource.canonical for resource in api.app.router.resources())
    paths = [path for path in resources if "{task_id}" in path]
    assert len(paths) >= 6
    for path in paths:
        url = path.replace("{task_id}", task_id).replace("{name}", "csv")
        async with api.get(url, headers={"Authorization": "Bearer token"}) as answer:
            assert answer.status == 404, url
    assert set(cluster.asked) == ({task_id} if asked else set())
