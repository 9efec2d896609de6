"""The functions for asyncio."""

from __future__ import annotations

import asyncio
import inspect
import threading

import pytest

from scanplan.client import aio, submission
from scanplan.client.models import ScanPlan

PLAN = ScanPlan("r", "p", ["https://a.example"], ["http/"])

FUNCTIONS = {
    name: function
    for name, function in inspect.getmembers(submission, inspect.isfunction)
    if function.__module__ == submission.__name__
    and not name.startswith("_")
    and name not in {"queue_for", "task_queue"}
}


@pytest.mark.parametrize("name", FUNCTIONS)
async def test_each_function_can_be_awaited(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: what docs/migration.md says of them."""
    wanted, awaited = inspect.signature(FUNCTIONS[name]), getattr(aio, name)
    assert inspect.signature(awaited) == wanted
    given = [object() for _ in wanted.parameters]
    monkeypatch.setattr(submission, name, lambda *arguments: arguments)
    answer = await awaited(*given)
    assert answer is None or list(answer) == given


async def test_any_number_of_scans_holds_up_no_other_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: a cancellation, and every name that the program looks up, until a scan has ended."""
    go_on = threading.Event()
    monkeypatch.setattr(submission, "run_scan", lambda _: go_on.wait(600))
    monkeypatch.setattr(submission, "cancel_task", lambda _: True)
    scans = [asyncio.create_task(aio.run_scan(PLAN)) for _ in range(100)]
    await asyncio.sleep(0)
    assert await aio.cancel_task("scan-0123456789abcdef0123")
    assert await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)
    assert not any(scan.done() for scan in scans)
    go_on.set()
    assert all(await asyncio.gather(*scans))
