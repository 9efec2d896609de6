"""Submit a scan, do something else, and ask for its result: the same program for every queue.

    ENABLE_ASYNC_TASKS=true TASK_QUEUE_TYPE=redis REDIS_URL=redis://localhost:6379/0 \
        python examples/python/queued.py https://app.example.com

With TASK_QUEUE_TYPE=redis, `scanplan worker` has to run somewhere; with kubernetes, the operator.
"""

from __future__ import annotations

import sys
import time

from scanplan.client import ScanPlan, get_scan_result, get_task_status, submit_scan_async


def main(endpoints: list[str]) -> int:
    """Submit, follow, and print the result."""
    plan = ScanPlan(run_id="example-queued", project_id="examples", endpoints=endpoints, templates=["http/"])
    task_id = submit_scan_async(plan)
    print(f"{task_id}: {get_task_status(task_id).value}")
    assert submit_scan_async(plan) == task_id  # noqa: S101 - the same plan is the same task
    while (result := get_scan_result(task_id)) is None:
        time.sleep(1)
    print(f"{result.status.value}: {result.finding_count} findings, {result.findings.critical} critical")
    if result.error:
        print(f"{result.error_class}: {result.error}", file=sys.stderr)
    return 0 if result.success else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
