"""Who may read is Kubernetes' own decision: real tokens, real RBAC, a real API server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.client.cluster import ControlPlane
from tests.client.laboratory import Laboratory
from tests.deploy import ROOT
from tests.integration import audit
from tests.kubectl import eventually
from tests.web.readers import FINDINGS, SCANPLANS, Reader, code_of

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("kubernetes_queue")]


async def test_rights_are_those_of_kubernetes(
    api: aiohttp.ClientSession, plane: ControlPlane, namespace: str, laboratory: Laboratory
) -> None:
    task_id = await asyncio.to_thread(laboratory.submit, laboratory.plan())
    await asyncio.to_thread(laboratory.result, task_id)
    status, artifact = f"/api/v1/tasks/{task_id}/status", f"/api/v1/tasks/{task_id}/artifacts/{FINDINGS}"
    nobody = Reader(plane, namespace, "nobody")
    viewer = Reader(plane, namespace, "viewer", SCANPLANS)
    analyst = Reader(plane, namespace, "analyst", SCANPLANS, f"{SCANPLANS}/artifacts")

    async def codes(token: str | None) -> tuple[int, int, int]:
        health = await code_of(api, "/api/v1/queue/health", token)
        return await code_of(api, status, token), await code_of(api, artifact, token), health

    assert await codes(None) == (401, 401, 401)
    assert await codes("nonsense") == (401, 401, 401)
    assert await codes(nobody.token()) == (403, 403, 403)
    assert await codes(viewer.token()) == (200, 403, 200)
    assert await codes(analyst.token()) == (200, 200, 200)
    # A token for the API server itself, stolen from a pod or the other way round, opens nothing here.
    assert await codes(analyst.token("https://kubernetes.default.svc.cluster.local")) == (401, 401, 401)
    assert await code_of(api, f"{status}?namespace=default", analyst.token()) == 403
    for path in ("/healthz", "/readyz", "/metrics", "/api/v1/openapi.json"):
        assert await code_of(api, path, None) == 200


async def test_the_role_grants_what_the_api_uses(
    api: aiohttp.ClientSession, plane: ControlPlane, namespace: str, laboratory: Laboratory
) -> None:
    """Lost otherwise: an API that fails on a rare path, or one that a stolen token can do more with than read."""
    task_id = await asyncio.to_thread(laboratory.submit, laboratory.plan())
    await asyncio.to_thread(laboratory.result, task_id)
    analyst = Reader(plane, namespace, "analyst", SCANPLANS, f"{SCANPLANS}/artifacts")
    headers = {"Authorization": f"Bearer {analyst.token()}"}
    task = f"/api/v1/tasks/{task_id}"
    for path in ("/readyz", "/metrics", f"{task}/status", f"{task}/reports/csv", "/api/v1/queue/health"):
        async with api.get(path, headers=headers) as answer:
            assert answer.status == 200, path
    async with api.get("/api/v1/events", headers=headers) as stream:
        await stream.content.readline()

    def used() -> set[tuple[str, str, str]]:
        account = "system:serviceaccount:scanplan-system:scanplan-api"
        return {request.right for request in audit.requests(plane.audit_log, None, account)}

    documents = yaml.safe_load_all((ROOT / "examples/python/api-rbac.yaml").read_text())
    (role,) = (document for document in documents if document["kind"] == "ClusterRole")
    granted = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    reviews = {
        ("authentication.k8s.io", "tokenreviews", "create"),
        ("authorization.k8s.io", "subjectaccessreviews", "create"),
    }
    await asyncio.to_thread(eventually, lambda: used() == granted | reviews)
    assert {(group, resource) for group, resource, _ in granted} == {
        ("scanplan.dev", "scanplans"),
        ("scanplan.dev", "scanexceptions"),
    }


def test_the_plain_manifests_are_accepted(plane: ControlPlane) -> None:
    files = [
        argument for name in ("python/api-rbac.yaml", "install/api.yaml") for argument in ("-f", f"examples/{name}")
    ]
    absolute = [str(ROOT / argument) if argument != "-f" else argument for argument in files]
    plane.kubectl("apply", "--dry-run=server", *absolute)


async def test_the_same_path_on_another_namespaces_volume_is_not_served(
    api: aiohttp.ClientSession, plane: ControlPlane, namespace: str, laboratory: Laboratory
) -> None:
    """A plan of the same content elsewhere has the same path: its readers must not get this namespace's findings by it."""
    task_id = await asyncio.to_thread(laboratory.submit, laboratory.plan())
    await asyncio.to_thread(laboratory.result, task_id)
    elsewhere = plane.namespace(f"{namespace}-elsewhere")
    here: dict[str, Any] = plane.kubectl.in_namespace(namespace).get("scanplan", task_id)
    copy = {name: here[name] for name in ("apiVersion", "kind", "spec")}
    plane.kubectl.in_namespace(elsewhere).apply({**copy, "metadata": {"name": task_id}})
    patch = yaml.safe_dump({"status": {**here["status"], "observedGeneration": 1}})
    plane.kubectl.in_namespace(elsewhere)(
        "patch", "scanplan", task_id, "--subresource=status", "--type=merge", "--patch", patch
    )
    thief = Reader(plane, elsewhere, "thief", SCANPLANS, f"{SCANPLANS}/artifacts").token()
    path = f"/api/v1/tasks/{task_id}/artifacts/{FINDINGS}"
    assert await code_of(api, path, thief) == 403
    assert await code_of(api, f"{path}?namespace={elsewhere}", thief) == 404


async def test_schemathesis_finds_nothing(
    api: aiohttp.ClientSession, plane: ControlPlane, namespace: str, laboratory: Laboratory
) -> None:
    url = str(api._base_url).rstrip("/")
    token = Reader(plane, namespace, "analyst", SCANPLANS, f"{SCANPLANS}/artifacts").token()
    command = [str(Path(sys.prefix) / "bin/schemathesis"), "run", f"{url}/api/v1/openapi.json", "--url", url]
    command += ["--header", f"Authorization: Bearer {token}", "--checks", "all", "--max-examples", "25"]
    # Their answers have no end; test_page.py and test_running.py hold what is in them against the document.
    command += ["--workers", "1", "--seed", "1", "--no-color", "--exclude-path", "/api/v1/events"]
    command += ["--exclude-path", "/api/v1/tasks/{task_id}/running"]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, cwd=laboratory.folder
    )
    assert done.returncode == 0, done.stdout + done.stderr
