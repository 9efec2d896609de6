"""Many scans at once from an asyncio program, whatever queue they go to.

python examples/python/awaited.py https://a.example.com https://b.example.com
"""

from __future__ import annotations

import asyncio
import sys

from scanplan.client import ScanPlan, ScanResult, aio

DEADLINE_SECONDS = 3_600


async def scan(endpoint: str, number: int) -> ScanResult:
    """One scan, within a deadline."""
    plan = ScanPlan(run_id=f"example-{number}", project_id="examples", endpoints=[endpoint], templates=["http/"])
    task_id = await aio.submit_scan_async(plan)
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await aio.wait_for_result(task_id)
    except TimeoutError:
        await aio.cancel_task(task_id)  # what it has found is kept
        return await aio.wait_for_result(task_id)


async def main(endpoints: list[str]) -> int:
    """Scan all endpoints, each as a run of its own."""
    results = await asyncio.gather(*(scan(endpoint, number) for number, endpoint in enumerate(endpoints)))
    for endpoint, result in zip(endpoints, results, strict=True):
        print(f"{endpoint}: {result.status.value}, {result.finding_count} findings")
    return 0 if all(result.success for result in results) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
