"""The functions for asyncio."""

from __future__ import annotations

import inspect

import pytest

from scanplan.client import aio, submission

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
