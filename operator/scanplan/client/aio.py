"""The library's functions for asyncio: ``await submit_scan_async(plan)``, ``await wait_for_result(task_id)``.

Queues use blocking connections, so each call runs in a thread and does not block the event loop. Cancelling the coroutine does
not cancel the scan. `cancel_task` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from scanplan.client import submission
from scanplan.client.models import ScanPlan, ScanResult, TaskStatus


async def submit_scan(plan: ScanPlan) -> ScanResult | str:
    """See `submission.submit_scan`."""
    return await asyncio.to_thread(submission.submit_scan, plan)


async def run_scan(plan: ScanPlan) -> ScanResult:
    """See `submission.run_scan`."""
    return await asyncio.to_thread(submission.run_scan, plan)


async def submit_scan_async(plan: ScanPlan) -> str:
    """See `submission.submit_scan_async`."""
    return await asyncio.to_thread(submission.submit_scan_async, plan)


async def check_existing_task(plan: ScanPlan) -> str | None:
    """See `submission.check_existing_task`."""
    return await asyncio.to_thread(submission.check_existing_task, plan)


async def get_task_status(task_id: str) -> TaskStatus:
    """See `submission.get_task_status`."""
    return await asyncio.to_thread(submission.get_task_status, task_id)


async def get_scan_result(task_or_run_id: str) -> ScanResult | None:
    """See `submission.get_scan_result`."""
    return await asyncio.to_thread(submission.get_scan_result, task_or_run_id)


async def get_task_result(task_id: str) -> dict[str, Any] | None:
    """See `submission.get_task_result`."""
    return await asyncio.to_thread(submission.get_task_result, task_id)


async def store_task_result(task_id: str, result: Mapping[str, Any]) -> None:
    """See `submission.store_task_result`."""
    await asyncio.to_thread(submission.store_task_result, task_id, result)


async def cancel_task(task_id: str) -> bool:
    """See `submission.cancel_task`."""
    return await asyncio.to_thread(submission.cancel_task, task_id)


async def wait_for_result(task_or_run_id: str, *, interval: float = 1.0) -> ScanResult:
    """Wait until a task has ended, and return its result. `asyncio.timeout` limits the wait.

    Args:
        interval: seconds between two requests for the result.

    Raises:
        UnknownTask: there is no such task, and no such run.
    """
    while True:
        result = await get_scan_result(task_or_run_id)
        if result is not None:
            return result
        await asyncio.sleep(interval)
