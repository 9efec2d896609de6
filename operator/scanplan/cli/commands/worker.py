"""``scanplan worker``: runs workers of the Redis queue, for programs with TASK_QUEUE_TYPE=redis."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from scanplan.cli.output.terminal import say
from scanplan.client import errors, settings


def worker(
    burst: Annotated[bool, typer.Option("--burst", help="End when the queue is empty.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only look whether this host's workers are at work.")] = False,
) -> None:
    """Scan what programs have put into the Redis queue. WORKER_CONCURRENCY scans at a time.

    Settings come from environment variables; docs/migration.md lists them.
    Told to stop, it gives back what it scans. Exit codes: 78 a setting is wrong; 69 Redis can't be reached, or with
    --check, fewer workers than WORKER_CONCURRENCY are at work.
    """
    try:
        configuration = settings.load_settings()
    except errors.InvalidSettings as error:
        say(f"scanplan worker: wrong settings\n{error}")
        raise typer.Exit(os.EX_CONFIG) from None
    try:
        from scanplan.client.queues import workers  # noqa: PLC0415 - needs an extra
    except ModuleNotFoundError:
        say(f"scanplan worker: {errors.MissingDependency('redis', 'redis')}")
        raise typer.Exit(os.EX_UNAVAILABLE) from None
    try:
        if not check:
            workers.run(configuration, burst=burst)
        elif (count := workers.of_this_host(configuration)) < configuration.worker_concurrency:
            say(f"scanplan worker: {count} of {configuration.worker_concurrency} workers are at work")
            raise typer.Exit(os.EX_UNAVAILABLE)
    except errors.QueueUnavailable as error:
        say(f"scanplan worker: {error}")
        raise typer.Exit(os.EX_UNAVAILABLE) from None
