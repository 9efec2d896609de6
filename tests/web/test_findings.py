"""The findings view over HTTP: lists of a project's findings for those who may read artifacts, and for nobody else."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import jsonschema
import pytest
import yaml

from scanplan.web.api import openapi
from scanplan.web.ui import feeds
from tests.client.cluster import ControlPlane
from tests.client.laboratory import Laboratory
from tests.integration import audit
from tests.kubectl import KubectlError, eventually
from tests.web.readers import SCANPLANS, Reader, code_of

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("kubernetes_queue")]

DOCUMENT = {"components": openapi.document()["components"]}
LIST = "/api/v1/projects/acme/findings"
SEVERITIES = ["critical", "high", "medium", "low", "info", "unknown"]


class Viewer:
    """Somebody with a token, whose answers are held against the API's document."""

    def __init__(self, api: aiohttp.ClientSession, token: str) -> None:
        self._api = api
        self._headers = {"Authorization": f"Bearer {token}"}

    async def get(self, path: str, schema: str) -> dict[str, Any]:
        async with self._api.get(path, headers=self._headers) as answer:
            content: dict[str, Any] = await answer.json(content_type=None)
            assert answer.status == 200, content
        jsonschema.validate(content, {**DOCUMENT, "$ref": f"#/components/schemas/{schema}"})
        return content

    async def list(self, query: str = "") -> dict[str, Any]:
        return await self.get(f"{LIST}{query}", "Findings")

    async def refused(self, path: str) -> tuple[int, str]:
        async with self._api.get(path, headers=self._headers) as answer:
            return answer.status, (await answer.json(content_type=None)).get("detail", "")


@pytest.fixture
async def scanned(laboratory: Laboratory) -> str:
    """The name of a plan with 14 findings."""
    task_id = await asyncio.to_thread(laboratory.submit, laboratory.plan())
    await asyncio.to_thread(laboratory.result, task_id)
    return task_id


@pytest.fixture
def viewer(api: aiohttp.ClientSession, plane: ControlPlane, namespace: str) -> Viewer:
    return Viewer(api, Reader(plane, namespace, "viewer", SCANPLANS, f"{SCANPLANS}/artifacts").token())


async def test_a_project_is_listed_filtered_sorted_and_paged(scanned: str, viewer: Viewer) -> None:
    (project,) = (await viewer.get("/api/v1/projects", "Projects"))["items"]
    assert (project["project"], project["total"], project["runs"]) == ("acme", 14, 1)
    found = await viewer.list()
    assert (found["total"], found["by_severity"]) == (14, project["open"])
    assert [run["plan"] for run in found["runs"]] == [scanned]
    severities = [item["severity"] for item in found["items"]]
    assert severities == sorted(severities, key=SEVERITIES.index)
    high = await viewer.list("?severity=high,critical")
    assert high["total"] == sum(found["by_severity"].get(name, 0) for name in ("high", "critical"))
    assert (await viewer.list("?text=no-such-text"))["items"] == []
    assert (await viewer.list("?state=resolved"))["total"] == 0
    paged: list[str] = []
    after = ""
    while after is not None:
        page = await viewer.list(f"?sort=where&order=desc&limit=5{after and f'&after={after}'}")
        paged += [item["identity"] for item in page["items"]]
        after = page["after"]
    whole = await viewer.list("?sort=where&order=desc")
    assert paged == [item["identity"] for item in whole["items"]]
    trend = await viewer.get("/api/v1/projects/acme/trend", "Trend")
    assert [point["open"] for point in trend["points"]] == [found["by_severity"]]


