"""Runs the parts of a process together: where one ends, all end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any


async def until_one_ends(*parts: Awaitable[Any]) -> None:
    """Run all parts until the first of them ends; then the others are cancelled.

    Watches without workers, or workers without watches, would look alive and do nothing.

    Raises:
        What that first part has raised.
    """
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
