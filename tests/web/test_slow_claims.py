"""Claims that are slow or never mounted: their readers wait, and nobody else does."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from scanplan.client.cluster import cluster, reader
from scanplan.web.artifacts import remote
from tests.client.cluster import ControlPlane
from tests.client.laboratory import Laboratory
from tests.web.conftest import StartApi
from tests.web.readers import FINDINGS, SCANPLANS, Reader

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("kubernetes_queue")]


class Claims:
    """Stands in for reader pods: those of slow plans never start, those of others have the laboratory's claim."""

    def __init__(self, data: Path) -> None:
        self.slow: set[str] = set()
        self.stuck = 0
        self.go = threading.Event()
        self._data = data

    @contextmanager
    def opened(self, _cluster: object, plan: dict[str, Any], *_: object, **__: object) -> Iterator[Claims]:
        if plan["metadata"]["name"] in self.slow:
            self.stuck += 1
            self.go.wait(120)
        yield self

    def copy(self, path: str, into: Any) -> None:
        into.write((self._data / path).read_bytes())


@pytest.fixture
async def claims(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Claims]:
    made = Claims(laboratory.data)
    monkeypatch.setattr(reader, "opened", made.opened)
    yield made
    made.go.set()


async def test_stuck_reads_of_a_few_users_leave_the_others_served(
    plane: ControlPlane,
    namespace: str,
    laboratory: Laboratory,
    claims: Claims,
    api: aiohttp.ClientSession,
    start_api: StartApi,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Lost otherwise: everybody's artifacts, for as long as two users ask for those of a claim that can't be mounted."""
    assert api  # for its rights
    ended = [await asyncio.to_thread(laboratory.submit, laboratory.plan(f"run-{number}")) for number in range(4)]
    for task_id in ended:
        await asyncio.to_thread(laboratory.result, task_id)
    *slow, quick = ended
    claims.slow = set(slow)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("SCANPLAN_DATA_DIRECTORY", str(tmp_path / "elsewhere"))
    # The package has read KUBECONFIG when it was imported.
    monkeypatch.setattr(remote, "connect", partial(cluster.connect, kubeconfig=Path(os.environ["KUBECONFIG"])))
    session = await start_api(authentication="kubernetes", reader_pods=True)
    users = [
        Reader(plane, namespace, f"user-{number}", SCANPLANS, f"{SCANPLANS}/artifacts").token() for number in range(4)
    ]

    async def fetch(task_id: str, token: str, seconds: float) -> int:
        path = f"/api/v1/tasks/{task_id}/artifacts/{FINDINGS}"
        limit = aiohttp.ClientTimeout(total=seconds)
        async with session.get(path, headers={"Authorization": f"Bearer {token}"}, timeout=limit) as answer:
            await answer.read()
            return answer.status

    async def come_and_go(task_id: str, token: str) -> None:
        with pytest.raises(TimeoutError):
            await fetch(task_id, token, 2)

    await asyncio.gather(*(come_and_go(task_id, token) for token in users[:3] for task_id in slow))
    waiting = [asyncio.create_task(fetch(task_id, token, 100)) for token in users[:3] for task_id in slow]
    assert await fetch(quick, users[3], 60) == 200
    assert 0 < claims.stuck <= 3, "a thread for each of these users, however often they ask"
    assert not any(task.done() for task in waiting)
    claims.go.set()
    assert set(await asyncio.gather(*waiting)) == {200}
