"""What projects are read from: lost otherwise is all of a project by one bad file, or the page for everybody by one user."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from scanplan.api import layout
from scanplan.web.api.access import Caller
from scanplan.web.api.blocking import Calls
from scanplan.web.artifacts import turns
from scanplan.web.artifacts.places import Places
from scanplan.web.findings.projects import Projects
from tests.unit.report import events
from tests.web.scene import NAMESPACE, Scene

DAY = datetime(2026, 11, 20, tzinfo=UTC)
LIST = f"/api/v1/projects/shop/findings?namespace={NAMESPACE}"


async def answered(scene: Scene, path: str = LIST) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession(scene.url) as client, client.get(path) as answer:
        return answer.status, await answer.json(content_type=None)


def two_runs(folder: Path) -> Scene:
    scene = Scene(folder)
    for run in ("one", "other"):
        scene.add("shop", run, [(DAY, [events.event(**{"matched-at": f"https://h.example/{run}"})])])
    return scene


def histories(folder: Path, run: str = "*") -> list[Path]:
    return list(folder.glob(f"ui_projects/{run}/**/{layout.HISTORY}"))


async def test_a_history_that_was_changed_is_told_and_the_others_are_shown(tmp_path: Path) -> None:
    scene = two_runs(tmp_path)
    (file,) = histories(tmp_path, "other")
    file.write_bytes(file.read_bytes().replace(b"other", b"forged"))
    async with scene:
        status, found = await answered(scene)
    assert status == 200
    assert [item["where"] for item in found["items"]] == ["https://h.example/one"]
    problems = {run["run"]: run["problem"] for run in found["runs"]}
    assert problems == {"one": "", "other": "history.ndjson of other-1 is not what was published"}


async def test_what_cant_be_read_is_not_tried_at_each_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: a reader pod for each question, of a claim that is gone."""
    asked: list[str] = []
    original = Places.of

    async def counted(self: Places, caller: Caller, namespace: str, result: Any, names: list[str]) -> Any:
        asked.append(result.task_id)
        return await original(self, caller, namespace, result, names)

    monkeypatch.setattr(Places, "of", counted)
    scene = two_runs(tmp_path)
    for file in histories(tmp_path):
        file.unlink()
    async with scene:
        for _ in range(3):
            status, problem = await answered(scene)
            assert (status, problem["title"]) == (404, "No history can be read")
    assert sorted(asked) == ["one-1", "other-1"]


async def test_a_new_result_is_read_and_an_old_one_forgotten(tmp_path: Path) -> None:
    scene = two_runs(tmp_path)
    async with scene:
        assert (await answered(scene))[1]["total"] == 2
        scene.add("shop", "third", [(DAY, [events.event(**{"matched-at": "https://h.example/third"})])])
        assert (await answered(scene))[1]["total"] == 3


async def test_without_plans_there_are_no_projects(tmp_path: Path) -> None:
    calls = Calls()
    projects = Projects(calls, Places(tmp_path, NAMESPACE, calls, None), None, lambda _: pytest.fail("not asked"))
    with pytest.raises(web.HTTPNotFound):
        await projects.results(NAMESPACE)


async def test_a_user_who_asks_without_end_leaves_the_others_served(tmp_path: Path) -> None:
    calls = Calls()
    projects = Projects(calls, Places(tmp_path, NAMESPACE, calls, None), None, lambda _: pytest.fail("not asked"))
    end = threading.Event()
    greedy, other = (Caller(user={"username": name}) for name in ("greedy", "other"))
    held = [asyncio.create_task(projects.turn(greedy, "team", end.wait)) for _ in range(turns.MAX_WAITING)]
    await asyncio.sleep(0.05)
    with pytest.raises(web.HTTPTooManyRequests):
        await projects.turn(greedy, "team", lambda: True)
    assert await projects.turn(other, "team", lambda: True)
    end.set()
    await asyncio.gather(*held)
    projects.close()
    calls.close()
