"""The library's functions for asyncio: ``await submit_scan_async(plan)``, ``await wait_for_result(task_id)``.

Queues use blocking connections, so each call runs in a thread and does not block the event loop. Calls that may scan have threads
of their own: a scan may hold one for hours. Cancelling the coroutine does not cancel the scan. `cancel_task` does.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from scanplan.client import submission
from scanplan.client.models import ScanPlan, ScanResult, TaskStatus

_Parameters = ParamSpec("_Parameters")
_Answer = TypeVar("_Answer")

_SCANS = ThreadPoolExecutor(1_000, "scanplan-scan")
_CALLS = ThreadPoolExecutor(16, "scanplan-call")
"""Not the threads of asyncio, which are few, and in which all names are looked up."""


async def _called_in(
    threads: ThreadPoolExecutor,
    call: Callable[_Parameters, _Answer],
    *arguments: _Parameters.args,
    **options: _Parameters.kwargs,
) -> _Answer:
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(threads, lambda: context.run(call, *arguments, **options))


async def submit_scan(plan: ScanPlan) -> ScanResult | str:
    """See `submission.submit_scan`."""
    return await _called_in(_SCANS, submission.submit_scan, plan)


async def run_scan(plan: ScanPlan) -> ScanResult:
    """See `submission.run_scan`."""
    return await _called_in(_SCANS, submission.run_scan, plan)


async def submit_scan_async(plan: ScanPlan) -> str:
    """See `submission.submit_scan_async`."""
    return await _called_in(_SCANS, submission.submit_scan_async, plan)


async def check_existing_task(plan: ScanPlan) -> str | None:
    """See `submission.check_existing_task`."""
    return await _called_in(_CALLS, submission.check_existing_task, plan)


async def get_task_status(task_id: str) -> TaskStatus:
    """See `submission.get_task_status`."""
    return await _called_in(_CALLS, submission.get_task_status, task_id)


async def get_scan_result(task_or_run_id: str) -> ScanResult | None:
    """See `submission.get_scan_result`."""
    return await _called_in(_CALLS, submission.get_scan_result, task_or_run_id)


async def get_task_result(task_id: str) -> dict[str, Any] | None:
    """See `submission.get_task_result`."""
    return await _called_in(_CALLS, submission.get_task_result, task_id)


async def store_task_result(task_id: str, result: Mapping[str, Any]) -> None:
    """See `submission.store_task_result`."""
    await _called_in(_CALLS, submission.store_task_result, task_id, result)


async def cancel_task(task_id: str) -> bool:
    """See `submission.cancel_task`."""
    return await _called_in(_CALLS, submission.cancel_task, task_id)


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