async def test_a_finding_has_its_history_its_record_and_an_exception_to_copy(
    scanned: str, viewer: Viewer, plane: ControlPlane, namespace: str
) -> None:
    """The exception is for a reviewer: as it is the cluster refuses it, and with a reason it suppresses this finding alone."""
    item = (await viewer.list())["items"][0]
    path = f"{LIST}/{item['identity']}"
    told = await viewer.get(path, "OneFinding")
    assert "Host: 127.0.0.1" in told["record"]["request"]
    assert told["record"]["response"].startswith("HTTP/1.1")
    assert [run["plan"] for run in told["runs"]] == [scanned]
    exception = yaml.safe_load(told["exception"])
    kubectl = plane.kubectl.in_namespace(namespace)
    with pytest.raises(KubectlError, match="reason"):
        await asyncio.to_thread(kubectl.apply, exception)
    exception["spec"]["reason"] = "a test"
    await asyncio.to_thread(kubectl.apply, exception)
    only = await viewer.list("?suppressed=only")
    assert [each["identity"] for each in only["items"]] == [item["identity"]]
    assert only["items"][0]["suppressed"]["reason"] == "a test"
    assert (await viewer.list("?suppressed=no"))["total"] == 13
    end = (datetime.now(UTC) + timedelta(seconds=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    exception["spec"]["expiresAt"] = end
    await asyncio.to_thread(kubectl.apply, exception)
    for _ in range(60):  # it ends by the clock
        if (await viewer.list("?suppressed=no"))["total"] == 14:
            break
        await asyncio.sleep(0.5)
    else:
        pytest.fail("the exception has not ended")


async def test_only_who_may_read_artifacts_sees_findings(
    scanned: str, api: aiohttp.ClientSession, viewer: Viewer, plane: ControlPlane, namespace: str
) -> None:
    """Lost otherwise: findings of a team, for everybody who may list its plans."""
    others = plane.namespace(f"{namespace}-others")
    identity = (await viewer.list())["items"][0]["identity"]
    of_artifacts = (LIST, "/api/v1/projects/acme/trend", f"{LIST}/{identity}")
    lists_plans = Reader(plane, namespace, "lists", SCANPLANS).token()
    for path in of_artifacts:
        assert await code_of(api, path, None) == 401
        assert await code_of(api, path, lists_plans) == 403
        assert (await viewer.refused(f"{path}?namespace={others}"))[0] == 403
    _, detail = await Viewer(api, lists_plans).refused(LIST)
    assert f"may not get scanplans/artifacts.scanplan.dev in namespace '{namespace}'" in detail
    assert await code_of(api, "/api/v1/projects", lists_plans) == 200
    assert await code_of(api, f"/api/v1/projects?namespace={others}", lists_plans) == 403
    nobody = Reader(plane, namespace, "nobody").token()
    assert await code_of(api, "/api/v1/projects", nobody) == 403
    everywhere = await Viewer(api, lists_plans).get("/api/v1/projects?namespace=*", "Projects")
    assert {each["namespace"] for each in everywhere["items"]} == {namespace}
    assert (await Viewer(api, nobody).get("/api/v1/projects?namespace=*", "Projects"))["items"] == []
    one_plan = Reader(plane, namespace, "one-plan")
    kubectl = plane.kubectl.in_namespace(namespace)
    kubectl.allow("one-plan", "one-plan", "get", f"{SCANPLANS}/artifacts", names=[scanned])
    assert await code_of(api, LIST, one_plan.token()) == 403


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/api/v1/projects/other/findings", 404),
        ("/api/v1/projects/..%2f..%2fetc/findings", 404),
        (f"{LIST}/{'0' * 32}", 404),
        (f"{LIST}/x", 400),
        (f"{LIST}?namespace=-", 400),
        (f"{LIST}?sort=x", 400),
        (f"{LIST}?after={'0' * 32}", 410),
        ("/api/v1/projects?namespace=-", 400),
    ],
)
async def test_what_is_not_there_is_said_so(scanned: str, viewer: Viewer, path: str, code: int) -> None:
    assert scanned
    status, detail = await viewer.refused(path)
    assert status == code
    assert detail


async def test_an_unchanged_list_is_sent_once(
    scanned: str, api: aiohttp.ClientSession, plane: ControlPlane, namespace: str
) -> None:
    assert scanned
    token = Reader(plane, namespace, "viewer", SCANPLANS, f"{SCANPLANS}/artifacts").token()
    headers = {"Authorization": f"Bearer {token}"}
    async with api.get(LIST, headers=headers) as answer:
        tag = answer.headers["ETag"]
        assert answer.headers["Cache-Control"] == "private, no-cache"
    async with api.get(LIST, headers={**headers, "If-None-Match": tag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    async with api.get(f"{LIST}?text=git-config", headers={**headers, "If-None-Match": tag}) as answer:
        assert answer.status == 200


async def test_a_run_that_cant_be_read_is_said_so_and_the_others_are_shown(
    scanned: str, laboratory: Laboratory, viewer: Viewer
) -> None:
    """Lost otherwise: all findings of a project, by one result that was removed or changed."""
    other = await asyncio.to_thread(
        laboratory.submit, laboratory.plan("weekly", templates=[laboratory.template("one")])
    )
    result = await asyncio.to_thread(laboratory.result, other)
    assert (await viewer.list())["total"] == 15
    (laboratory.data / str(result.artifact_path) / "history.ndjson").unlink()
    third = await asyncio.to_thread(laboratory.submit, laboratory.plan("third", templates=[laboratory.template("two")]))
    await asyncio.to_thread(laboratory.result, third)

    found: dict[str, Any] = {}
    while third not in [run["plan"] for run in found.get("runs", ())]:
        found = await viewer.list()
    problems = {run["plan"]: run["problem"] for run in found["runs"]}
    assert (problems[scanned], problems[third]) == ("", "")
    assert "is not on the volume" in problems[other]
    assert found["total"] == 15


async def test_many_questions_cost_the_api_server_one_list_and_one_watch_that_ends(
    scanned: str,
    viewer: Viewer,
    plane: ControlPlane,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert scanned
    monkeypatch.setattr(feeds, "LINGER_SECONDS", 1.0)

    def asked() -> list[str]:
        found = audit.requests(plane.audit_log, namespace, "system:serviceaccount:scanplan-system:scanplan-api")
        return [each.verb for each in found if each.resource == "scanplans" and each.verb != "get"]

    for _ in range(10):
        await viewer.list()
    assert asked() == ["list", "watch"]
    await asyncio.sleep(2)
    await viewer.list()
    eventually(lambda: asked().count("list") == 2)  # the audit log is written a moment later
